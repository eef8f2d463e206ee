package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	*scribe

	putEvent, putHead, dropHead, dropEvent *sql.Stmt
	heads, load                            *sql.Stmt
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
	s, err := openScribe(ctx, path, format{"a queue of kiln", queueApplication, queueSchema, queueTables}, with)
	if err != nil {
		return nil, err
	}
	q := &Queue{scribe: s}
	return q, s.begin(ctx, []statement{
		{&q.putEvent, `INSERT INTO events (about, payload) VALUES (?, ?)`},
		{&q.putHead, `INSERT INTO heads (function, due, number, tries) VALUES (?, ?, ?, ?)`},
		{&q.dropHead, `DELETE FROM heads WHERE function = ? AND due = ? AND number = ?`},
		{&q.dropEvent, `DELETE FROM events WHERE number = ?`},
	}, []statement{
		{&q.heads, `SELECT due, number, tries FROM heads WHERE function = ? ORDER BY due, number LIMIT ?`},
		{&q.load, `SELECT about, payload FROM events WHERE number = ?`},
	})
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
	return q.change(ctx, len(text)+len(payload), func(ctx context.Context) error {
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
	return q.change(ctx, 100, func(ctx context.Context) error {
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
	return q.change(ctx, 100, func(ctx context.Context) error {
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
