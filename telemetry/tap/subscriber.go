package tap

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"kiln/telemetry"
)

// Patience with a receiver. None of it runs while the subscriber is paused.
const (
	attemptTime = 3 * time.Second // of one try to send a batch
	firstWait   = 25 * time.Millisecond
	longestWait = 2 * time.Second
	attempts    = 10 // then the batch is dropped
)

// Dial connects to a port of the environment.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Subscriber sends the events that it is offered to one receiver, in order and in
// batches. It holds at most two batches.
type Subscriber struct {
	subscription Subscription
	extension    string
	send         sender

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine has ended
	wake   chan struct{} // has a token when there is something to look at

	mu      sync.Mutex
	batch   batch
	source  *telemetry.Source
	dropped drops
	total   drops         // since the beginning
	paused  time.Time     // since when; zero when it is not
	resumed chan struct{} // closed by Resume; nil when it is not paused
	waiting []chan struct{}
	sending bool
	attempt *clock
	closed  bool
}

// New makes a subscriber that sends through dial, and starts it.
func New(s *Subscription, extension string, dial Dial) *Subscriber {
	x := &Subscriber{
		subscription: *s, extension: extension, ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	x.batch.s = &x.subscription
	x.send = newSender(&x.subscription, dial)
	x.ctx, x.cancel = context.WithCancel(context.Background())
	go x.run()
	return x
}

// Subscription says what was subscribed to.
func (x *Subscriber) Subscription() Subscription { return x.subscription }

// Extension names whose subscription it is.
func (x *Subscriber) Extension() string { return x.extension }

// Dropped counts the records that never reached the receiver.
func (x *Subscriber) Dropped() (records, bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.total.records, x.total.bytes
}

// Offer takes one event that the subscription wants and nothing of any other. It never
// waits: what does not fit is counted, and told when there is room again. A runtime
// that is done is told at once, since extensions wait for it.
func (x *Subscriber) Offer(e *telemetry.Event) {
	if !x.subscription.Wants(e.Type) {
		return
	}
	item := e.AppendJSON(nil, x.subscription.Schema)
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	x.source = e.Source
	empty := x.batch.items == 0
	if x.dropped.records > 0 && empty {
		x.tellDropped(now)
	}
	if !x.batch.add(item, now) {
		x.drop(1, len(item))
		x.nudge()
		return
	}
	if e.Type == telemetry.RuntimeDone {
		x.batch.hurry = true
	}
	if empty || x.batch.hurry || x.batch.full() {
		x.nudge()
	}
}

// drop counts what is lost. It needs mu.
func (x *Subscriber) drop(records, bytes int) {
	for _, d := range []*drops{&x.dropped, &x.total} {
		d.records += int64(records)
		d.bytes += int64(bytes)
	}
}

// tellDropped puts the count of what was lost into the batch, if the receiver wants to
// know. It needs mu.
func (x *Subscriber) tellDropped(now time.Time) {
	e := x.dropped.event(now, x.source)
	if x.subscription.Wants(telemetry.Dropped) {
		x.batch.add(e.AppendJSON(nil, x.subscription.Schema), now)
	}
}

// nudge has the goroutine look.
func (x *Subscriber) nudge() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Pause stops sending, because the processes of the environment do not run: nothing new
// is sent, and no time passes for what is on its way.
func (x *Subscriber) Pause() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.resumed != nil {
		return
	}
	x.paused, x.resumed = time.Now(), make(chan struct{})
	if x.attempt != nil {
		x.attempt.stop(x.paused)
	}
}

// Resume goes on as if no time had passed.
func (x *Subscriber) Resume() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.resumed == nil {
		return
	}
	now := time.Now()
	x.batch.first = x.batch.first.Add(now.Sub(x.paused))
	if x.attempt != nil {
		x.attempt.start(now)
	}
	close(x.resumed)
	x.paused, x.resumed = time.Time{}, nil
	x.nudge()
}

