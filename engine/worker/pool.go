package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"kiln"
)

// measureEvery is how often one environment is measured at most.
const measureEvery = time.Second

// lateness is how long after a drop a call to the dropped revision counts as one
// that was resolved before it.
const lateness = time.Second

// Errors that the worker makes often or compares.
var (
	errGone   = errors.New("the pool is gone")
	errEnding = &kiln.Error{Code: kiln.Unavailable, Message: "The server is shutting down.", RetryAfter: time.Second}
)

// pool is the environments of one key and the callers that wait for one.
type pool struct {
	w      *Worker
	key    kiln.EnvironmentKey
	target kiln.Target
	limit  int64 // bytes one environment can use at most

	mu      sync.Mutex
	waiting queue
	slots   map[*slot]struct{} // all, in whatever state
	idle    []*slot            // the one that is idle for longest first; the last is taken
	count   [leaving + 1]int   // slots by state
	running int                // callers between getting a slot and its answer
	learned int64              // what an environment of this revision costs
	kept    *kiln.Provision    // how many environments are kept initialised; nil of pools that grow with their callers
	empty   time.Time          // when the last slot left

	stale  bool // serves who waits and keeps nothing
	ending bool // takes no new callers
	gone   bool // forgotten by the worker: look it up again
	queued bool // in the starter's hands

	failures int // starts that failed in a row
	failed   error
	retryAt  time.Time
}

// newPool makes a pool without environments. The registry does not know it yet.
func newPool(w *Worker, key kiln.EnvironmentKey, target kiln.Target) *pool {
	return &pool{
		w: w, key: key, target: target, limit: int64(target.Version.Config.MemoryMB) << 20,
		slots: map[*slot]struct{}{}, empty: time.Now(),
	}
}

// take gives the environment that was used last, or waits for whichever comes
// first: one that is freed or a new one.
func (p *pool) take(ctx context.Context) (*slot, uint64, time.Duration, error) {
	p.mu.Lock()
	switch {
	case p.gone:
		p.mu.Unlock()
		return nil, 0, 0, errGone
	case p.ending:
		p.mu.Unlock()
		return nil, 0, 0, errEnding
	}
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		s.hot, s.awake = time.Since(s.since) < p.w.o.Linger, false
		use := p.lend(s)
		p.mu.Unlock()
		return s, use, 0, nil
	}
	began := time.Now()
	if err := p.hopeless(began); err != nil {
		p.mu.Unlock()
		return nil, 0, 0, err
	}
	if p.w.waiting.Add(1) > int64(p.w.o.MaxWaiting) {
		p.w.waiting.Add(-1)
		p.mu.Unlock()
		return nil, 0, 0, full()
	}
	wait, _ := p.w.waiters.Get().(*waiter)
	if wait == nil {
		wait = newWaiter()
	}
	p.waiting.push(wait)
	p.mu.Unlock()
	s, use, err := p.wait(ctx, wait, began)
	p.w.waiters.Put(wait)
	p.w.waiting.Add(-1)
	return s, use, time.Since(began), err
}

// wait returns the slot that the waiter was granted, or an error when that takes
// too long, the caller goes away or no environment can be made.
func (p *pool) wait(ctx context.Context, wait *waiter, began time.Time) (*slot, uint64, error) {
	recheck := p.consider()
	wait.timer.Reset(shorter(recheck, p.w.o.MaxWait))
	defer wait.timer.Stop()
	for {
		select {
		case g := <-wait.granted:
			return g.slot, g.use, g.err
		case <-ctx.Done():
			if g, granted := p.withdraw(wait); granted && g.slot != nil {
				p.putBack(g.slot, g.use)
			}
			return nil, 0, kiln.Errorf(kiln.Unavailable, "the caller left while waiting for an environment: %w", context.Cause(ctx))
		case <-wait.timer.C:
			left := p.w.o.MaxWait - time.Since(began)
			if left <= 0 {
				if g, granted := p.withdraw(wait); granted {
					return g.slot, g.use, g.err
				}
				return nil, 0, p.late()
			}
			p.impatient()
			wait.timer.Reset(shorter(p.consider(), left))
		}
	}
}

// withdraw takes a waiter out of the queue; if it was granted something before, it
// gives that.
func (p *pool) withdraw(wait *waiter) (grant, bool) {
	p.mu.Lock()
	mine := p.waiting.remove(wait)
	p.mu.Unlock()
	if mine {
		p.w.tell()
		return grant{}, false
	}
	return <-wait.granted, true
}

// consider has environments started if more callers wait than will be served by
// what is there. It says after what time it should be asked again; 0 is not.
func (p *pool) consider() time.Duration {
	now := time.Now()
	p.mu.Lock()
	need := p.need(now)
	start := need > 0 && !p.queued
	if start {
		p.queued = true
	}
	var recheck time.Duration
	if p.waiting.length > 0 {
		switch {
		case now.Before(p.retryAt):
			recheck = p.retryAt.Sub(now)
		case need < p.waiting.length && p.count[settling] > 0:
			recheck = p.w.o.SettleTime
		}
	}
	p.mu.Unlock()
	if start {
		p.w.want(p)
	}
	return recheck
}

// need says how many environments should be started. It needs the lock.
func (p *pool) need(now time.Time) int {
	if now.Before(p.retryAt) {
		return 0
	}
	if p.kept != nil && !p.stale && !p.ending {
		return p.kept.Wanted() - len(p.slots) + p.count[leaving]
	}
	free := p.count[idle]
	if p.w.o.IdleTimeout > 0 {
		free += p.count[settling]
	}
	return grow(p.waiting.length, free, p.count[starting], p.w.o.MaxEnvironments-len(p.slots)+p.count[leaving])
}

// impatient stops counting upon the environments that have answered and are still
// not free: they do something after their answer that may take long.
func (p *pool) impatient() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[settling] == 0 {
		return
	}
	for s := range p.slots {
		if s.state == settling {
			p.move(s, slow)
		}
	}
}

// lend gives a slot to a caller. It needs the lock.
func (p *pool) lend(s *slot) uint64 {
	p.move(s, busy)
	s.use++
	s.served++
	p.running++
	return s.use
}

// answered is called once for each slot that was lent, when Invoke has returned.
// broken means that the environment must not be used again.
func (p *pool) answered(s *slot, use uint64, broken bool) {
	p.mu.Lock()
	p.running--
	if s.use == use { // else the next caller has it by now
		switch {
		case broken:
			p.dismiss(s)
		case s.state == busy:
			p.move(s, settling)
		}
	}
	p.mu.Unlock()
	p.w.tell()
}

// shorter gives the smaller of two waits, where a is not there when it is 0.
func shorter(a, b time.Duration) time.Duration {
	if a > 0 {
		return min(a, b)
	}
	return b
}
