package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kiln"
)

// Runner takes events from the queue and runs them. One goroutine decides what starts
// when; each event that runs has a goroutine of its own.
type Runner struct {
	o   Options
	log *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	fresh map[kiln.FunctionID]struct{} // functions with events that the goroutine has not heard of
	wake  chan struct{}                // holds a token when fresh is not empty
	ended chan ended
}

// ended is what a goroutine of an event tells when it is over.
type ended struct {
	id     kiln.FunctionID
	head   Head
	result result
}

// Start takes up what the queue holds and runs it, until Close.
func Start(ctx context.Context, o Options) (*Runner, error) {
	if o.Running == 0 {
		o.Running = kiln.DefaultAccountConcurrency
	}
	if o.Lane == 0 {
		o.Lane = 100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	lanes := map[kiln.FunctionID]*lane{}
	err := o.Queue.Lanes(ctx, func(id kiln.FunctionID, _ int, first time.Time) error {
		lanes[id] = &lane{id: id, claimed: map[uint64]struct{}{}, next: first, limit: o.Lane, place: -1}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the queue of events: %w", err)
	}
	r := &Runner{o: o, log: o.Logger, fresh: map[kiln.FunctionID]struct{}{}, wake: make(chan struct{}, 1), ended: make(chan ended)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Go(func() { (&pump{Runner: r, lanes: lanes}).run() })
	return r, nil
}

// Enqueue accepts an event: when it returns nil, the event is durable and will run.
func (r *Runner) Enqueue(ctx context.Context, e *Event) error {
	if r.ctx.Err() != nil {
		return kiln.Errorf(kiln.Unavailable, "The server is going down.")
	}
	if err := r.o.Queue.Put(ctx, e); err != nil {
		return err
	}
	r.mu.Lock()
	r.fresh[e.Function] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// Stop accepts and starts no more events. Those that run go on.
func (r *Runner) Stop() { r.cancel() }

// Close stops and waits until the events that run are over, which they are at once
// when the invoker was closed before. What is left in the queue runs when the next
// process starts.
func (r *Runner) Close() error {
	r.Stop()
	r.work.Wait()
	return nil
}

// pump is the one goroutine that decides.
type pump struct {
	*Runner
	lanes   map[kiln.FunctionID]*lane
	alarms  alarms
	ring    []*lane // lanes that may start an event now, in turn
	running int
}

// run starts what is due, sleeps until something happens, and looks again.
func (p *pump) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, l := range p.lanes {
		p.alarms.set(l, l.wake(time.Now()))
	}
	for p.ctx.Err() == nil {
		now := time.Now()
		p.hear()
		p.due(now)
		p.start(now)
		timer.Reset(p.nap(now))
		select {
		case <-p.wake:
		case e := <-p.ended:
			p.end(e)
		case <-timer.C:
		case <-p.ctx.Done():
		}
	}
	for p.running > 0 {
		<-p.ended
		p.running--
	}
}

// nap is how long there is nothing to do.
func (p *pump) nap(now time.Time) time.Duration {
	if len(p.alarms) == 0 {
		return time.Hour
	}
	return max(0, p.alarms[0].alarm.Sub(now))
}

// hear learns of events that were put meanwhile.
func (p *pump) hear() {
	p.mu.Lock()
	if len(p.fresh) == 0 {
		p.mu.Unlock()
		return
	}
	fresh := p.fresh
	p.fresh = map[kiln.FunctionID]struct{}{}
	p.mu.Unlock()
	for id := range fresh {
		l := p.lanes[id]
		if l == nil {
			l = &lane{id: id, claimed: map[uint64]struct{}{}, limit: p.o.Lane, place: -1}
			p.lanes[id] = l
		}
		l.stale = true
		p.arrange(l)
	}
}

// arrange puts a lane where it belongs: into the ring when it may start something,
// else among the alarms, or nowhere.
func (p *pump) arrange(l *lane) {
	now := time.Now()
	if l.queued {
		return
	}
	if len(l.claimed) >= l.limit {
		p.alarms.set(l, time.Time{}) // the end of one of its events brings it back
		return
	}
	at := l.wake(now)
	switch {
	case at.IsZero():
		p.alarms.set(l, time.Time{})
		if l.empty() {
			delete(p.lanes, l.id)
		}
	case at.After(now):
		p.alarms.set(l, at)
	default:
		p.alarms.set(l, time.Time{})
		l.queued = true
		p.ring = append(p.ring, l)
	}
}

// due brings lanes whose time has come into the ring.
func (p *pump) due(now time.Time) {
	for len(p.alarms) > 0 && !p.alarms[0].alarm.After(now) {
		l := p.alarms[0]
		p.alarms.set(l, time.Time{})
		if len(l.heads) == 0 {
			l.stale = true
		}
		p.arrange(l)
	}
}

// start starts events, one of each lane in turn, as many as may run.
func (p *pump) start(now time.Time) {
	for len(p.ring) > 0 && p.running < p.o.Running {
		l := p.ring[0]
		p.ring = p.ring[1:]
		l.queued = false
		if len(l.heads) == 0 && l.stale {
			p.refill(l, now)
		}
		if len(l.heads) > 0 {
			h := l.heads[0]
			l.heads = l.heads[1:]
			l.claimed[h.Number] = struct{}{}
			p.running++
			p.work.Go(func() { p.one(l.id, h) })
		}
		p.arrange(l)
	}
}

// refill reads a page of a lane.
func (p *pump) refill(l *lane, now time.Time) {
	n := len(l.claimed) + page
	heads, err := p.o.Queue.Heads(p.ctx, l.id, n)
	if err != nil {
		if p.ctx.Err() == nil {
			p.log.Error("queue of events cannot be read", "function", l.id.String(), "error", err)
		}
		l.refusals++
		l.resting = now.Add(pause(l.refusals))
		return
	}
	l.take(heads, len(heads) == n, now)
}

// end takes note of an event that is over, or that is to run again.
func (p *pump) end(e ended) {
	p.running--
	l := p.lanes[e.id]
	delete(l.claimed, e.head.Number)
	if e.result == refused {
		// The event is still there; its lane goes on later, or with the end of one of
		// those that run.
		l.refusals++
		l.resting = time.Now().Add(pause(l.refusals))
		l.heads = l.heads[:0]
		l.limit = max(1, min(l.limit, len(l.claimed)))
	} else {
		l.refusals, l.resting = 0, time.Time{}
		l.limit = min(p.o.Lane, l.limit+1)
	}
	if e.result == refused || e.result == failed {
		l.stale = true
	}
	p.arrange(l)
}

// one runs an event once and deals with what comes of it.
func (p *pump) one(id kiln.FunctionID, h Head) {
	r, err := p.attempt(id, h)
	if err != nil && p.ctx.Err() == nil {
		p.log.Error("event is kept for later", "function", id.String(), "number", h.Number, "error", err)
	}
	if err != nil {
		r = refused
	}
	p.ended <- ended{id, h, r}
}

// attempt runs an event once. An error is that what came of it could not be kept or
// told: the event stays as it was.
func (p *pump) attempt(id kiln.FunctionID, h Head) (result, error) {
	ctx := context.WithoutCancel(p.ctx) // what began is brought to its end
	e, err := p.o.Queue.Load(ctx, h.Number)
	if kiln.CodeOf(err) == kiln.NotFound && err != nil {
		return vanished, p.o.Queue.Drop(ctx, id, h)
	}
	if err != nil {
		return refused, err
	}
	policy, err := p.o.Settings.EventPolicy(e.Function, e.Qualifier)
	if err != nil {
		if kiln.CodeOf(err) != kiln.NotFound {
			return refused, err
		}
		p.log.Warn("event is dropped: its function is not there any more", "function", id.String(), "request", e.ID)
		return vanished, p.o.Queue.Drop(ctx, id, h)
	}
	if expired(policy, e.Accepted, time.Now()) {
		return succeeded, p.finish(ctx, e, h, policy, Record{Condition: EventAgeExceeded, Invokes: h.Tries})
	}
	r, outcome := switchedOff, (*kiln.Outcome)(nil)
	if !policy.Off {
		r, outcome = p.invoke(e)
	}
	if p.ctx.Err() != nil && r == refused {
		return refused, nil // the server goes down; the next one runs it
	}
	v := judge(policy, e.Accepted, time.Now(), h.Tries, r)
	switch {
	case v.over && v.condition == "":
		return r, p.o.Queue.Drop(ctx, id, h)
	case v.over:
		invokes := v.tries
		if r == succeeded {
			invokes = h.Tries + 1
		}
		return r, p.finish(ctx, e, h, policy, Record{Condition: v.condition, Invokes: invokes, Outcome: outcome})
	case v.at.IsZero():
		return refused, nil
	}
	return failed, p.o.Queue.Again(ctx, id, h, v.at, v.tries)
}

// invoke calls the function.
func (p *pump) invoke(e *Event) (result, *kiln.Outcome) {
	outcome, err := p.o.Invoker.Invoke(p.ctx, &kiln.Invocation{
		ID: e.ID, Attempt: kiln.NewID(), Function: e.Function, Qualifier: e.Qualifier, Payload: e.Payload,
		Trace: e.Trace, ClientJSON: e.ClientJSON, Tenant: e.Tenant, Accepted: time.Now(),
	})
	switch {
	case err == nil && outcome.Failed:
		return failed, outcome
	case err == nil:
		return succeeded, outcome
	case kiln.CodeOf(err) == kiln.NotFound:
		return vanished, nil
	case kiln.CodeOf(err) == kiln.Recursion:
		return looping, nil
	}
	if code := kiln.CodeOf(err); code != kiln.Throttled && !errors.Is(err, context.Canceled) {
		p.log.Warn("event waits: its function cannot be run now", "function", e.Function.String(), "request", e.ID, "error", err)
	}
	return refused, nil
}

// finish tells the destination, buries the event that was given up, each if there is a
// place for it, and then forgets the event. While that place cannot take it, the event
// keeps its place among those that run; only the end of the process makes the function
// run again for it.
func (p *pump) finish(ctx context.Context, e *Event, h Head, policy kiln.EventPolicy, rec Record) error {
	arn := policy.OnFailure
	if rec.Condition == Success {
		arn = policy.OnSuccess
	}
	rec.At = time.Now()
	if err := p.deliver(ctx, arn, e, rec, p.o.Destination.Deliver); err != nil {
		return err
	}
	if rec.Condition != Success && p.o.DeadLetters != nil {
		if err := p.deliver(ctx, policy.DeadLetters, e, rec, p.o.DeadLetters.Bury); err != nil {
			return err
		}
	}
	return p.o.Queue.Drop(ctx, e.Function, h)
}

// deliver hands over what became of an event, again and again while that may help. An
// error is that the process ends before.
func (p *pump) deliver(ctx context.Context, arn string, e *Event, rec Record, to func(context.Context, string, *Event, Record) error) error {
	for n := 1; arn != ""; n++ {
		err := to(ctx, arn, e, rec)
		if err == nil {
			break
		}
		if !passing(err) {
			p.log.Error("record cannot be delivered and is lost", "destination", arn, "request", e.ID, "error", err)
			break
		}
		p.log.Warn("record waits for its destination", "destination", arn, "request", e.ID, "error", err)
		select {
		case <-time.After(pause(n)):
		case <-p.ctx.Done():
			return fmt.Errorf("destination %s: %w", arn, err)
		}
	}
	return nil
}

// passing reports whether what went wrong may be over some time later.
func passing(err error) bool {
	switch kiln.CodeOf(err) {
	case kiln.Unavailable, kiln.Throttled, kiln.Internal:
		return true
	}
	return false
}
