// Package async runs events that were accepted until they are done, have expired or
// are given up: once each when all goes well, again when the function fails, later
// when the platform cannot run it. Each function has a lane of its own, so that one
// with many events does not hold up the others.
//
// An event stays in the queue until what became of it is known and was told; a process
// that dies runs it again. The package never decides whether a function may run now,
// keeps no payload in memory that does not run, and knows no disk and no protocol.
package async

import (
	"context"
	"log/slog"
	"time"

	"kiln"
)

// Event is an invocation that was accepted and waits for its turn.
type Event struct {
	ID         string // the request id, the same for all attempts
	Function   kiln.FunctionID
	Qualifier  kiln.Qualifier
	Payload    []byte
	Trace      string
	ClientJSON string
	Tenant     string
	Accepted   time.Time
}

// Head is an event as the queue orders it.
type Head struct {
	Number uint64 // unique in the queue; later events of a function have higher ones
	Due    time.Time
	Tries  int // attempts at which the function failed
}

// Queue keeps events durably. Times have at least the precision of a millisecond.
// queuetest.Suite is what an implementation must pass.
type Queue interface {
	// Put keeps an event, due at once, and returns when it is durable.
	Put(ctx context.Context, e *Event) error
	// Lanes calls f for each function that has events, with their number and with the
	// time at which the first is due.
	Lanes(ctx context.Context, f func(id kiln.FunctionID, events int, first time.Time) error) error
	// Heads gives at most n events of a function in the order in which they are due,
	// also of those that are not due yet.
	Heads(ctx context.Context, id kiln.FunctionID, n int) ([]Head, error)
	// Load gives a whole event. One that is not there is kiln.NotFound.
	Load(ctx context.Context, number uint64) (*Event, error)
	// Again puts an event off until another time, with a number of tries.
	Again(ctx context.Context, id kiln.FunctionID, h Head, due time.Time, tries int) error
	// Drop forgets an event.
	Drop(ctx context.Context, id kiln.FunctionID, h Head) error
}

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
}

// Settings is what the book says about events.
type Settings interface {
	// EventPolicy gives the policy for events of a function with a qualifier. A
	// function that is not there is kiln.NotFound.
	EventPolicy(id kiln.FunctionID, q kiln.Qualifier) (kiln.EventPolicy, error)
}

// Destination takes records of what became of events.
type Destination interface {
	// Deliver hands a record to the thing with an ARN. An error with the code
	// Unavailable or Throttled is worth trying again.
	Deliver(ctx context.Context, arn string, from *Event, r Record) error
}

// DeadLetters takes events that were given up, as they were.
type DeadLetters interface {
	// Bury hands an event to the thing with an ARN. Its errors are those of Deliver.
	Bury(ctx context.Context, arn string, e *Event, r Record) error
}

// Options is what a Runner is made of.
type Options struct {
	Queue       Queue
	Invoker     Invoker
	Settings    Settings
	Destination Destination
	DeadLetters DeadLetters // nil: there are none
	// Running bounds the events that run at once, and Lane those of one function; 0 is
	// 1,000 and 100.
	Running, Lane int
	Logger        *slog.Logger
}
