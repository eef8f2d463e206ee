package worker

import (
	"context"
	"errors"
	"time"

	"kiln"
)

// state is where a slot stands. Only the pool changes it, under its lock.
type state int

const (
	starting state = iota // being made, or in its init
	busy                  // a caller has it
	settling              // it has answered and is not free yet; counted upon
	slow                  // the same for longer than callers count upon
	idle                  // in the pool's idle list
	leaving               // out of the pool; being closed
)

// slot is one environment's place in a pool, with the one goroutine that watches
// over it from its start to its end.
type slot struct {
	pool  *pool
	env   Environment   // set once, before the first token
	stop  chan struct{} // closed to have the environment closed
	made  chan struct{} // closed when the launch is over, well or not
	calm  *time.Timer   // rings when it has lingered
	ready chan struct{} // closed when init is over or the environment is
	gone  chan struct{} // closed when nothing of the environment is left

	// Guarded by the pool.
	state    state
	stopped  bool   // stop is closed
	up       bool   // ready is closed
	use      uint64 // counts the callers that had it
	served   int
	since    time.Time // of being idle; before that, of being made
	hot      bool      // its last call came at once after the one before
	awake    bool      // idle and not frozen yet
	measured time.Time
	memory   int64 // what it was measured at

	charge int64 // guarded by the worker's memory lock
}

// newSlot makes the slot of an environment that is to be made.
func newSlot(p *pool, cost int64, now time.Time) *slot {
	s := &slot{
		pool: p, stop: make(chan struct{}), made: make(chan struct{}), ready: make(chan struct{}), gone: make(chan struct{}),
		calm: time.NewTimer(time.Hour), state: starting, since: now, charge: cost,
	}
	s.calm.Stop()
	return s
}

// live has the environment made, takes its tokens until it is over or to be closed,
// then closes it and gives everything back.
func (s *slot) live() {
	defer close(s.gone)
	defer s.calm.Stop()
	if err := s.launch(); err != nil {
		s.pool.abort(s, err)
		return
	}
	for s.turn() {
	}
	s.pool.leave(s)
	w := s.pool.w
	if p, ok := s.env.(parter); ok {
		p.Part()
	}
	w.closer <- struct{}{}
	if err := s.env.Close(); err != nil {
		w.log.Error("closing an environment", "function", s.pool.target.Version.Function, "error", err)
	}
	<-w.closer
	w.giveBack(s)
	s.pool.forget(s)
}

// parter is an environment whose processes may take their time to end: Part asks them
// to and waits for it, so that those which do not keep others from being closed. Close
// must follow.
type parter interface{ Part() }

// launch has the environment made.
func (s *slot) launch() error {
	defer close(s.made)
	p, w := s.pool, s.pool.w
	ctx, cancel := context.WithTimeout(w.ctx, w.o.LaunchTimeout)
	defer cancel()
	env, err := w.o.Launcher.Launch(ctx, p.key, p.target)
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = kiln.Errorf(kiln.Unavailable, "an environment was not made within %v: %w", w.o.LaunchTimeout, err)
		}
		return err
	}
	p.mu.Lock()
	s.env = env
	p.mu.Unlock()
	return nil
}

// turn waits for one token and acts on it; false means that the end has come.
func (s *slot) turn() bool {
	select {
	case _, open := <-s.env.Idle():
		return open && s.pool.freed(s)
	case <-s.calm.C:
		return s.pool.lingered(s)
	case <-s.stop:
		return false
	}
}

// measure asks what the environment uses, tells the budget and lets the pool learn
// from it. An environment that cannot be measured keeps its charge: it is ending.
func (s *slot) measure(now time.Time) {
	u, err := s.env.Usage()
	if err != nil {
		return
	}
	p := s.pool
	cost := charge(u.MemoryBytes, p.limit, p.w.o.Headroom)
	p.mu.Lock()
	s.measured, s.memory = now, u.MemoryBytes
	p.learned = learn(p.learned, cost)
	p.mu.Unlock()
	p.w.recharge(s, cost)
}
