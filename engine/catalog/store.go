package catalog

import (
	"context"
	"errors"
	"io"

	"kiln"
)

// Store keeps records under keys, durably. It is small enough to stand on a
// key-value bus: storetest.Suite is what an implementation must pass.
//
// A key is made of parts of [A-Za-z0-9_$.-] joined by "/"; keys order bytewise.
type Store interface {
	// Scan calls f for every record whose key begins with prefix, in the order of
	// keys, as they were at one moment between the beginning and the end of Scan.
	// It ends with the first error of f. A store that finds its data damaged or
	// incomplete says so and never hands out less than there was.
	Scan(ctx context.Context, prefix string, f func(Record) error) error
	// Commit applies all writes or none, and returns the new revisions, one for
	// each write, when they are durable. It is ErrStale, and nothing was written,
	// when the revision that a write expects is not the one that is stored. A
	// commit that began is carried through even when ctx ends. After any other
	// error the store holds the old state or, after a crash only, the new one.
	Commit(ctx context.Context, writes []Write) ([]uint64, error)
}

// Record is one value as it is stored.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64 // grows with every change of the store; never 0
}

// Write is one change of a Commit. Two writes of one Commit never have the same
// key.
type Write struct {
	Key    string
	Value  []byte // nil deletes the record
	Expect uint64 // revision that is stored now; 0 is that there is none
}

// ErrStale is the answer to a Commit that was made from an older state.
var ErrStale = errors.New("record has another revision")

// Blob is an open package.
type Blob = interface {
	io.ReaderAt
	io.Closer
}

// Blobs keeps packages by the SHA-256 of their bytes, in lower-case hex.
// storetest.BlobSuite is what an implementation must pass.
type Blobs interface {
	// Put stores what r gives and returns its digest and size when it is durable.
	// Nothing is kept when it fails. Putting the same bytes again is cheap.
	Put(ctx context.Context, r io.Reader) (sha256 string, size int64, err error)
	// Open opens a package. One whose bytes do not have its digest is an error, and
	// so is one that is not there (kiln.NotFound).
	Open(sha256 string) (Blob, int64, error)
	// Sweep removes the packages for which keep says no, and reports how many. It
	// asks right before each removal, and no Put of that digest returns between
	// the question and the removal.
	Sweep(ctx context.Context, keep func(sha256 string) bool) (removed int, err error)
}

// Preparer puts the package and the runtime of a version in place, so that it can
// run. It returns nil only when they are; a *kiln.Error says what is wrong with the
// version.
type Preparer interface {
	Prepare(ctx context.Context, v *kiln.Version) error
}

// Releaser is an optional power of a Preparer: it names the release of the runtime that
// serves a version now, "" when none does.
type Releaser interface {
	Release(ctx context.Context, v *kiln.Version) string
}
