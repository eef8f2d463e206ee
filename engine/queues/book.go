package queues

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln"
)

// sweepEvery is how often messages and memories are looked for that are too old.
const sweepEvery = time.Minute

// chunk is how many messages are dropped or moved with one commit.
const chunk = 500

// Options is what a Book is made of. Logger may be nil.
type Options struct {
	Store  Store
	Logger *slog.Logger
}

// Book is all queues. Its methods are safe for concurrent use; times are those of the
// machine's clock.
type Book struct {
	store Store
	log   *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	turn chan struct{} // holds a token unless queues are being changed

	mu     sync.Mutex
	queues map[kiln.QueueID]*queue
	last   uint64 // number given
	tasks  []*task
}

// queue is one queue: its settings and the order of its messages.
type queue struct {
	number uint64

	mu       sync.Mutex
	settings *kiln.MessageQueue // never changed, only replaced
	order    *order
	seen     map[string]*seen
	attempts map[string]attempt
	gone     bool
	purged   time.Time
	signal   chan struct{} // closed and replaced when somebody should look again
}

// seen is a message that may be repeated. done is closed when it is durable, or has
// failed and is forgotten.
type seen struct {
	Seen
	done chan struct{}
}

// Open begins with what the store has.
func Open(ctx context.Context, o Options) (*Book, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	all, err := o.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	b := &Book{store: o.Store, log: o.Logger, turn: make(chan struct{}, 1), queues: map[kiln.QueueID]*queue{}, last: all.Last}
	b.turn <- struct{}{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	byNumber := map[uint64]*queue{}
	for _, e := range all.Queues {
		q := newQueue(e.Number, &e.Queue)
		byNumber[e.Number], b.queues[e.Queue.ID] = q, q
		b.last = max(b.last, e.Number)
	}
	now := time.Now()
	var lost []uint64 // of queues that were being deleted
	for _, h := range all.Heads {
		if q := byNumber[h.Queue]; q != nil {
			q.order.add(h, false, now)
		} else {
			lost = append(lost, h.Number)
		}
		b.last = max(b.last, h.Number)
	}
	done := make(chan struct{})
	close(done)
	for _, s := range all.Seen {
		if q := byNumber[s.Queue]; q != nil && s.Until.After(now) {
			q.seen[s.Key] = &seen{s, done}
		}
		b.last = max(b.last, s.Number)
	}
	b.work.Go(func() {
		if err := b.drop(b.ctx, lost); err != nil && b.ctx.Err() == nil {
			b.log.Warn("messages of deleted queues are still there", "error", err)
		}
		b.sweep()
	})
	return b, nil
}

func newQueue(number uint64, settings *kiln.MessageQueue) *queue {
	return &queue{
		number: number, settings: settings, order: newOrder(settings.ID.FIFO()), seen: map[string]*seen{}, attempts: map[string]attempt{},
		signal: make(chan struct{}),
	}
}

// Close ends what waits and what runs beside. Calls after it fail with their store.
func (b *Book) Close() error {
	b.cancel()
	b.work.Wait()
	return nil
}

// number gives a number that was never given before. It grows with the clock, so that
// it does so over the death of a process.
func (b *Book) number(now time.Time) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last+1, uint64(now.UnixNano()))
	return b.last
}

// wake lets everybody look again who waits for a message.
func (q *queue) wake() {
	close(q.signal)
	q.signal = make(chan struct{})
}

// NotFound is the error for a queue that is not there.
func notFound() error { return kiln.Errorf(kiln.NotFound, "The specified queue does not exist.") }

func (b *Book) find(id kiln.QueueID) (*queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[id]; q != nil {
		return q, nil
	}
	return nil, notFound()
}

// Queue gives a queue. One that is not there is kiln.NotFound. What it returns must not
// be changed.
func (b *Book) Queue(id kiln.QueueID) (*kiln.MessageQueue, error) {
	q, err := b.find(id)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.settings, nil
}

// Queues gives the queues of a scope in the order of their names.
func (b *Book) Queues(in kiln.Scope) []*kiln.MessageQueue {
	b.mu.Lock()
	var found []*queue
	for id, q := range b.queues {
		if id.Scope == in {
			found = append(found, q)
		}
	}
	b.mu.Unlock()
	out := make([]*kiln.MessageQueue, len(found))
	for i, q := range found {
		q.mu.Lock()
		out[i] = q.settings
		q.mu.Unlock()
	}
	slices.SortFunc(out, func(x, y *kiln.MessageQueue) int { return strings.Compare(x.ID.Name, y.ID.Name) })
	return out
}

