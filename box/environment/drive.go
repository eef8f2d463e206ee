package environment

import (
	"fmt"
	"slices"
	"time"

	"kiln"
	"kiln/box/rapi"
	"kiln/telemetry"
)

// run drives the machine until it is Dead and then clears everything away.
func (e *Environment) run(sink telemetry.Sink) {
	e.timer = time.NewTimer(time.Hour)
	e.timer.Stop()
	var err error
	if e.journal, err = openJournal(e.source, sink); err != nil {
		e.logger.Error("no log pipe", "error", err)
		e.must(closed)
	} else if err := e.openWorkbench(); err != nil {
		e.logger.Error("no address for a debugger", "error", err)
		e.must(closed)
	} else {
		e.must(started)
	}
	closing := e.closing
	for e.state != Dead {
		select {
		case m := <-e.messages:
			e.receive(m)
		case <-e.life.exited():
			e.hearOut()
		case <-e.timer.C:
			e.blameTime()
			e.must(deadline)
		case <-e.sandbox.Gone():
			e.blame(goneFault())
			e.must(sandboxGone)
		case <-closing:
			closing = nil
			e.must(closed)
		}
		if e.held != nil {
			e.resume()
		}
	}
	e.bury()
}

// bury clears everything away. Whoever still waits learns that it is over.
func (e *Environment) bury() {
	if e.patient.Load() {
		<-e.end
	}
	e.cancel()
	e.timer.Stop()
	err := e.sandbox.Destroy()
	e.endLife()
	e.shutDoor()
	e.closeWorkbench()
	e.wg.Wait()
	if e.held != nil {
		e.held.finish(nil, unavailable(nil))
	}
	e.closeTaps()
	if e.journal != nil {
		e.journal.close()
	}
	if err != nil && !isGone(err) {
		e.closeErr = fmt.Errorf("destroy the sandbox of environment %s: %w", e.stamp.ID, err)
	}
	close(e.over)
}

// apply takes one event through the machine and does what it asks for; what goes
// wrong on the way may be the next event. An illegal event is an error and changes
// nothing.
func (e *Environment) apply(happened event) error {
	to, actions, err := step(e.state, happened)
	if err != nil {
		return err
	}
	e.state = to
	e.current.Store(int32(to))
	for _, a := range actions {
		e.do(a)
	}
	for len(e.follow) > 0 && e.state != Dead {
		next := e.follow[0]
		e.follow = e.follow[1:]
		e.must(next)
	}
	return nil
}

// must applies an event that has to be legal here.
func (e *Environment) must(happened event) {
	if err := e.apply(happened); err != nil {
		e.logger.Error("the machine refused an event", "error", err)
	}
}

// receive takes one message.
func (e *Environment) receive(m message) {
	if m.life != nil && m.life != e.life {
		return // an ended process; whoever sent it sees that its life is over
	}
	switch m.kind {
	case bring:
		e.accept(m.call)
	case rest:
		e.must(rested)
	case ask:
		e.seat(m.waiter)
	case leave:
		e.unseat(m.waiter)
	case handIn:
		m.post.refused <- e.judge(m.post)
	case tapping:
		m.subscription.refused <- e.subscribe(m.subscription)
	case initFail:
		m.post.refused <- e.judgeInit(m.post)
	case open:
		m.post.refused <- e.open(m.post)
	case heard:
		if !e.state.resetting() && !e.state.ending() {
			e.blame(m.life.exit)
			e.must(exited)
		}
	case register:
		m.petition.verdict <- e.enrol(m.petition.registration)
	case listen:
		e.attune(m.petition)
	case forsake:
		if x, refusal := e.life.find(m.petition.id); refusal == nil {
			x.forsake(m.petition.listener)
		}
	case extensionInit:
		m.petition.verdict <- e.failExtension(m.petition, extensionInitError)
	case extensionExit:
		m.petition.verdict <- e.failExtension(m.petition, extensionExitError)
	case attach:
		e.attach()
	case detach:
		e.detach()
	case departed:
		e.depart(m.extension)
	}
}

// accept begins an invocation.
func (e *Environment) accept(c *call) {
	hold := e.held == nil && e.free && e.renewing()
	switch {
	case e.state.ending():
		c.finish(nil, unavailable(nil))
		return
	case hold:
		e.held, e.free = c, false // for the next processes; these are gone
		return
	}
	if e.held != nil || e.call != nil || table[e.state][invoked].to == Created {
		c.finish(nil, &kiln.Error{Code: kiln.Internal, Message: "The execution environment is busy.", Err: &illegal{e.state, invoked}})
		return
	}
	e.call, e.lastID, e.fault, e.free = c, c.inv.ID, nil, false
	e.journal.begin(c.inv.ID, c.inv.WantTail)
	e.must(invoked)
}

