// Package telemetry is the contract of what environments tell: platform events
// and lines of log. Log store, metrics and traces subscribe as sinks; nothing here
// knows an engine, a door or a file.
package telemetry

import (
	"time"

	"kiln"
)

// Sink takes events. Emit never blocks for long and never fails: what a sink
// cannot keep it counts.
type Sink interface{ Emit(Event) }

// Type says what an event is, in AWS's words.
type Type string

// Types of events.
const (
	InitStart       Type = "platform.initStart"
	InitRuntimeDone Type = "platform.initRuntimeDone"
	InitReport      Type = "platform.initReport"
	Start           Type = "platform.start"
	RuntimeDone     Type = "platform.runtimeDone" // the runtime is done; extensions may not be
	End             Type = "platform.end"
	Report          Type = "platform.report"
	Fault           Type = "platform.fault"     // a line of the platform about a crash or timeout
	Extension       Type = "platform.extension" // an extension registered or failed
	Subscription    Type = "platform.telemetrySubscription"
	LogsSubscribed  Type = "platform.logsSubscription" // the same by the older Logs API
	Dropped         Type = "platform.logsDropped"
	Line            Type = "function"  // one record that the function wrote
	ExtensionLine   Type = "extension" // one record that an extension wrote
)

// Source is where an event comes from; one value is shared by all events of an
// environment.
type Source struct {
	Function    kiln.FunctionID
	Version     string
	Group       string // "/aws/lambda/NAME"
	Stream      string // "2026/11/24/[$LATEST]0123…"
	Environment string // id of the environment
	InitType    kiln.InitType
	MemoryMB    int // limit of the environment
	Logging     kiln.Logging
}

// Event is one thing that happened. Which members are set depends on Type; those of
// one type are together.
type Event struct {
	Time      time.Time
	Type      Type
	Source    *Source
	RequestID string
	// Line is the text of Line, ExtensionLine and Fault, without a newline at its end.
	// It is not changed after Emit.
	Line  []byte
	Level string // Line, ExtensionLine: "" is none

	// Report measures what ended: all of it in Report, Duration, Status and ErrorType in
	// RuntimeDone, Init, Status and ErrorType in InitReport and InitRuntimeDone.
	Report kiln.Report
	Spans  []Span // Report, RuntimeDone
	Bytes  int64  // RuntimeDone: of the answer; Dropped: of the records
	Phase  string // InitStart, InitRuntimeDone, InitReport: PhaseInit or PhaseInvoke

	Runtime string // InitStart: "python:3.11.v1"
	ARN     string // InitStart: the runtime version's; Start: the function's, as invoked
	Trace   string // Start, RuntimeDone, Report: X-Amzn-Trace-Id
	Tenant  string // Start

	Name  string   // Extension, Subscription, LogsSubscribed: of the extension
	State string   // the same: "Ready", "Subscribed"
	Names []string // Extension: its events; the subscriptions: their types

	Count  int64  // Dropped: records
	Reason string // Dropped
}

// Phases of an init: one of its own, or inside an invocation that had to wait for it.
const (
	PhaseInit   = "init"
	PhaseInvoke = "invoke"
)

// Span is a part of the time of what an event measures.
type Span struct {
	Name     string
	Start    time.Time
	Duration time.Duration
}

// Names of spans.
const (
	ResponseLatency   = "responseLatency"   // until the answer began
	ResponseDuration  = "responseDuration"  // from there until it was here
	RuntimeOverhead   = "runtimeOverhead"   // from there until the runtime asked for work
	ExtensionOverhead = "extensionOverhead" // from there until the extensions did
)

// failed reports whether what the event measures did not end well.
func (e *Event) failed() bool { return e.Report.Status != "" && e.Report.Status != kiln.StatusSuccess }