// Count gives how many messages a queue has.
func (b *Book) Count(id kiln.QueueID) (kiln.QueueCount, error) {
	q, err := b.find(id)
	if err != nil {
		return kiln.QueueCount{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.order.advance(time.Now())
	return kiln.QueueCount{Visible: q.order.waits(), Hidden: q.order.taken, Delayed: q.order.late}, nil
}

// begin waits for the turn to change queues. The result hands it on.
func (b *Book) begin(ctx context.Context) (end func(), err error) {
	select {
	case <-b.turn:
		return func() { b.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Create makes a queue. One that is there already is kiln.Conflict.
func (b *Book) Create(ctx context.Context, settings kiln.MessageQueue) error {
	end, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := b.find(settings.ID); err == nil {
		return kiln.Errorf(kiln.Conflict, "The queue %s is there already.", settings.ID.Name)
	}
	now := time.Now()
	settings.Created, settings.Modified = now, now
	q := newQueue(b.number(now), &settings)
	if err := b.store.Commit(ctx, &Changes{Queues: []Entry{{q.number, settings}}}); err != nil {
		return err
	}
	b.mu.Lock()
	b.queues[settings.ID] = q
	b.mu.Unlock()
	return nil
}

// Change lets change edit a copy of the settings of a queue. When change fails, nothing
// happens.
func (b *Book) Change(ctx context.Context, id kiln.QueueID, change func(*kiln.MessageQueue) error) error {
	end, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	old, err := b.Queue(id)
	if err != nil {
		return err
	}
	q, err := b.find(id)
	if err != nil {
		return err
	}
	next := *old
	if err := change(&next); err != nil {
		return err
	}
	next.Modified = time.Now()
	if err := b.store.Commit(ctx, &Changes{Queues: []Entry{{q.number, next}}}); err != nil {
		return err
	}
	q.mu.Lock()
	q.settings = &next
	q.wake()
	q.mu.Unlock()
	return nil
}

// Delete forgets a queue and all its messages.
func (b *Book) Delete(ctx context.Context, id kiln.QueueID) error {
	end, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	q, err := b.find(id)
	if err != nil {
		return err
	}
	if err := b.store.Commit(ctx, &Changes{Gone: []uint64{q.number}}); err != nil {
		return err
	}
	b.mu.Lock()
	delete(b.queues, id)
	b.mu.Unlock()
	q.mu.Lock()
	q.gone = true
	numbers := q.clear()
	q.wake()
	q.mu.Unlock()
	return b.drop(ctx, numbers) // what is left of them is dropped when the next process begins
}

// Purge drops all messages that a queue has now. It may be done once a minute, as on
// AWS: kiln.Throttled otherwise.
func (b *Book) Purge(ctx context.Context, id kiln.QueueID) error {
	q, err := b.find(id)
	if err != nil {
		return err
	}
	q.mu.Lock()
	if now := time.Now(); now.Sub(q.purged) < time.Minute {
		q.mu.Unlock()
		return kiln.Errorf(kiln.Throttled, "Only one PurgeQueue operation on %s is allowed every 60 seconds.", id.Name)
	} else {
		q.purged = now
	}
	numbers := q.clear()
	q.mu.Unlock()
	return b.drop(ctx, numbers)
}

// clear takes all messages out of the order and gives their numbers. Those that arrive
// stay.
func (q *queue) clear() []uint64 {
	var numbers []uint64
	for n, e := range q.order.all {
		if e.phase != arriving || q.gone {
			numbers = append(numbers, n)
			q.order.remove(e)
		}
	}
	return numbers
}

// drop forgets messages that no order has any more.
func (b *Book) drop(ctx context.Context, numbers []uint64) error {
	for some := range slices.Chunk(numbers, chunk) {
		if err := b.store.Commit(ctx, &Changes{Drop: some}); err != nil {
			return err
		}
	}
	return nil
}

// sweep drops what is too old, until the book is closed.
func (b *Book) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case now := <-tick.C:
			if err := b.forget(now); err != nil && b.ctx.Err() == nil {
				b.log.Warn("messages that are too old are still there", "error", err)
			}
		}
	}
}

// forget drops messages and memories that are too old.
func (b *Book) forget(now time.Time) error {
	b.mu.Lock()
	all := make([]*queue, 0, len(b.queues))
	for _, q := range b.queues {
		all = append(all, q)
	}
	b.mu.Unlock()
	var numbers []uint64
	for _, q := range all {
		q.mu.Lock()
		for _, e := range q.order.expired(now.Add(-q.settings.Retention)) {
			q.order.remove(e)
			numbers = append(numbers, e.Number)
		}
		for key, s := range q.seen {
			if !s.Until.After(now) {
				delete(q.seen, key)
			}
		}
		for name, a := range q.attempts {
			if now.Sub(a.at) >= kiln.DedupInterval {
				delete(q.attempts, name)
			}
		}
		q.mu.Unlock()
	}
	if err := b.drop(b.ctx, numbers); err != nil {
		return err
	}
	return b.store.Commit(b.ctx, &Changes{Forget: now})
}