// renewing reports whether the slot is free and its processes have ended or are about
// to: an invocation has to wait until new ones can be started.
func (e *Environment) renewing() bool {
	return e.exiting() && (e.state == Ready || e.state == Frozen) || e.state.resetting()
}

// resume begins the invocation that was held, when it can begin.
func (e *Environment) resume() {
	if c := e.held; e.state != Dead && !e.renewing() {
		e.held, e.free = nil, true
		e.accept(c)
	}
}

// seat takes a GET next. While an event is with the function the runtime asks for that
// event again; otherwise the last one that is waited for is an event of the machine.
func (e *Environment) seat(w *waiter) {
	if e.exiting() {
		w.told <- told{err: errLifeOver}
		return
	}
	if table[e.state][asked].to == Created {
		w.told <- told{err: invalidTransition(e.state, "Ready")}
		return
	}
	if e.streaming() {
		e.early = append(e.early, w) // not for the same event again: its answer is on its way
		return
	}
	e.waiters = append(e.waiters, w)
	e.runtimeAsked, e.life.closed = true, true
	switch {
	case e.state == Invoking || e.gathered():
		e.must(asked)
	case e.state == Responded:
		e.tellRuntimeDone() // and the extensions go on
	}
}

// unseat forgets a GET next.
func (e *Environment) unseat(w *waiter) {
	for i := range e.waiters {
		if e.waiters[i] == w {
			e.waiters = append(e.waiters[:i], e.waiters[i+1:]...)
			return
		}
	}
	e.early = slices.DeleteFunc(e.early, func(x *waiter) bool { return x == w })
}

// judge decides on an answer and takes it when it is due.
func (e *Environment) judge(p *post) *rapi.Refusal {
	if refusal := e.due(p); refusal != nil {
		return refusal
	}
	e.post = p
	err := e.apply(answered)
	e.post = nil
	if err != nil {
		return invalidTransition(e.state, p.target)
	}
	e.seatEarly()
	return nil
}

// judgeInit decides on an init error.
func (e *Environment) judgeInit(p *post) *rapi.Refusal {
	before := e.fault
	e.blame(p.fault)
	if err := e.apply(initFailed); err != nil {
		e.fault = before
		return invalidTransition(e.state, p.target)
	}
	return nil
}

// exiting reports whether the process has ended and the machine does not know yet.
// It looks by itself, so that an end that is known here is never overtaken by what
// was said before it.
func (e *Environment) exiting() bool {
	select {
	case <-e.life.exited():
		e.hearOut()
	default:
	}
	return e.life != nil && e.life.exit != nil
}

// hearOut begins the end of a runtime that exited: everything else in the box is
// killed, unless extensions have their time yet, and what it had still sent is heard,
// before the machine learns of it. An answer that was given before the exit counts.
func (e *Environment) hearOut() {
	l := e.life
	status := l.process.Status()
	if status.OutOfTurn {
		l.exit = goneFault()
		e.blame(l.exit)
		e.must(sandboxGone)
		return
	}
	l.exit = exitFault(status)
	switch {
	case e.state == Stopping || e.state == Closing:
		e.must(stopped)
		return
	case e.state.resetting() || e.state.ending():
		return
	}
	alone := !l.external()
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		if alone {
			_ = e.sandbox.KillAll() // tried again, and judged, when the machine says kill
		}
		l.server.Settle(settleTime)
		l.send(message{kind: heard, life: l})
	}()
}

// blame keeps the first fault.
func (e *Environment) blame(f *fault) {
	if e.fault == nil {
		e.fault = f
	}
}

// blameTime is the fault of a limit that passed.
func (e *Environment) blameTime() {
	switch {
	case e.state.resetting() || e.state.ending(): // it is too late for blame
	case e.state == Registering || e.state == Initializing:
		e.blame(timedOut(e.initTimeout))
	default:
		e.blame(timedOut(e.timeout))
	}
}

// finish gives the caller its outcome, once.
func (c *call) finish(o *kiln.Outcome, err error) {
	c.outcome, c.err = o, err
	if c.stream != nil {
		c.stream.cut = time.AfterFunc(cutGrace, c.inv.Stream.Cut)
	}
	close(c.done)
}
