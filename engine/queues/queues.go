// Package queues keeps queues of messages: who may receive what when, in which order,
// and what becomes of messages that nobody deletes. A message that was accepted is
// durable, and so is that it was received: a process that dies neither loses one nor
// forgets how often it was tried.
//
// It keeps the order of messages in memory and their contents in the store alone. It
// knows no protocol, no policy and no disk.
package queues

import (
	"context"
	"time"

	"kiln"
)

// Head is a message as its queue orders it.
type Head struct {
	Number   uint64 // unique in the store; later messages have higher ones
	Queue    uint64 // the number of its queue
	Group    string // of a FIFO queue
	Source   string // ARN of the queue that it is a dead letter of, "" for none
	Sent     time.Time
	Visible  time.Time // from when on it can be received
	First    time.Time // when it was received first; zero for never
	Receives int
	Before   int // of these, in queues that it came from
}

// Seen is a message that others may repeat.
type Seen struct {
	Queue  uint64
	Key    string
	ID     string // of the message
	Number uint64
	Until  time.Time
}

// Entry is a queue as it is stored.
type Entry struct {
	Number uint64
	Queue  kiln.MessageQueue
}

// Put is a message that comes in.
type Put struct {
	Head    Head
	Message kiln.Message // without what its Head says
}

// Changes are made together or not at all.
type Changes struct {
	Queues []Entry  // that are new or other than they were
	Gone   []uint64 // queues
	Put    []Put
	Set    []Head   // messages as they are now
	Drop   []uint64 // messages
	Seen   []Seen
	Forget time.Time // what was seen until then is over; zero for nothing
}

// Contents is everything that a book begins with.
type Contents struct {
	Queues []Entry
	Heads  []Head // in the order of their numbers
	Seen   []Seen
	Last   uint64 // the highest number that a message ever had
}

// Store keeps queues and messages durably. Times have the precision of a nanosecond.
type Store interface {
	Load(ctx context.Context) (*Contents, error)
	// Commit returns when everything is durable. A Head that comes too late, with fewer
	// receives than the one that is stored, is left out.
	Commit(ctx context.Context, c *Changes) error
	// Messages gives the contents of messages; those that are not there are missing.
	Messages(ctx context.Context, numbers []uint64) (map[uint64]kiln.Message, error)
}
