// Package logs keeps what functions write and what the platform says about them in
// append-only files of bounded size, one sequence of files for each log group. It
// takes events without ever making an environment wait: a bounded queue stands
// between them and the one goroutine that owns the files, and what does not fit is
// counted and said in the log itself. It never parses what a function wrote, never
// indexes it, and never touches the store of the catalog.
package logs

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Defaults of Options.
const (
	DefaultFileBytes  = 16 << 20
	DefaultRotated    = 2
	DefaultQueueBytes = 8 << 20
	DefaultLinger     = 10 * time.Millisecond
)

// maxText is the longest text of a record, as it is of AWS's log service; what is
// longer is cut.
const maxText = 256 << 10

// Options bound a Store. Zero values stand for the defaults.
type Options struct {
	FileBytes  int64 // a file that has reached it is rotated
	Rotated    int   // how many rotated files a group keeps besides the one that grows
	QueueBytes int   // of events that are not written yet
	// Linger is how long events are collected before they are written together.
	Linger time.Duration
	Logger *slog.Logger
}

// Store is the logs of one data directory. It is safe for concurrent use.
type Store struct {
	o     Options
	log   *slog.Logger
	queue *queue

	requests chan func() // run by the writer, between two batches
	stop     chan struct{}
	ended    chan struct{} // closed when the writer has ended
	once     sync.Once

	// Owned by the writer.
	files     *files
	followers map[*follower]struct{}
	spare     []telemetry.Event
	closeErr  error
}

var _ telemetry.Sink = (*Store)(nil)

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("the log store is closed")

// Open opens the logs in dir, which is made if it does not exist, and starts their
// writer. A record that a crash has torn is skipped from then on.
func Open(dir string, o Options) (*Store, error) {
	o.FileBytes = cmp.Or(o.FileBytes, DefaultFileBytes)
	o.Rotated = cmp.Or(o.Rotated, DefaultRotated)
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	o.Linger = cmp.Or(o.Linger, DefaultLinger)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	files, err := openFiles(root, o.FileBytes, o.Rotated, o.Logger)
	if err != nil {
		_ = root.Close() // the first error says more
		return nil, err
	}
	s := &Store{
		o: o, log: o.Logger, queue: newQueue(o.QueueBytes), files: files, followers: map[*follower]struct{}{},
		requests: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go s.write()
	return s, nil
}

// Emit takes one event. It never blocks; an event without a source is nobody's, and
// one that its source's log does not have is not kept either.
func (s *Store) Emit(e telemetry.Event) {
	if e.Source != nil && e.Logged() {
		s.queue.put(&e)
	}
}

// Close writes what was emitted before it and ends the writer and every follower.
// What is emitted later is lost. It is idempotent.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.queue.close()
		close(s.stop)
	})
	<-s.ended
	return s.closeErr
}

// write is the writer: the only one that touches the files. It ends with Close.
func (s *Store) write() {
	defer close(s.ended)
	linger := time.NewTimer(s.o.Linger)
	linger.Stop()
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	s.files.retire(time.Now())
	for {
		select {
		case <-s.queue.ready:
			linger.Reset(s.o.Linger)
		case <-s.queue.urgent:
			s.drain()
		case <-linger.C:
			s.drain()
		case now := <-hourly.C:
			s.drain()
			s.files.retire(now)
		case do := <-s.requests:
			s.drain()
			do()
		case <-s.stop:
			s.drain()
			for f := range s.followers {
				close(f.ended)
			}
			s.closeErr = s.files.close()
			return
		}
	}
}

// drain writes everything that is in the queue and shows it to the followers.
func (s *Store) drain() {
	events, dropped := s.queue.take(s.spare)
	for i := range events {
		s.keep(recordOf(&events[i]), events[i].Source)
	}
	now := time.Now()
	for source, n := range dropped {
		e := telemetry.Event{Time: now, Type: telemetry.Dropped, Source: source, Count: n}
		s.keep(recordOf(&e), source)
	}
	s.files.flush()
	clear(events)           // no line stays alive for the next batch's sake
	if cap(events) > 4096 { // a flood is over: its memory goes
		events = nil
	}
	s.spare = events
}

// keep puts one record into its file's buffer and before its followers.
func (s *Store) keep(r Record, source *telemetry.Source) {
	s.files.add(&r, source)
	for f := range s.followers {
		f.offer(&r)
	}
}

// do has the writer run something after it has written all that was emitted
// before, and waits for it.
func (s *Store) do(what func()) error {
	done := make(chan struct{})
	select {
	case s.requests <- func() { defer close(done); what() }:
		<-done
		return nil
	case <-s.ended:
		return ErrClosed
	}
}

// recordOf makes the record of an event.
func recordOf(e *telemetry.Event) Record {
	text := e.Text()
	if len(text) > maxText {
		text = text[:maxText]
	}
	return Record{
		Time: e.Time, Type: e.Type, Function: e.Source.Function, Version: e.Source.Version,
		Group: e.Source.Group, Stream: e.Source.Stream, RequestID: e.RequestID, Text: text,
	}
}

// Group is one log group.
type Group struct {
	Scope   kiln.Scope
	Name    string
	Bytes   int64 // of all its files
	Written time.Time
	Created time.Time
	Days    int // how long records are kept; 0 is as long as there is room
	Tags    map[string]string
}

// Groups lists the groups of a scope by name; of the zero scope: all.
func (s *Store) Groups(scope kiln.Scope) ([]Group, error) {
	var groups []Group
	err := s.do(func() { groups = s.files.list(scope) })
	return groups, err
}

// Group tells of one group.
func (s *Store) Group(scope kiln.Scope, group string) (g Group, err error) {
	err = s.ask(func() error {
		f := s.files.groups[groupKey{scope, group}]
		if f == nil {
			return noGroup(group)
		}
		g = f.describe()
		return nil
	})
	return g, err
}

// DeleteGroup removes a group and all its records. A group that is written to
// later begins anew.
func (s *Store) DeleteGroup(scope kiln.Scope, group string) error {
	var err error
	if closed := s.do(func() { err = s.files.delete(scope, group) }); closed != nil {
		return closed
	}
	return err
}
