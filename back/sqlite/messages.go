package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kiln"
	"kiln/engine/queues"
)

var _ queues.Store = (*Messages)(nil)

const (
	// messagesSchema is what this program writes and the highest that it reads.
	messagesSchema = 1
	// messagesApplication is "kilm": the file says what it is.
	messagesApplication = 0x6b696c6d
)

// The order of messages is a table of its own: it is read whole at the start and
// changed with each receive, while contents are written once and read one by one.
const messagesTables = `
CREATE TABLE queues (
	number   INTEGER PRIMARY KEY,
	settings BLOB NOT NULL
);
CREATE TABLE heads (
	number   INTEGER PRIMARY KEY,
	queue    INTEGER NOT NULL,
	lane     TEXT NOT NULL,
	source   TEXT NOT NULL,
	sent     INTEGER NOT NULL,
	visible  INTEGER NOT NULL,
	first    INTEGER NOT NULL,
	receives INTEGER NOT NULL,
	before   INTEGER NOT NULL
);
CREATE TABLE messages (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	about  BLOB NOT NULL,
	body   TEXT NOT NULL
);
CREATE TABLE seen (
	queue  INTEGER NOT NULL,
	key    TEXT NOT NULL,
	id     TEXT NOT NULL,
	number INTEGER NOT NULL,
	until  INTEGER NOT NULL,
	PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX seen_until ON seen (until);`

// Messages keeps queues of messages in a file of their own. Its methods are safe for
// concurrent use.
type Messages struct {
	*scribe

	putQueue, dropQueue, dropQueueSeen *sql.Stmt
	putHead, putMessage, setHead       *sql.Stmt
	dropHead, dropMessage              *sql.Stmt
	putSeen, forget                    *sql.Stmt
	load                               *sql.Stmt
}

// queueRecord is the settings of a queue as they are stored.
type queueRecord struct {
	Account      string            `json:"account"`
	Region       string            `json:"region"`
	Name         string            `json:"name"`
	Visibility   time.Duration     `json:"visibility"`
	Delay        time.Duration     `json:"delay,omitempty"`
	Retention    time.Duration     `json:"retention"`
	Wait         time.Duration     `json:"wait,omitempty"`
	MaxMessage   int               `json:"maxMessage"`
	DeadLetters  string            `json:"deadLetters,omitempty"` // ARN
	MaxReceives  int               `json:"maxReceives,omitempty"`
	ContentBased bool              `json:"contentBased,omitempty"`
	PerGroup     bool              `json:"perGroup,omitempty"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Created      time.Time         `json:"created"`
	Modified     time.Time         `json:"modified"`
}

// messageRecord is what a message says besides its body.
type messageRecord struct {
	ID         string                           `json:"id"`
	Attributes map[string]kiln.MessageAttribute `json:"attributes,omitempty"`
	Trace      string                           `json:"trace,omitempty"`
	Sender     string                           `json:"sender,omitempty"`
	Group      string                           `json:"group,omitempty"`
	Dedup      string                           `json:"dedup,omitempty"`
}

// OpenMessages opens the file, or makes it when there is none.
func OpenMessages(ctx context.Context, path string) (*Messages, error) {
	m, err := openMessages(ctx, path, settings{synchronous: "FULL"})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return m, nil
}

func openMessages(ctx context.Context, path string, with settings) (*Messages, error) {
	s, err := openScribe(ctx, path, format{"a file of kiln's messages", messagesApplication, messagesSchema, messagesTables}, with)
	if err != nil {
		return nil, err
	}
	m := &Messages{scribe: s}
	return m, s.begin(ctx, []statement{
		{&m.putQueue, `INSERT INTO queues (number, settings) VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET settings = excluded.settings`},
		{&m.dropQueue, `DELETE FROM queues WHERE number = ?`},
		{&m.dropQueueSeen, `DELETE FROM seen WHERE queue = ?`},
		{&m.putHead, `INSERT INTO heads (number, queue, lane, source, sent, visible, first, receives, before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&m.putMessage, `INSERT INTO messages (number, about, body) VALUES (?, ?, ?)`},
		{&m.setHead, `UPDATE heads SET queue = ?, source = ?, sent = ?, visible = ?, first = ?, receives = ?, before = ? WHERE number = ? AND receives <= ?`},
		{&m.dropHead, `DELETE FROM heads WHERE number = ?`},
		{&m.dropMessage, `DELETE FROM messages WHERE number = ?`},
		{&m.putSeen, `INSERT INTO seen (queue, key, id, number, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, number = excluded.number, until = excluded.until`},
		{&m.forget, `DELETE FROM seen WHERE until <= ?`},
	}, []statement{
		{&m.load, `SELECT about, body FROM messages WHERE number = ?`},
	})
}

