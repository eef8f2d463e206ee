package logs

import (
	"context"
	"iter"
	"time"

	"kiln"
)

// Store is where the records are. A group or a stream that is not there is a
// *kiln.Error with the code NotFound; one that is there already, ErrExists; more than
// there may be, ErrTooMany.
type Store interface {
	Groups
	Streams
	Events
}

// Groups is what is known of log groups.
type Groups interface {
	Groups(scope kiln.Scope) ([]Group, error) // by name
	Group(scope kiln.Scope, group string) (Group, error)
	CreateGroup(scope kiln.Scope, group string, tags map[string]string) error
	DeleteGroup(scope kiln.Scope, group string) error
	SetRetention(scope kiln.Scope, group string, days int) error // 0: for as long as there is room
	SetTags(scope kiln.Scope, group string, set map[string]string, remove []string) error
}

// Streams is what is known of the streams of a group.
type Streams interface {
	Streams(scope kiln.Scope, group string) ([]Stream, error) // by name
	CreateStream(scope kiln.Scope, group, stream string) error
	DeleteStream(scope kiln.Scope, group, stream string) error
}

// Events are the records themselves.
type Events interface {
	Put(scope kiln.Scope, group, stream string, entries []Entry) error
	Look(w Window) (*View, error)
	// Follow gives the records of a group that are written from now on, until ctx ends.
	Follow(ctx context.Context, scope kiln.Scope, group string) iter.Seq[Record]
}

// Group is one log group.
type Group struct {
	Name    string
	Bytes   int64
	Created time.Time
	Days    int // 0: records are kept for as long as there is room
	Tags    map[string]string
}

// Stream is one stream of a group.
type Stream struct {
	Name        string
	Created     time.Time
	First, Last time.Time // of its records; zero when it has none
	Ingested    time.Time // when the last of them came
	Bytes       int64
}

// Entry is one record that a client puts into a stream.
type Entry struct {
	Time time.Time
	Text string
}

// Position is the place of a record in its group. Later records have greater ones; the
// zero value is before all.
type Position struct{ File, Offset int64 }

// Window is a part of a group's records that is looked at page by page.
type Window struct {
	Scope       kiln.Scope
	Group       string
	Stream      func(string) bool // nil: all
	From, Until time.Time         // the latter exclusive; zero: open
	After       Position          // records after it
	Before      Position          // records before it; zero: all
	Newest      bool              // the newest records are wanted and not the oldest
	Limit       int
	Match       func(text string) bool // nil: all
}

// View is one page of a window.
type View struct {
	Records []Record // in the order in which they were written
	Last    Position // up to which the records were looked at
	More    bool     // there may be further ones after it
}

// Record is one record of a log.
type Record struct {
	At       Position
	Time     time.Time
	Ingested time.Time
	Stream   string
	Text     string
	Line     bool // a function or the platform wrote it, and ended it with a newline
	Missed   bool // it stands for records that came too fast to follow
}
