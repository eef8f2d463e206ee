package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kiln"
	"kiln/engine/async"
)

var _ async.Queue = (*Queue)(nil)

const (
	// queueSchema is what this program writes and the highest that it reads.
	queueSchema = 1
	// queueApplication is "kilq": the file says what it is.
	queueApplication = 0x6b696c71
	// queueLog is the size of the log at which it is brought into the main file.
	queueLog = 16 << 20
	// vacuumPages is how many free pages are given back to the disk at a time.
	vacuumPages = 4096
)

// The order of events is a table of its own: it is read whole at the start, while
// payloads are read one by one.
const queueTables = `
CREATE TABLE heads (
	function TEXT NOT NULL,
	due      INTEGER NOT NULL,
	number   INTEGER NOT NULL,
	tries    INTEGER NOT NULL,
	PRIMARY KEY (function, due, number)
) WITHOUT ROWID;
CREATE TABLE events (
	number  INTEGER PRIMARY KEY AUTOINCREMENT,
	about   BLOB NOT NULL,
	payload BLOB NOT NULL
);`

// Queue keeps events in a file of its own, so that they and the catalog never wait for
// each other. Its methods are safe for concurrent use.
type Queue struct {
	path  string
	read  *sql.DB
	db    *sql.DB
	conn  *sql.Conn
	queue chan *change
	next  int64 // size of the log at which to bring it into the main file

	putEvent, putHead, dropHead, dropEvent *sql.Stmt
	heads, load                            *sql.Stmt

	mu     sync.RWMutex // read-held while a change is put into the queue
	closed bool
	work   sync.WaitGroup
	failed error // the writer's own: it takes nothing any more
}

// change is one change on its way through the writer.
type change struct {
	apply func(ctx context.Context, q *Queue) error
	size  int
	err   error
	done  chan struct{}
}

// about is what an event says besides its payload.
type about struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	Name      string    `json:"name"`
	Qualifier string    `json:"qualifier,omitempty"`
	Trace     string    `json:"trace,omitempty"`
	Client    string    `json:"client,omitempty"`
	Tenant    string    `json:"tenant,omitempty"`
	Accepted  time.Time `json:"accepted"`
}

// OpenQueue opens the file, or makes it when there is none.
func OpenQueue(ctx context.Context, path string) (*Queue, error) {
	q, err := openQueue(ctx, path, settings{synchronous: "FULL"})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return q, nil
}

func openQueue(ctx context.Context, path string, with settings) (*Queue, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := ensureFile(path, nil); err != nil {
		return nil, err
	}
	q := &Queue{path: path, queue: make(chan *change, maxQueued), next: queueLog}
	if q.db, err = sql.Open("sqlite", dataSource(path, "rwc", with)); err != nil {
		return nil, err
	}
	q.db.SetMaxOpenConns(1)
	if q.conn, err = q.db.Conn(ctx); err != nil {
		return nil, errors.Join(err, q.db.Close())
	}
	if err := q.prepare(ctx); err != nil {
		return nil, errors.Join(named(err), q.conn.Close(), q.db.Close())
	}
	if q.read, err = sql.Open("sqlite", dataSource(path, "ro", with)); err != nil {
		return nil, errors.Join(err, q.conn.Close(), q.db.Close())
	}
	q.read.SetMaxOpenConns(4)
	if err := q.statements(ctx); err != nil {
		return nil, errors.Join(err, q.read.Close(), q.conn.Close(), q.db.Close())
	}
	q.work.Go(q.run)
	return q, nil
}

// prepare makes the tables of a new file, or checks that an old one is ours.
func (q *Queue) prepare(ctx context.Context) error {
	var version, app, objects int64
	for _, p := range []struct {
		text string
		to   *int64
	}{{"PRAGMA user_version", &version}, {"PRAGMA application_id", &app}, {"SELECT count(*) FROM sqlite_schema", &objects}} {
		if err := q.conn.QueryRowContext(ctx, p.text).Scan(p.to); err != nil {
			return err
		}
	}
	switch {
	case version == 0 && app == 0 && objects == 0:
		return q.create(ctx)
	case app != queueApplication:
		return fmt.Errorf("%w: it is not a queue of kiln", ErrDamaged)
	case version > queueSchema:
		return fmt.Errorf("%w: it has schema %d and this program reads up to %d", ErrNewer, version, queueSchema)
	}
	return nil
}

