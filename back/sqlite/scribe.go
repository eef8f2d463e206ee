package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"kiln"
)

const (
	// scribeLog is the size of the log at which it is brought into the main file.
	scribeLog = 16 << 20
	// vacuumPages is how many free pages are given back to the disk at a time.
	vacuumPages = 4096
)

// format is what a file says of itself, so that no other is taken for it.
type format struct {
	what        string // "a queue of kiln"
	application int
	schema      int // that this program writes, and the highest that it reads
	tables      string
}

// scribe is a file whose changes are made by one goroutine, many of them with one sync.
// A change is durable when change returns. What reads it has connections of its own.
type scribe struct {
	path  string
	read  *sql.DB
	db    *sql.DB
	conn  *sql.Conn
	queue chan *change
	next  int64 // size of the log at which to bring it into the main file

	prepared []*sql.Stmt

	mu     sync.RWMutex // read-held while a change is put into the queue
	closed bool
	work   sync.WaitGroup
	failed error // the writer's own: it takes nothing any more
}

// change is one change on its way through the writer.
type change struct {
	apply func(ctx context.Context) error
	size  int
	err   error
	done  chan struct{}
}

// openScribe opens the file, or makes it when there is none. begin starts the writer.
func openScribe(ctx context.Context, path string, f format, with settings) (*scribe, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := ensureFile(path, nil); err != nil {
		return nil, err
	}
	s := &scribe{path: path, queue: make(chan *change, maxQueued), next: scribeLog}
	if s.db, err = sql.Open("sqlite", dataSource(path, "rwc", with)); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if err := s.prepare(ctx, f); err != nil {
		return nil, errors.Join(named(err), s.conn.Close(), s.db.Close())
	}
	if s.read, err = sql.Open("sqlite", dataSource(path, "ro", with)); err != nil {
		return nil, errors.Join(err, s.conn.Close(), s.db.Close())
	}
	s.read.SetMaxOpenConns(4)
	return s, nil
}

// prepare makes the tables of a new file, or checks that an old one is ours.
func (s *scribe) prepare(ctx context.Context, f format) error {
	var version, app, objects int64
	for _, p := range []struct {
		text string
		to   *int64
	}{{"PRAGMA user_version", &version}, {"PRAGMA application_id", &app}, {"SELECT count(*) FROM sqlite_schema", &objects}} {
		if err := s.conn.QueryRowContext(ctx, p.text).Scan(p.to); err != nil {
			return err
		}
	}
	switch {
	case version == 0 && app == 0 && objects == 0:
		return s.create(ctx, f)
	case app != int64(f.application):
		return fmt.Errorf("%w: it is not %s", ErrDamaged, f.what)
	case version > int64(f.schema):
		return fmt.Errorf("%w: it has schema %d and this program reads up to %d", ErrNewer, version, f.schema)
	}
	return nil
}

func (s *scribe) create(ctx context.Context, f format) error {
	for _, text := range []string{
		"PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "PRAGMA journal_mode(WAL)",
		"BEGIN", f.tables, fmt.Sprintf("PRAGMA application_id = %d", f.application), fmt.Sprintf("PRAGMA user_version = %d", f.schema), "COMMIT",
	} {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// statement is a text of SQL and where its statement is put.
type statement struct {
	to   **sql.Stmt
	text string
}

// begin prepares what the writer and the readers say, and starts the writer. After an
// error the scribe is closed.
func (s *scribe) begin(ctx context.Context, writes, reads []statement) error {
	err := s.statements(ctx, s.conn, writes)
	if err == nil {
		err = s.statements(ctx, s.read, reads)
	}
	if err != nil {
		return errors.Join(named(err), s.shut())
	}
	s.work.Go(s.run)
	return nil
}

// preparer is a connection or a pool of them.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func (s *scribe) statements(ctx context.Context, on preparer, list []statement) error {
	for _, p := range list {
		var err error
		if *p.to, err = on.PrepareContext(ctx, p.text); err != nil {
			return err
		}
		s.prepared = append(s.prepared, *p.to)
	}
	return nil
}

// Close lets the changes that began finish and ends the writer.
func (s *scribe) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	s.work.Wait()
	return s.shut()
}

func (s *scribe) shut() error {
	var err error
	for _, p := range s.prepared {
		err = errors.Join(err, p.Close())
	}
	return errors.Join(err, s.read.Close(), s.conn.Close(), s.db.Close())
}

// change makes one change durable. size is about how many bytes it writes.
func (s *scribe) change(ctx context.Context, size int, apply func(context.Context) error) error {
	c := &change{apply: apply, size: size, done: make(chan struct{})}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server is going down.", Err: errors.New("the file is closed")}
	}
	select {
	case s.queue <- c:
		s.mu.RUnlock()
	case <-ctx.Done():
		s.mu.RUnlock()
		return ctx.Err()
	}
	<-c.done // it began: it is carried through
	return c.err
}

// run takes all changes that wait, makes them together, and answers.
func (s *scribe) run() {
	for first := range s.queue {
		batch, size := []*change{first}, first.size
	more:
		for len(batch) < maxBatch && size < maxBatchBytes {
			select {
			case c, ok := <-s.queue:
				if !ok {
					break more
				}
				batch, size = append(batch, c), size+c.size
			default:
				break more
			}
		}
		err := s.failed
		if err == nil {
			if err = s.transact(batch); err != nil {
				err = s.judge(err)
			}
		}
		for _, c := range batch {
			c.err = err
			close(c.done)
		}
		s.checkpointWhenDue()
	}
	if s.failed == nil {
		_ = s.checkpoint() // the log has everything
	}
}

// transact makes changes in one transaction: all of them or none.
func (s *scribe) transact(batch []*change) (err error) {
	ctx := context.Background() // what began is carried through
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, c := range batch {
		if err = c.apply(ctx); err != nil {
			break
		}
	}
	if err == nil {
		_, err = s.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = s.conn.ExecContext(ctx, "ROLLBACK") // fails when SQLite did it already
	}
	return err
}

// judge decides what a failed write means, as the catalog's writer does.
func (s *scribe) judge(err error) error {
	w := &writer{path: s.path}
	err = w.judge(err)
	if w.failed != nil {
		s.failed = w.failed
	}
	return err
}

// checkpointWhenDue brings the log into the main file when it has grown, and gives
// pages that nobody uses back to the disk.
func (s *scribe) checkpointWhenDue() {
	info, err := os.Stat(s.path + "-wal")
	if err != nil || info.Size() < s.next || s.failed != nil {
		return
	}
	if err := s.checkpoint(); err != nil {
		_ = s.judge(err) // kept in failed
	}
	if info, err = os.Stat(s.path + "-wal"); err == nil {
		s.next = max(scribeLog, 2*info.Size()) // a reader may hold it up
	}
}

func (s *scribe) checkpoint() error {
	ctx := context.Background()
	if _, err := s.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)); err != nil {
		return err
	}
	var busy, frames, moved int
	return s.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
}
