package sqlite

import (
	"errors"
	"fmt"

	"kiln"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Why a file is refused.
var (
	// ErrMissing: the file is gone or empty though it existed.
	ErrMissing = errors.New("the catalog's file is missing")
	// ErrDamaged: the file does not hold what was written to it.
	ErrDamaged = errors.New("the catalog's file is damaged")
	// ErrNewer: a later version of the program wrote the file.
	ErrNewer = errors.New("the catalog's file was written by a newer kiln")
)

// named marks what SQLite says about a broken file as ErrDamaged.
func named(err error) error {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// judge decides what a failed write means. A full disk and a lock of another
// program pass: the next commit may succeed. After anything else, a failed sync
// above all, nobody knows what the disk holds: the store takes nothing any more.
func (w *writer) judge(err error) error {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server cannot store the change: no space is left on its disk.", Err: err}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server cannot store the change: another program has locked its catalog.", Err: err}
	}
	refusal := &kiln.Error{
		Code: kiln.Unavailable, Err: fmt.Errorf("write %s: %w", w.path, named(err)),
		Message: "The server cannot store changes: its disk failed. Check the disk and restart the server.",
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = refusal
	}
	return w.failed
}

// code gives the extended result code of SQLite, or 0.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
