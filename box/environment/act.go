package environment

import (
	"time"

	"kiln"
	"kiln/box/rapi"
	"kiln/telemetry"
)

// do does one thing that the machine decided.
func (e *Environment) do(a action) {
	switch a {
	case startExtensions:
		e.startExtensions()
	case startRuntime:
		e.startRuntime()
	case armInit:
		e.arm(e.initTimeout)
	case armGrace:
		e.armGrace()
	case armInvocation:
		e.armed = time.Now()
		e.arm(e.timeout)
	case disarm:
		e.disarm()
	case endInit:
		e.endInit()
	case reportInit:
		e.reportInit()
	case release:
		e.release()
	case freeze:
		e.freeze()
	case thaw:
		if err := e.sandbox.Thaw(); err != nil {
			e.trouble("thaw", err)
		}
		e.frozen = false
		e.resumeTaps()
	case deliver:
		e.deliver()
	case deliverAgain:
		e.hand()
	case answer:
		e.answer()
	case fail:
		e.failCall()
	case refuse:
		e.refuse()
	case stop:
		e.stop()
	case killRuntime:
		e.killRuntime()
	case part:
		e.part()
	case kill:
		e.kill()
	case endInvocation:
		e.endInvocation()
	case over:
		e.timer.Stop()
		close(e.idle)
		close(e.quiet)
	}
}

// freeze stops the box, unless somebody debugs what is in it.
func (e *Environment) freeze() {
	if e.bench != nil && e.bench.attached > 0 {
		return
	}
	e.pauseTaps()
	if err := e.sandbox.Freeze(); err != nil {
		e.trouble("freeze", err)
	}
	e.frozen = true
}

// trouble is an order that the sandbox did not carry out: such a box is given up.
func (e *Environment) trouble(doing string, err error) {
	if !isGone(err) && e.starts.Err() == nil {
		e.logger.Error("sandbox", "doing", doing, "error", err)
	}
	e.blame(goneFault())
	e.follow = append(e.follow, sandboxGone)
}

// release gives the owner a token when the slot has become free: not when one is out,
// nor when an invocation is held that came with the last one.
func (e *Environment) release() {
	if e.free || e.held != nil {
		return
	}
	e.free = true
	select {
	case e.idle <- struct{}{}:
	default: // the owner did not take the last one
	}
}

// beginInit begins an init: there is an API and no limit on the processor. It reports
// whether processes can be started.
func (e *Environment) beginInit() bool {
	e.firstInit = e.initBegan.IsZero()
	e.initBegan = time.Now()
	e.journal.keepEarly(true)
	e.tellInitStart()
	if e.limited {
		if err := e.sandbox.Limit(0); err != nil {
			e.trouble("lift the limit", err)
			return false
		}
		e.limited = false
	}
	l, err := e.startLife()
	if err != nil {
		e.trouble("open the runtime API", err)
		return false
	}
	e.life, e.runtimeAsked = l, false
	return true
}

// startRuntime starts the runtime's program.
func (e *Environment) startRuntime() {
	process, f, err := e.execute(e.life.address)
	switch {
	case err != nil:
		e.trouble("start the runtime", err)
	case f != nil:
		e.blame(f)
		e.follow = append(e.follow, startFailed)
	default:
		e.life.process = process
	}
}

// armGrace gives a runtime time to exit after init/error, but not beyond the limit
// that runs already.
func (e *Environment) armGrace() {
	left := e.initTimeout - time.Since(e.initBegan)
	if e.state == RestartFailing {
		left = e.timeout - time.Since(e.armed)
	}
	e.arm(max(0, min(graceTime, left)))
}

// endInit ends a successful init: from here on the function has its share of the
// processor and no more.
func (e *Environment) endInit() {
	e.journal.catchUp() // what init printed comes before START
	e.tellExtensions()
	if e.firstInit {
		e.coldInit = time.Since(e.initBegan)
	}
	e.tellInit(kiln.Report{Init: time.Since(e.initBegan), Status: kiln.StatusSuccess})
	e.journal.keepEarly(false)
	if e.milliCPU > 0 && !e.limited {
		if err := e.sandbox.Limit(e.milliCPU); err != nil {
			e.trouble("limit", err)
			return
		}
		e.limited = true
	}
}

// reportInit says that an init failed.
func (e *Environment) reportInit() {
	e.tellExtensions()
	r := kiln.Report{Init: time.Since(e.initBegan), Status: kiln.StatusError}
	if e.fault.status == kiln.StatusTimeout {
		r.Status = kiln.StatusTimeout
	} else {
		r.ErrorType = e.fault.errorType
	}
	e.tellInit(r)
	e.journal.keepEarly(false)
}

// deliver says START and gives the event to the runtime.
func (e *Environment) deliver() {
	if len(e.follow) > 0 {
		return // the box could not be made ready; the function is to see nothing
	}
	c := e.call
	e.tellStart()
	c.event = rapi.Event{
		RequestID:     c.inv.ID,
		InvocationID:  c.inv.Attempt,
		ARN:           c.inv.InvokedARN(),
		Trace:         c.inv.Trace,
		ClientContext: c.inv.ClientJSON,
		TenantID:      c.inv.Tenant,
		DeadlineMS:    e.armed.Add(e.timeout).UnixMilli(),
		Payload:       c.inv.Payload,
	}
	e.inform()
	e.hand()
}