func (q *Queue) create(ctx context.Context) error {
	for _, text := range []string{
		"PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "PRAGMA journal_mode(WAL)",
		"BEGIN", queueTables, fmt.Sprintf("PRAGMA application_id = %d", queueApplication), fmt.Sprintf("PRAGMA user_version = %d", queueSchema), "COMMIT",
	} {
		if _, err := q.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) statements(ctx context.Context) error {
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&q.putEvent, `INSERT INTO events (about, payload) VALUES (?, ?)`},
		{&q.putHead, `INSERT INTO heads (function, due, number, tries) VALUES (?, ?, ?, ?)`},
		{&q.dropHead, `DELETE FROM heads WHERE function = ? AND due = ? AND number = ?`},
		{&q.dropEvent, `DELETE FROM events WHERE number = ?`},
	} {
		var err error
		if *p.to, err = q.conn.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	var err error
	if q.heads, err = q.read.PrepareContext(ctx, `SELECT due, number, tries FROM heads WHERE function = ? ORDER BY due, number LIMIT ?`); err != nil {
		return err
	}
	q.load, err = q.read.PrepareContext(ctx, `SELECT about, payload FROM events WHERE number = ?`)
	return err
}

// Close lets the changes that began finish and ends the writer.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	close(q.queue)
	q.mu.Unlock()
	q.work.Wait()
	var err error
	for _, s := range []*sql.Stmt{q.putEvent, q.putHead, q.dropHead, q.dropEvent, q.heads, q.load} {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, q.read.Close(), q.conn.Close(), q.db.Close())
}

// change makes one change durable.
func (q *Queue) change(ctx context.Context, size int, apply func(context.Context, *Queue) error) error {
	c := &change{apply: apply, size: size, done: make(chan struct{})}
	q.mu.RLock()
	if q.closed {
		q.mu.RUnlock()
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server is going down.", Err: errors.New("queue is closed")}
	}
	select {
	case q.queue <- c:
		q.mu.RUnlock()
	case <-ctx.Done():
		q.mu.RUnlock()
		return ctx.Err()
	}
	<-c.done // it began: it is carried through
	return c.err
}

// run takes all changes that wait, makes them together, and answers.
func (q *Queue) run() {
	for first := range q.queue {
		batch, size := []*change{first}, first.size
	more:
		for len(batch) < maxBatch && size < maxBatchBytes {
			select {
			case c, ok := <-q.queue:
				if !ok {
					break more
				}
				batch, size = append(batch, c), size+c.size
			default:
				break more
			}
		}
		err := q.failed
		if err == nil {
			if err = q.transact(batch); err != nil {
				err = q.judge(err)
			}
		}
		for _, c := range batch {
			c.err = err
			close(c.done)
		}
		q.checkpointWhenDue()
	}
	if q.failed == nil {
		_ = q.checkpoint() // the log has everything
	}
}

// transact makes changes in one transaction: all of them or none.
func (q *Queue) transact(batch []*change) (err error) {
	ctx := context.Background() // what began is carried through
	if _, err := q.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, c := range batch {
		if err = c.apply(ctx, q); err != nil {
			break
		}
	}
	if err == nil {
		_, err = q.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = q.conn.ExecContext(ctx, "ROLLBACK") // fails when SQLite did it already
	}
	return err
}

// judge decides what a failed write means, as the catalog's writer does.
func (q *Queue) judge(err error) error {
	w := &writer{path: q.path}
	err = w.judge(err)
	if w.failed != nil {
		q.failed = w.failed
	}
	return err
}

// checkpointWhenDue brings the log into the main file when it has grown, and gives
// pages that nobody uses back to the disk.
func (q *Queue) checkpointWhenDue() {
	info, err := os.Stat(q.path + "-wal")
	if err != nil || info.Size() < q.next || q.failed != nil {
		return
	}
	if err := q.checkpoint(); err != nil {
		_ = q.judge(err) // kept in failed
	}
	if info, err = os.Stat(q.path + "-wal"); err == nil {
		q.next = max(queueLog, 2*info.Size()) // a reader may hold it up
	}
}

func (q *Queue) checkpoint() error {
	ctx := context.Background()
	if _, err := q.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)); err != nil {
		return err
	}
	var busy, frames, moved int
	return q.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
}

