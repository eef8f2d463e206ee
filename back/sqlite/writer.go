package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"kiln"
	"kiln/engine/catalog"
)

// busyTimeout is how long a commit waits for another program, such as a backup or a
// curious administrator, to take its lock off the file.
const busyTimeout = time.Second

const (
	maxQueued     = 1024    // commits that wait; more wait outside, with their context
	maxBatch      = 512     // commits of one sync
	maxBatchBytes = 4 << 20 // of their values
	checkpointAt  = 4 << 20 // size of the log, see settings
)

// request is one commit on its way through the writer.
type request struct {
	writes    []catalog.Write
	replaced  []checksum // of the records that the writes find
	revisions []uint64
	err       error
	done      chan struct{} // closed when revisions and err are valid
}

// Commit applies all writes or none; see catalog.Store.
func (s *Store) Commit(ctx context.Context, writes []catalog.Write) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(writes) == 0 {
		return nil, nil
	}
	r := &request{writes: writes, done: make(chan struct{})}
	if err := s.enqueue(ctx, r); err != nil {
		return nil, err
	}
	<-r.done // it began: it is carried through
	return r.revisions, r.err
}

func (s *Store) enqueue(ctx context.Context, r *request) error {
	for {
		took := s.write.took() // before looking, so that no batch is missed
		s.mu.RLock()
		if s.closed {
			s.mu.RUnlock()
			return &kiln.Error{Code: kiln.Unavailable, Message: "The server is going down.", Err: errors.New("store is closed")}
		}
		select {
		case s.queue <- r:
			s.mu.RUnlock()
			return nil
		default:
		}
		s.mu.RUnlock()
		select { // full: wait until the writer has taken a batch
		case <-took:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// state is what the file says about all its records together.
type state struct {
	id       string // of this file, for life
	revision uint64 // the last one given
	count    int64
	digest   checksum // of all records, in any order
}

// writer is the one connection that writes, and the goroutine that uses it.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	path  string
	mark  *os.File
	state state
	limit int64 // size of the log at which to checkpoint, as a rule
	next  int64 // the same, now

	current, put, del, setState *sql.Stmt

	mu     sync.Mutex
	failed error
	batch  chan struct{} // closed and replaced whenever a batch was taken
}

func openWriter(ctx context.Context, db *sql.DB, path string, known *mark, limit int64) (*writer, error) {
	w := &writer{db: db, path: path, limit: limit, next: limit, batch: make(chan struct{})}
	var err error
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	if w.state, err = prepareFile(ctx, w.conn, known); err != nil {
		return nil, errors.Join(err, w.conn.Close())
	}
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&w.current, `SELECT revision, sum FROM records WHERE key = ?`},
		{&w.put, `INSERT INTO records (key, revision, value, sum) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value, sum = excluded.sum`},
		{&w.del, `DELETE FROM records WHERE key = ?`},
		{&w.setState, `UPDATE state SET revision = ?, count = ?, digest = ?, sum = ? WHERE one = 1`},
	} {
		if *p.to, err = w.conn.PrepareContext(ctx, p.text); err != nil {
			return nil, errors.Join(err, w.conn.Close())
		}
	}
	if w.mark, err = createMark(path, w.state); err != nil {
		return nil, errors.Join(err, w.conn.Close())
	}
	return w, nil
}

// close brings the log into the main file and closes both.
func (w *writer) close() error {
	var err error
	if w.failure() == nil {
		err = w.checkpoint()
	}
	for _, s := range []*sql.Stmt{w.current, w.put, w.del, w.setState} {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, w.conn.Close(), w.db.Close(), w.mark.Close())
}

func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// took gives a channel that is closed when the next batch is taken from the queue.
func (w *writer) took() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.batch
}

// run takes everything that waits, commits it together, and answers.
func (w *writer) run(queue <-chan *request) {
	for first := range queue {
		batch := collect(first, queue)
		w.mu.Lock()
		close(w.batch)
		w.batch = make(chan struct{})
		w.mu.Unlock()
		w.commit(batch)
		for _, r := range batch {
			close(r.done)
		}
		w.checkpointWhenDue()
	}
}

func collect(first *request, queue <-chan *request) []*request {
	batch, size := []*request{first}, first.size()
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r, ok := <-queue:
			if !ok {
				return batch
			}
			batch, size = append(batch, r), size+r.size()
		default:
			return batch
		}
	}
	return batch
}

func (r *request) size() int {
	n := 0
	for _, w := range r.writes {
		n += len(w.Value)
	}
	return n
}

