package environment

import (
	"time"

	"kiln"
	"kiln/telemetry"
)

// phase says whether the init that runs is one of its own or inside an invocation, and
// of which.
func (e *Environment) phase() (phase, requestID string) {
	if e.firstInit || e.call == nil {
		return telemetry.PhaseInit, ""
	}
	return telemetry.PhaseInvoke, e.call.inv.ID
}

// tellInitStart says that an init begins.
func (e *Environment) tellInitStart() {
	phase, id := e.phase()
	e.journal.platform(telemetry.Event{Type: telemetry.InitStart, RequestID: id, Phase: phase, Runtime: e.runtime.Release, ARN: e.runtime.ReleaseARN})
}

// tellInit says how an init ended: the runtime's part of it and the whole.
func (e *Environment) tellInit(r kiln.Report) {
	phase, id := e.phase()
	e.journal.platform(telemetry.Event{Type: telemetry.InitRuntimeDone, RequestID: id, Phase: phase, Report: r})
	e.journal.platform(telemetry.Event{Type: telemetry.InitReport, RequestID: id, Phase: phase, Report: r})
}

// tellStart says START, once for each invocation.
func (e *Environment) tellStart() {
	c := e.call
	if c.started {
		return
	}
	c.started = true
	s := telemetry.Event{}
	if e.journal.heardInDetail() {
		s.ARN, s.Trace, s.Tenant = c.inv.InvokedARN(), c.inv.Trace, c.inv.Tenant
	}
	e.journal.start(s)
}

// tellRuntimeDone says that the runtime is done with the invocation, once. Extensions
// may go on after it.
func (e *Environment) tellRuntimeDone() {
	c := e.call
	if c == nil || !c.doneAt.IsZero() {
		return
	}
	c.doneAt = time.Now()
	if !e.journal.heardInDetail() {
		return
	}
	r := e.report()
	r.Duration = c.doneAt.Sub(e.armed)
	d := telemetry.Event{Type: telemetry.RuntimeDone, RequestID: c.inv.ID, Report: r, Trace: c.inv.Trace}
	if c.took > 0 {
		d.Bytes = r.Produced
		d.Spans = []telemetry.Span{
			{Name: telemetry.ResponseLatency, Start: e.armed, Duration: r.Latency},
			{Name: telemetry.ResponseDuration, Start: e.armed.Add(r.Latency), Duration: max(0, c.took-r.Latency)},
			{Name: telemetry.RuntimeOverhead, Start: e.armed.Add(c.took), Duration: max(0, r.Duration-c.took)},
		}
	}
	e.journal.platform(d)
}

// tellReport says REPORT and gives the tail of the log. extended is whether the
// extensions went on when the runtime was done.
func (e *Environment) tellReport(c *call, r kiln.Report, extended bool) []byte {
	d := telemetry.Event{RequestID: c.inv.ID, Report: r, Trace: c.inv.Trace}
	if extended {
		d.Spans = []telemetry.Span{{Name: telemetry.ExtensionOverhead, Start: c.doneAt, Duration: max(0, e.armed.Add(r.Duration).Sub(c.doneAt))}}
	}
	return e.journal.report(d)
}