// Put is async.Queue.
func (q *Queue) Put(ctx context.Context, e *async.Event) error {
	text, err := json.Marshal(about{
		e.ID, e.Function.Account, e.Function.Region, e.Function.Name, string(e.Qualifier), e.Trace, e.ClientJSON, e.Tenant, e.Accepted,
	})
	if err != nil {
		return err
	}
	payload := e.Payload
	if payload == nil {
		payload = []byte{}
	}
	return q.change(ctx, len(text)+len(payload), func(ctx context.Context, q *Queue) error {
		r, err := q.putEvent.ExecContext(ctx, text, payload)
		if err != nil {
			return err
		}
		number, err := r.LastInsertId()
		if err != nil {
			return err
		}
		_, err = q.putHead.ExecContext(ctx, e.Function.String(), e.Accepted.UnixNano(), number, 0)
		return err
	})
}

// Again is async.Queue.
func (q *Queue) Again(ctx context.Context, id kiln.FunctionID, h async.Head, due time.Time, tries int) error {
	return q.change(ctx, 100, func(ctx context.Context, q *Queue) error {
		r, err := q.dropHead.ExecContext(ctx, id.String(), h.Due.UnixNano(), int64(h.Number))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err // it is gone
		}
		_, err = q.putHead.ExecContext(ctx, id.String(), due.UnixNano(), int64(h.Number), tries)
		return err
	})
}

// Drop is async.Queue.
func (q *Queue) Drop(ctx context.Context, id kiln.FunctionID, h async.Head) error {
	return q.change(ctx, 100, func(ctx context.Context, q *Queue) error {
		if _, err := q.dropHead.ExecContext(ctx, id.String(), h.Due.UnixNano(), int64(h.Number)); err != nil {
			return err
		}
		_, err := q.dropEvent.ExecContext(ctx, int64(h.Number))
		return err
	})
}

// Lanes is async.Queue.
func (q *Queue) Lanes(ctx context.Context, f func(id kiln.FunctionID, events int, first time.Time) error) error {
	rows, err := q.read.QueryContext(ctx, `SELECT function, count(*), min(due) FROM heads GROUP BY function`)
	if err != nil {
		return named(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var n, due int64
		if err := rows.Scan(&key, &n, &due); err != nil {
			return named(err)
		}
		parts := strings.SplitN(key, "/", 3)
		if len(parts) != 3 {
			return fmt.Errorf("%w: an event belongs to %q, which is no function", ErrDamaged, key)
		}
		id := kiln.FunctionID{Scope: kiln.Scope{Account: parts[0], Region: parts[1]}, Name: parts[2]}
		if err := f(id, int(n), time.Unix(0, due)); err != nil {
			return err
		}
	}
	return named(rows.Err())
}

// Heads is async.Queue.
func (q *Queue) Heads(ctx context.Context, id kiln.FunctionID, n int) ([]async.Head, error) {
	rows, err := q.heads.QueryContext(ctx, id.String(), n)
	if err != nil {
		return nil, named(err)
	}
	defer rows.Close()
	var heads []async.Head
	for rows.Next() {
		var due, number int64
		var h async.Head
		if err := rows.Scan(&due, &number, &h.Tries); err != nil {
			return nil, named(err)
		}
		h.Due, h.Number = time.Unix(0, due), uint64(number)
		heads = append(heads, h)
	}
	return heads, named(rows.Err())
}

// Load is async.Queue.
func (q *Queue) Load(ctx context.Context, number uint64) (*async.Event, error) {
	var text []byte
	e := &async.Event{}
	err := q.load.QueryRowContext(ctx, int64(number)).Scan(&text, &e.Payload)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, kiln.Errorf(kiln.NotFound, "there is no event %d", number)
	}
	if err != nil {
		return nil, named(err)
	}
	var a about
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("%w: event %d: %w", ErrDamaged, number, err)
	}
	e.ID, e.Qualifier, e.Trace, e.ClientJSON, e.Tenant, e.Accepted = a.ID, kiln.Qualifier(a.Qualifier), a.Trace, a.Client, a.Tenant, a.Accepted
	e.Function = kiln.FunctionID{Scope: kiln.Scope{Account: a.Account, Region: a.Region}, Name: a.Name}
	return e, nil
}