// Flush sends what was offered so far without waiting for more, and returns when the
// receiver has it or it was given up, or when ctx ends. While the subscriber is paused
// it returns at once.
func (x *Subscriber) Flush(ctx context.Context) {
	x.mu.Lock()
	if x.closed || x.resumed != nil || (x.batch.items == 0 && !x.sending) {
		x.mu.Unlock()
		return
	}
	done := make(chan struct{})
	x.waiting = append(x.waiting, done)
	x.batch.hurry = x.batch.items > 0
	x.nudge()
	x.mu.Unlock()
	select {
	case <-done:
	case <-x.ended:
	case <-ctx.Done():
	}
}

// Close ends the subscriber and waits for its goroutine. What was not sent is lost.
func (x *Subscriber) Close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.cancel()
	<-x.ended
}

// run sends batches when they are due, until Close.
func (x *Subscriber) run() {
	defer close(x.ended)
	defer x.send.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p, wait := x.next(time.Now())
		if p != nil {
			x.deliver(p)
			continue
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-x.wake:
		case <-x.ctx.Done():
			return
		}
	}
}

// next gives the batch that is due, or how long to wait for it; 0 is until something
// happens.
func (x *Subscriber) next(now time.Time) (*parcel, time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.resumed != nil || x.closed {
		return nil, 0
	}
	at, ok := x.batch.due()
	if !ok {
		x.release()
		return nil, 0
	}
	if wait := at.Sub(now); !at.IsZero() && wait > 0 {
		return nil, wait
	}
	p := x.batch.take()
	x.sending = true
	if x.dropped.records > 0 {
		x.tellDropped(now)
	}
	return &p, 0
}

// release lets everybody go on who waits for a flush. It needs mu.
func (x *Subscriber) release() {
	for _, done := range x.waiting {
		close(done)
	}
	x.waiting = nil
}

// deliver sends one batch, again and again with growing pauses while that fails; a
// receiver may not be there yet, or be gone for good.
func (x *Subscriber) deliver(p *parcel) {
	wait := firstWait
	for n := 1; ; n++ {
		if !x.ready() {
			return
		}
		err := x.try(p)
		if err == nil || x.ctx.Err() != nil {
			break
		}
		if errors.Is(err, errPaused) {
			n--
			continue
		}
		if n == attempts {
			x.mu.Lock()
			x.drop(p.items, p.bytes)
			x.mu.Unlock()
			break
		}
		select {
		case <-time.After(wait):
		case <-x.ctx.Done():
			return
		}
		wait = min(2*wait, longestWait)
	}
	x.mu.Lock()
	x.sending = false
	if len(x.waiting) > 0 {
		x.batch.hurry = x.batch.items > 0
	}
	x.mu.Unlock()
}

// ready waits while the subscriber is paused; it reports false when it was closed.
func (x *Subscriber) ready() bool {
	for {
		x.mu.Lock()
		resumed := x.resumed
		x.mu.Unlock()
		if resumed == nil {
			return x.ctx.Err() == nil
		}
		select {
		case <-resumed:
		case <-x.ctx.Done():
			return false
		}
	}
}

// try sends a batch once.
func (x *Subscriber) try(p *parcel) error {
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	x.mu.Lock()
	if x.resumed != nil { // paused in this moment
		x.mu.Unlock()
		return errPaused
	}
	x.attempt = newClock(attemptTime, time.Now(), cancel)
	x.mu.Unlock()
	err := x.send.send(ctx, p.body)
	x.mu.Lock()
	x.attempt.stop(time.Now())
	x.attempt = nil
	x.mu.Unlock()
	return err
}

// clock ends something after a time that can be stopped. Its owner's lock guards it.
type clock struct {
	timer *time.Timer
	left  time.Duration
	began time.Time
}

// newClock starts a clock.
func newClock(limit time.Duration, now time.Time, end func()) *clock {
	return &clock{timer: time.AfterFunc(limit, end), left: limit, began: now}
}

// stop keeps the time that is left.
func (c *clock) stop(now time.Time) {
	if c.timer.Stop() {
		c.left = max(0, c.left-now.Sub(c.began))
	}
}

// start goes on with the time that is left.
func (c *clock) start(now time.Time) {
	c.began = now
	c.timer.Reset(c.left)
}