// commit applies a batch in one transaction. A request that is stale fails alone;
// any other failure is everybody's.
func (w *writer) commit(batch []*request) {
	err := w.failure()
	if err == nil {
		if err = w.transact(batch); err == nil {
			return
		}
		err = w.judge(err)
	}
	for _, r := range batch {
		if r.err == nil {
			r.revisions, r.err = nil, err
		}
	}
}

func (w *writer) transact(batch []*request) (err error) {
	ctx := context.Background() // a commit that began is carried through
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = w.conn.ExecContext(ctx, "ROLLBACK") // fails when SQLite did it already
		}
	}()
	next := w.state
	for _, r := range batch {
		if r.err = w.check(ctx, r); errors.Is(r.err, catalog.ErrStale) || errors.Is(r.err, errTwice) {
			continue
		} else if r.err != nil {
			err, r.err = r.err, nil
			return err
		}
		if err := w.apply(ctx, r, &next); err != nil {
			return err
		}
	}
	if next != w.state {
		sum := next.sum()
		if _, err := w.setState.ExecContext(ctx, int64(next.revision), next.count, next.digest[:], sum[:]); err != nil {
			return err
		}
	}
	if _, err := w.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	w.state = next
	if err := writeMark(w.mark, w.state); err != nil {
		_ = w.judge(err) // kept in failed: this batch is durable, there will be no other
	}
	return nil
}

// errTwice is a programmer's error: a commit that contradicts itself.
var errTwice = errors.New("two writes of one commit have the same key")

// check compares every revision that a request expects with the stored one, and
// notes what is there.
func (w *writer) check(ctx context.Context, r *request) error {
	seen := make(map[string]struct{}, len(r.writes))
	r.replaced = make([]checksum, len(r.writes))
	for i, wr := range r.writes {
		if _, twice := seen[wr.Key]; twice {
			return fmt.Errorf("%w: %q", errTwice, wr.Key)
		}
		seen[wr.Key] = struct{}{}
		var revision uint64
		var err error
		if revision, r.replaced[i], err = w.stored(ctx, wr.Key); err != nil {
			return err
		}
		if revision != wr.Expect {
			return fmt.Errorf("%w: %q is at %d, not at %d", catalog.ErrStale, wr.Key, revision, wr.Expect)
		}
	}
	return nil
}

// stored gives revision and checksum of a record; revision 0 is that there is none.
func (w *writer) stored(ctx context.Context, key string) (uint64, checksum, error) {
	var revision int64
	var raw []byte
	err := w.current.QueryRowContext(ctx, key).Scan(&revision, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, checksum{}, nil
	}
	if err != nil {
		return 0, checksum{}, err
	}
	var sum checksum
	copy(sum[:], raw)
	return uint64(revision), sum, nil
}

// apply makes the writes of a checked request, and gives each its revision.
func (w *writer) apply(ctx context.Context, r *request, next *state) error {
	r.revisions = make([]uint64, len(r.writes))
	for i, wr := range r.writes {
		if wr.Expect != 0 {
			next.digest.mix(r.replaced[i])
			next.count--
		}
		next.revision++
		r.revisions[i] = next.revision
		if wr.Value == nil {
			if _, err := w.del.ExecContext(ctx, wr.Key); err != nil {
				return err
			}
			continue
		}
		sum := recordSum(wr.Key, next.revision, wr.Value)
		next.digest.mix(sum)
		next.count++
		if _, err := w.put.ExecContext(ctx, wr.Key, int64(next.revision), wr.Value, sum[:]); err != nil {
			return err
		}
	}
	return nil
}

// checkpointWhenDue brings the log into the main file when it has grown. It runs
// when the callers have their answers. A failure stops the store: the log still
// has everything.
func (w *writer) checkpointWhenDue() {
	info, err := os.Stat(w.path + "-wal")
	if err != nil || info.Size() < w.next || w.failure() != nil {
		return
	}
	if err := w.checkpoint(); err != nil {
		_ = w.judge(err) // kept in failed
	}
	if info, err = os.Stat(w.path + "-wal"); err == nil {
		w.next = max(w.limit, 2*info.Size()) // a reader may hold it up
	}
}

// checkpoint brings the log into the main file as far as readers allow: it never
// waits for them.
func (w *writer) checkpoint() error {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "PRAGMA busy_timeout(0)"); err != nil {
		return err
	}
	var busy, frames, moved int
	err := w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	_, back := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", busyTimeout.Milliseconds()))
	return errors.Join(err, back)
}
