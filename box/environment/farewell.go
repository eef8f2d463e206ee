package environment

import (
	"errors"
	"os"
	"syscall"
	"time"

	"kiln"
	"kiln/box/rapi"
)

// Times that the processes of an environment have to end, as on AWS: none when nobody
// registered, and these with an extension inside the runtime, or with one outside.
const (
	internalTime = 500 * time.Millisecond
	externalTime = 2000 * time.Millisecond
	// runtimePart is what the runtime may use of that, in hundredths; the extensions get
	// the rest.
	runtimePart = 30
	// signalTime is the runtime's when the function wants SIGTERM and there is no
	// external extension to share it with. It is kiln's own.
	signalTime = 2000 * time.Millisecond

	// flushTime bounds how long the telemetry of an extension is waited for before it is
	// told to end.
	flushTime = 200 * time.Millisecond
)

// farewell says how long everybody has to end, and how long of it the runtime. 0 is no
// time at all.
func (e *Environment) farewell() (all, runtime time.Duration) {
	l := e.life
	if l == nil {
		return 0, 0
	}
	external, internal := false, false
	for _, x := range l.extensions {
		external = external || x.process != nil
		internal = internal || x.internal
	}
	switch {
	case !l.running() && !l.external():
		return 0, 0
	case external:
		return externalTime, externalTime * runtimePart / 100
	case e.version.Config.SigTERM:
		return signalTime, signalTime
	case internal:
		return internalTime, internalTime * runtimePart / 100
	}
	return 0, 0
}

// running reports whether the runtime's process is not known to have ended.
func (l *life) running() bool { return l.process != nil && l.exit == nil }

// stop ends all other times and gives the runtime its own: SIGTERM, and then some
// patience. When nobody gets any time, every process ends here; a box that is about to
// be destroyed is left to that.
func (e *Environment) stop() {
	e.disarm()
	all, runtime := e.farewell()
	if all == 0 {
		if !e.state.ending() {
			e.kill()
		}
		e.follow = append(e.follow, stopped)
		return
	}
	if e.frozen {
		e.do(thaw)
	}
	e.journal.catchUp()
	e.leaveBy = time.Now().Add(all)
	if !e.life.running() {
		e.follow = append(e.follow, stopped)
		return
	}
	e.signal(e.life.process.Signal, syscall.SIGTERM)
	e.timer.Reset(runtime)
}

// killRuntime ends the runtime's process, whose time is up.
func (e *Environment) killRuntime() {
	if e.life.running() {
		e.signal(e.life.process.Signal, syscall.SIGKILL)
	}
}

// part tells the external extensions that registered for it to end, and ends the others.
func (e *Environment) part() {
	if e.life == nil || !e.life.external() {
		e.follow = append(e.follow, parted)
		return
	}
	e.flushTaps(flushTime)
	reason := e.shutdownReason()
	for _, x := range e.life.extensions {
		switch {
		case !x.alive():
		case x.shutdown:
			x.give(&rapi.ExtensionEvent{Identifier: kiln.NewID(), Reason: reason, DeadlineMS: e.leaveBy.UnixMilli()})
		default:
			e.signal(x.process.Signal, syscall.SIGKILL)
		}
	}
	e.timer.Reset(max(0, time.Until(e.leaveBy)))
}

// shutdownReason says why extensions have to end, in AWS's words.
func (e *Environment) shutdownReason() string {
	switch {
	case e.state.ending():
		return "spindown"
	case e.fault != nil && e.fault.status == kiln.StatusTimeout:
		return "timeout"
	}
	return "failure"
}

// signal sends a signal; a process that has ended needs none.
func (e *Environment) signal(send func(int) error, number syscall.Signal) {
	if err := send(int(number)); err != nil && !errors.Is(err, os.ErrProcessDone) && !isGone(err) {
		e.logger.Warn("a process cannot be signalled", "signal", number.String(), "error", err)
	}
}
