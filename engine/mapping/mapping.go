// Package mapping moves records from sources to functions: it reads the lanes of a
// source, leaves out what no filter wants, makes batches, runs the function, and tells
// the lane which records are done.
//
// A record is done only when the function said so, or no filter wanted it; all others
// stay the source's, which gives them again. So nothing is lost when the process dies at
// any moment, and a record may come twice. The package keeps no record anywhere and knows
// nothing of what a source is: sources lie below, and are given to it.
package mapping

import (
	"context"
	"log/slog"
	"time"

	"kiln"
)

// Record is one thing that a source has.
type Record struct {
	ID string // by which the function names it when it fails
	// Group is what must stay in order with each other in an ordered lane.
	Group string
	JSON  []byte // the element of Records that the function sees
	// Document is what filters look at: JSON. It is nil when the mapping has no filters.
	Document []byte
	Handle   any // the lane's own
}

// Lane is one sequence of records of a source. Read is called by one goroutine at a
// time, Commit by any.
type Lane interface {
	// Read waits for records, and gives at most that many; none when the time is over
	// first.
	Read(ctx context.Context, most int, wait time.Duration) ([]Record, error)
	// Commit says that records are done and will not be needed again, and which were
	// tried and failed. Both may be empty.
	Commit(ctx context.Context, done, failed []Record) error
	// Terms says how the lane wants to be read.
	Terms() Terms
}

// Terms is how a lane wants to be read.
type Terms struct {
	// Ordered is true when records of a group must be tried in order, and none while an
	// earlier one failed.
	Ordered bool
	// Hold is how long records stay with who read them before they are given to another.
	Hold time.Duration
}

// Source opens lanes. Two lanes of a source share nothing.
type Source interface {
	// Check refuses a mapping that this source cannot serve, in AWS's words. timeout is
	// that of the function.
	Check(ctx context.Context, m *kiln.Mapping, timeout time.Duration) error
	// Open gives the lanes of a mapping.
	Open(ctx context.Context, m *kiln.Mapping) ([]Lane, error)
}

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
}

// Book keeps mappings durably.
type Book interface {
	// Mappings gives all that are kept, of all scopes.
	Mappings() []*kiln.Mapping
	// AddMapping keeps a new one. There is at most one for a source and a function.
	AddMapping(ctx context.Context, m *kiln.Mapping) error
	// SetMapping keeps another form of one that is there.
	SetMapping(ctx context.Context, m *kiln.Mapping) error
	// DropMapping forgets one. One that is not there is no error.
	DropMapping(ctx context.Context, in kiln.Scope, id string) error
	// Version finds the function of a mapping.
	Version(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Version, error)
}

// Options is what a Manager is made of. Book and Invoker are required.
type Options struct {
	Book    Book
	Invoker Invoker
	Sources map[string]Source // by the service in their ARNs
	// Permit refuses a mapping whose function's role may not read the source; nil lets
	// all pass.
	Permit func(m *kiln.Mapping, v *kiln.Version) error
	// Concurrency bounds the invocations at once of a mapping that has no limit of its
	// own; 0 is kiln.DefaultAccountConcurrency.
	Concurrency int
	Logger      *slog.Logger
}
