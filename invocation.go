package kiln

import "time"

// Invocation is one request to run a function. It is made at a door, resolved and
// permitted by dispatch, and served by exactly one environment at a time.
type Invocation struct {
	ID string // the request id, a UUID
	// Attempt is unique for each try to run the request.
	Attempt string
	// Function and Qualifier are what the caller named; dispatch resolves them into
	// Target.
	Function   FunctionID
	Qualifier  Qualifier
	Target     Target
	Tenant     string
	InitType   InitType // of the environments that may serve it, as dispatch decides; "" is on-demand
	Payload    []byte   // valid JSON; never changed
	Trace      string   // X-Amzn-Trace-Id
	ClientJSON string   // the decoded client context, "" is none
	WantTail   bool     // the caller wants the last 4 KB of the log: END and REPORT come before the answer
	Accepted   time.Time
	Stream     ResponseStream // where an answer goes while it is written; nil wants it whole
}

// InvokedARN gives the ARN as the caller named the function, qualifier included.
func (i *Invocation) InvokedARN() string { return i.Function.QualifiedARN(i.Qualifier) }
