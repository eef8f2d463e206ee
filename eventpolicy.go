package kiln

import "time"

// EventPolicy is how events of a function, or of one of its versions or aliases, are
// run: how often, for how long, and who is told. Nil members are AWS's defaults.
type EventPolicy struct {
	Function   FunctionID
	Qualifier  Qualifier // "" is the function itself: $LATEST
	MaxRetries *int      // after an attempt at which the function failed, 0 to 2
	MaxAge     *time.Duration
	OnSuccess  string // ARN of who is told; "" is nobody
	OnFailure  string
	Modified   time.Time
	// DeadLetters is the ARN of the queue that gets the events themselves which are given
	// up, "" for none: a setting of the function, whatever the qualifier.
	DeadLetters string
	// Off is that the function's reserved concurrency is 0: its events are given up
	// untried.
	Off bool
}
