// Package sqlite keeps the catalog of one machine in a SQLite file. A commit is
// durable when it returns: write-ahead log, synchronous=FULL, one writer that takes
// many commits into one sync.
//
// It finds out at Open when anything is missing or changed: each record carries a
// checksum, all records together have one, and a mark beside the file says how far
// the last process came. It refuses then, by name, and never goes on with less.
//
// It knows nothing of functions: records are keys and bytes. It never tries a
// failed sync again.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"kiln/engine/catalog"

	_ "modernc.org/sqlite" // the driver
)

var _ catalog.Store = (*Store)(nil)

// Store is an open file of records. Its methods are safe for concurrent use.
type Store struct {
	path  string
	read  *sql.DB
	write *writer
	queue chan *request

	mu     sync.RWMutex // read-held while a request is put into the queue
	closed bool
	work   sync.WaitGroup
}

// Open opens the file, or makes it when the directory has never had one. Errors
// are ErrMissing, ErrDamaged or ErrNewer where one of them is the cause; nothing is
// changed then.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path, settings{synchronous: "FULL", checkpointAt: checkpointAt})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// settings are what tests change: how the disk is reached and when it is synced.
type settings struct {
	vfs          string // SQLite's name for a way to the disk; "" is its own
	synchronous  string
	checkpointAt int64 // size of the log at which it is brought into the main file
}

func open(ctx context.Context, path string, with settings) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	mark, err := readMark(path)
	if err != nil {
		return nil, err
	}
	if err := ensureFile(path, mark); err != nil {
		return nil, err
	}
	s := &Store{path: path, queue: make(chan *request, maxQueued)}
	w, err := sql.Open("sqlite", dataSource(path, "rwc", with))
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	s.write, err = openWriter(ctx, w, path, mark, with.checkpointAt)
	if err != nil {
		return nil, errors.Join(named(err), w.Close())
	}
	if s.read, err = sql.Open("sqlite", dataSource(path, "ro", with)); err != nil {
		return nil, errors.Join(err, s.write.close())
	}
	s.read.SetMaxOpenConns(4)
	s.work.Go(func() { s.write.run(s.queue) })
	return s, nil
}

// Close lets the commits that began finish, ends the writer and brings everything
// into the main file.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	s.work.Wait()
	return errors.Join(s.read.Close(), s.write.close())
}

// Err is nil as long as the store takes commits; otherwise it says why it does not
// any more.
func (s *Store) Err() error { return s.write.failure() }

// dataSource is the address of the file with the settings of every connection.
func dataSource(path, mode string, with settings) string {
	q := url.Values{}
	q.Set("mode", mode)
	if with.vfs != "" {
		q.Set("vfs", with.vfs)
	}
	for _, p := range []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"synchronous(" + with.synchronous + ")",
		"wal_autocheckpoint(0)", // the writer does it and looks at the result
		"cell_size_check(1)",
		"trusted_schema(0)",
	} {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// ensureFile makes the file, readable by its owner only, when the directory has
// never had one.
func ensureFile(path string, m *mark) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() > 0:
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	wal, walErr := os.Stat(path + "-wal")
	if m != nil || walErr == nil && wal.Size() > 0 {
		return fmt.Errorf("%w: it was there before; restore it from a backup, or remove its whole directory to begin anew", ErrMissing)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