// hand gives the event to the connection that asked last; when there is none, the
// next one to ask gets it.
func (e *Environment) hand() {
	e.runtimeAsked = false
	n := len(e.waiters) - 1
	if n < 0 {
		return
	}
	w := e.waiters[n]
	e.waiters[n] = nil
	e.waiters = e.waiters[:n]
	e.call.delivered = true
	w.told <- told{event: &e.call.event}
}

// answer gives the caller what the runtime answered, unless it wants the tail too.
func (e *Environment) answer() {
	e.journal.catchUp()
	p := e.post
	e.call.took = time.Since(e.armed)
	e.call.latency, e.call.size = e.call.took, int64(len(p.payload))
	if p.fault != nil {
		e.blame(p.fault)
		e.conclude(p.fault.answer(e.call.inv.ID))
		return
	}
	e.conclude(p.payload)
}

// failCall gives the caller what went wrong, unless it wants the tail too.
func (e *Environment) failCall() {
	c := e.call
	switch {
	case e.state.ending() && !c.delivered:
		e.refuse()
		return
	case e.state.ending() && e.fault == nil:
		e.blame(goneFault())
		c.answered = true
		// Not Unavailable, which promises that the function never saw the event and that it
		// may be sent again: Invoke's own word for this is ServiceException, a 500.
		c.finish(nil, &kiln.Error{Code: kiln.Internal, Message: "The function was stopped because its environment was closed."})
		return
	}
	e.tellStart()
	e.tellFault()
	e.measure(time.Now())
	e.conclude(e.fault.answer(c.inv.ID))
}

// tellFault writes the platform's line about what went wrong, once.
func (e *Environment) tellFault() {
	c := e.call
	if e.fault == nil || c.told {
		return
	}
	c.told = true
	if text := e.fault.line(c.inv.ID, time.Now()); text != "" {
		e.journal.platform(telemetry.Event{Type: telemetry.Fault, RequestID: c.inv.ID, Line: []byte(text)})
	}
}

// measure asks how much memory the box uses.
func (e *Environment) measure(now time.Time) {
	if usage, err := e.sandbox.Usage(); err == nil {
		e.meter.see(usage, now)
	} else if !isGone(err) {
		e.logger.Warn("memory in use is not known", "error", err)
	}
}

// conclude makes the outcome. Its report is what is known now: the invocation ends
// with the next request for work.
func (e *Environment) conclude(payload []byte) {
	c := e.call
	c.outcome = &kiln.Outcome{
		Payload:   payload,
		Failed:    e.fault != nil,
		ErrorCode: e.fault.errorCode(c.stream != nil),
		Version:   e.source.Version,
		Trace:     c.inv.Trace,
		Report:    e.report(),
	}
	if !c.inv.WantTail {
		c.answered = true
		c.finish(c.outcome, nil)
	}
}

// report measures the invocation up to now.
func (e *Environment) report() kiln.Report {
	r := newReport(time.Since(e.armed), e.coldInit, &e.meter)
	if e.call != nil {
		r.Latency, r.Produced = e.call.produced()
	}
	if e.coldInit > 0 {
		r.Sandbox = e.sandboxTime
	}
	if e.fault != nil {
		r.Status, r.ErrorType = e.fault.status, e.fault.errorType
		if r.Status == kiln.StatusTimeout {
			r.ErrorType = ""
		}
	}
	return r
}

// refuse tells the caller that the function never saw the event.
func (e *Environment) refuse() {
	e.call.answered = true
	e.call.finish(nil, unavailable(nil))
	e.call = nil
}

// endInvocation says END and REPORT, with all lines of the function before them.
func (e *Environment) endInvocation() {
	c := e.call
	if c == nil {
		return // it was refused
	}
	extended := !c.doneAt.IsZero()
	e.tellRuntimeDone()
	r := e.report()
	e.tellFault()
	e.journal.finish()
	e.call = nil
	if now := time.Now(); e.meter.due(now) || r.Status != kiln.StatusSuccess {
		e.measure(now)
	}
	r.MaxMemoryMB = e.meter.peakMB
	tail := e.tellReport(c, r, extended)
	e.coldInit = 0
	if !c.answered {
		c.outcome.Tail, c.outcome.Report = tail, r
		c.finish(c.outcome, nil)
	}
}

// kill ends every process of the box that is left and the API that they spoke to.
func (e *Environment) kill() {
	if e.life == nil {
		return // nothing was started since the last time
	}
	err := e.sandbox.KillAll()
	e.endLife()
	e.journal.ended()
	if err != nil {
		e.trouble("kill", err)
	}
}

// endLife ends the API of the processes that were; no message of them counts any more.
func (e *Environment) endLife() {
	if e.life != nil {
		e.life.end()
		e.life = nil
		e.closeTaps()
	}
	e.waiters, e.early = nil, nil
}