// nanos gives a time as it is stored: 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment reads what nanos wrote.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// Load is queues.Store.
func (m *Messages) Load(ctx context.Context) (*queues.Contents, error) {
	c := &queues.Contents{}
	err := m.rows(ctx, `SELECT number, settings FROM queues`, func(rows *sql.Rows) error {
		var number int64
		var text []byte
		if err := rows.Scan(&number, &text); err != nil {
			return err
		}
		settings, err := readQueue(text)
		if err != nil {
			return fmt.Errorf("%w: queue %d: %w", ErrDamaged, number, err)
		}
		c.Queues = append(c.Queues, queues.Entry{Number: uint64(number), Queue: settings})
		return nil
	})
	same := map[string]string{} // many messages share their lane and their source
	intern := func(s string) string {
		if known, ok := same[s]; ok {
			return known
		}
		same[s] = s
		return s
	}
	err = errors.Join(err, m.rows(ctx, `SELECT number, queue, lane, source, sent, visible, first, receives, before FROM heads ORDER BY number`, func(rows *sql.Rows) error {
		var h queues.Head
		var number, queue, sent, visible, first int64
		if err := rows.Scan(&number, &queue, &h.Group, &h.Source, &sent, &visible, &first, &h.Receives, &h.Before); err != nil {
			return err
		}
		h.Number, h.Queue, h.Group, h.Source = uint64(number), uint64(queue), intern(h.Group), intern(h.Source)
		h.Sent, h.Visible, h.First = moment(sent), moment(visible), moment(first)
		c.Heads = append(c.Heads, h)
		return nil
	}))
	err = errors.Join(err, m.rows(ctx, `SELECT queue, key, id, number, until FROM seen`, func(rows *sql.Rows) error {
		var s queues.Seen
		var queue, number, until int64
		if err := rows.Scan(&queue, &s.Key, &s.ID, &number, &until); err != nil {
			return err
		}
		s.Queue, s.Number, s.Until = uint64(queue), uint64(number), moment(until)
		c.Seen = append(c.Seen, s)
		return nil
	}))
	var last int64
	if found := m.read.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'messages'`).Scan(&last); found != nil && !errors.Is(found, sql.ErrNoRows) {
		err = errors.Join(err, named(found))
	}
	c.Last = uint64(last)
	return c, err
}

// rows calls f for each row of a query.
func (m *Messages) rows(ctx context.Context, query string, f func(*sql.Rows) error) error {
	rows, err := m.read.QueryContext(ctx, query)
	if err != nil {
		return named(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return named(err)
		}
	}
	return named(rows.Err())
}

// Commit is queues.Store.
func (m *Messages) Commit(ctx context.Context, c *queues.Changes) error {
	size := 100 * (len(c.Set) + len(c.Drop))
	records := make([][]byte, len(c.Put))
	for i, p := range c.Put {
		text, err := json.Marshal(messageRecord{p.Message.ID, p.Message.Attributes, p.Message.Trace, p.Message.Sender, p.Message.Group, p.Message.Dedup})
		if err != nil {
			return err
		}
		records[i], size = text, size+len(text)+len(p.Message.Body)
	}
	settings := make([][]byte, len(c.Queues))
	for i, q := range c.Queues {
		text, err := writeQueue(&q.Queue)
		if err != nil {
			return err
		}
		settings[i], size = text, size+len(text)
	}
	return m.change(ctx, size, func(ctx context.Context) error {
		do := &doing{ctx: ctx}
		for i, q := range c.Queues {
			do.exec(m.putQueue, int64(q.Number), settings[i])
		}
		for _, n := range c.Gone {
			do.exec(m.dropQueue, int64(n))
			do.exec(m.dropQueueSeen, int64(n))
		}
		for i, p := range c.Put {
			h := p.Head
			do.exec(m.putMessage, int64(h.Number), records[i], p.Message.Body)
			do.exec(m.putHead, int64(h.Number), int64(h.Queue), h.Group, h.Source, nanos(h.Sent), nanos(h.Visible), nanos(h.First), h.Receives, h.Before)
		}
		for _, h := range c.Set {
			do.exec(m.setHead, int64(h.Queue), h.Source, nanos(h.Sent), nanos(h.Visible), nanos(h.First), h.Receives, h.Before, int64(h.Number), h.Receives)
		}
		for _, n := range c.Drop {
			do.exec(m.dropHead, int64(n))
			do.exec(m.dropMessage, int64(n))
		}
		for _, s := range c.Seen {
			do.exec(m.putSeen, int64(s.Queue), s.Key, s.ID, int64(s.Number), nanos(s.Until))
		}
		if !c.Forget.IsZero() {
			do.exec(m.forget, nanos(c.Forget))
		}
		return do.err
	})
}

// doing executes statements until one fails.
type doing struct {
	ctx context.Context
	err error
}

func (d *doing) exec(s *sql.Stmt, args ...any) {
	if d.err == nil {
		_, d.err = s.ExecContext(d.ctx, args...)
	}
}

// Messages is queues.Store.
func (m *Messages) Messages(ctx context.Context, numbers []uint64) (map[uint64]kiln.Message, error) {
	out := make(map[uint64]kiln.Message, len(numbers))
	for _, n := range numbers {
		var text []byte
		var body string
		err := m.load.QueryRowContext(ctx, int64(n)).Scan(&text, &body)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, named(err)
		}
		var r messageRecord
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%w: message %d: %w", ErrDamaged, n, err)
		}
		out[n] = kiln.Message{ID: r.ID, Body: body, Attributes: r.Attributes, Trace: r.Trace, Sender: r.Sender, Group: r.Group, Dedup: r.Dedup}
	}
	return out, nil
}

// writeQueue gives the record of a queue.
func writeQueue(q *kiln.MessageQueue) ([]byte, error) {
	r := queueRecord{
		q.ID.Account, q.ID.Region, q.ID.Name, q.Visibility, q.Delay, q.Retention, q.Wait, q.MaxMessage, "", q.MaxReceives,
		q.ContentBased, q.PerGroup, q.Attributes, q.Tags, q.Created, q.Modified,
	}
	if q.DeadLetters != (kiln.QueueID{}) {
		r.DeadLetters = q.DeadLetters.ARN()
	}
	return json.Marshal(r)
}

// readQueue reads what writeQueue wrote.
func readQueue(text []byte) (kiln.MessageQueue, error) {
	var r queueRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return kiln.MessageQueue{}, err
	}
	q := kiln.MessageQueue{
		ID:         kiln.QueueID{Scope: kiln.Scope{Account: r.Account, Region: r.Region}, Name: r.Name},
		Visibility: r.Visibility, Delay: r.Delay, Retention: r.Retention, Wait: r.Wait, MaxMessage: r.MaxMessage, MaxReceives: r.MaxReceives,
		ContentBased: r.ContentBased, PerGroup: r.PerGroup, Attributes: r.Attributes, Tags: r.Tags, Created: r.Created, Modified: r.Modified,
	}
	var err error
	if r.DeadLetters != "" {
		q.DeadLetters, err = kiln.ParseQueueARN(r.DeadLetters)
	}
	return q, err
}
