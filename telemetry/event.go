// Package telemetry is the contract of what environments tell: platform events
// and lines of log. Log store, metrics and traces subscribe as sinks; nothing here
// knows an engine, a door or a file.
package telemetry

import (
	"fmt"
	"strings"
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
	InitStart  Type = "platform.initStart"
	InitReport Type = "platform.initReport"
	Start      Type = "platform.start"
	End        Type = "platform.runtimeDone"
	Report     Type = "platform.report"
	Fault      Type = "platform.fault" // a line of the platform about a crash or timeout
	Dropped    Type = "platform.logsDropped"
	Line       Type = "function" // one line that the function wrote, without its newline
)

// Source is where an event comes from; one value is shared by all events of an
// environment.
type Source struct {
	Function    kiln.FunctionID
	Version     string
	Group       string // "/aws/lambda/NAME"
	Stream      string // "2026/11/24/[$LATEST]0123…"
	Environment string // id of the environment
}

// Event is one thing that happened. Which members are set depends on Type.
type Event struct {
	Time      time.Time
	Type      Type
	Source    *Source
	RequestID string
	Line      []byte // Line, Fault: the text; not changed after Emit
	Report    kiln.Report
	Phase     string // InitReport: "init" or "invoke"
	Runtime   string // InitStart: "python:3.11.v1"
	ARN       string // InitStart: the runtime version's ARN
	Count     int64  // Dropped: records
}

// Text gives the event as one line of AWS's text log format, without newline.
func (e *Event) Text() string {
	switch e.Type {
	case InitStart:
		return "INIT_START Runtime Version: " + e.Runtime + "\tRuntime Version ARN: " + e.ARN
	case InitReport:
		status := e.Report.Status
		if status == kiln.StatusFailure {
			status = kiln.StatusError // the word of the text format
		}
		s := fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s\tStatus: %s", ms(e.Report.Init), e.Phase, status)
		if e.Report.ErrorType != "" {
			s += "\tError Type: " + e.Report.ErrorType
		}
		return s
	case Start:
		return "START RequestId: " + e.RequestID + " Version: " + e.Source.Version
	case End:
		return "END RequestId: " + e.RequestID
	case Report:
		return e.report()
	case Dropped:
		return fmt.Sprintf("LOGS_DROPPED Records: %d", e.Count)
	}
	return string(e.Line)
}

func (e *Event) report() string {
	r := &e.Report
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		e.RequestID, ms(r.Duration), r.Billed.Milliseconds(), r.MemoryMB, r.MaxMemoryMB)
	if r.Init > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %.2f ms", ms(r.Init))
	}
	switch r.Status {
	case kiln.StatusTimeout:
		b.WriteString("\tStatus: timeout")
	case kiln.StatusFailure: // an error that the handler returned has no status on AWS
		b.WriteString("\tStatus: error")
		if r.ErrorType != "" {
			b.WriteString("\tError Type: " + r.ErrorType)
		}
	}
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
