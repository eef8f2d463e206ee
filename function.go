package kiln

import "time"

// Function is the name that owns versions, aliases and reserved concurrency.
type Function struct {
	ID      FunctionID
	Created time.Time
	// Reserved is the reserved concurrency; nil means that the function takes from
	// the account's unreserved pool, 0 switches it off.
	Reserved *int
	Tags     map[string]string
	// Loops lets the function be part of a chain of calls without an end.
	Loops bool
}
