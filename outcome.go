package kiln

import "time"

// Outcome is what the function did with an invocation: its payload or its error,
// its report and the tail of its log. What the platform failed to do is an error
// and never an Outcome.
type Outcome struct {
	Payload []byte // as the runtime posted it; a function error's JSON when Failed
	// Failed is true for handler errors, exits, timeouts and oversized answers.
	Failed bool
	// Streamed is true when the answer went to the invocation's Stream; Payload is then
	// the error that ended it, or empty.
	Streamed bool
	// ErrorCode names a failure as response streams do: "Unhandled" is the function's own.
	ErrorCode string
	Version   string // the version that ran
	Trace     string
	Tail      []byte // only when the invocation wanted it
	Report    Report
}

// Report is the measure of one invocation, as the REPORT line prints it.
type Report struct {
	Duration    time.Duration
	Billed      time.Duration
	Init        time.Duration // 0 unless this invocation waited for a cold start
	MemoryMB    int
	MaxMemoryMB int
	Status      ReportStatus
	ErrorType   string
	// Parts of the time as the caller saw it, for the console and the bench.
	Queue   time.Duration // waiting for an environment
	Sandbox time.Duration // making the box of a cold start
	// Latency is the time until the answer or the first bytes of it came from the
	// function; Produced is how many bytes it had. Both are 0 when there was none.
	Latency  time.Duration
	Produced int64
}

// ReportStatus is the ending of an invocation as platform telemetry names it.
type ReportStatus string

// Endings of an invocation.
const (
	StatusSuccess ReportStatus = "success"
	StatusFailure ReportStatus = "failure" // the runtime died
	StatusError   ReportStatus = "error"   // the function answered with an error
	StatusTimeout ReportStatus = "timeout"
)
