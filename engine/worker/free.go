package worker

import (
	"slices"
	"time"

	"kiln"
)

// freed takes a token: the slot goes to whoever waits for longest, or rests. False
// means that the environment is to be closed.
func (p *pool) freed(s *slot) bool {
	p.mu.Lock()
	if s.state == starting && p.kept != nil && hasFailed(s.env) {
		p.mu.Unlock()
		return false // a call may try the init again, but this one is to be ready before any comes
	}
	if s.state == starting {
		p.failures, p.failed, p.retryAt = 0, nil, time.Time{}
		p.move(s, settling)
		s.arrive()
	}
	if s.state == idle || s.state == leaving || s.stopped {
		ok := s.state == idle && !s.stopped // a token too many changes nothing
		p.mu.Unlock()
		return ok
	}
	return p.offer(s)
}

// lingered freezes a slot that was idle for as long as it may be unfrozen. False
// means that the environment is to be closed.
func (p *pool) lingered(s *slot) bool {
	p.mu.Lock()
	if s.state != idle || !s.awake || s.stopped {
		ok := !s.stopped // a caller was faster
		p.mu.Unlock()
		return ok
	}
	p.unshelve(s)
	s.hot = false
	return p.offer(s)
}

// putBack returns a slot that was lent and not used.
func (p *pool) putBack(s *slot, use uint64) {
	p.mu.Lock()
	p.running--
	if s.use != use || s.state != busy || s.stopped {
		p.mu.Unlock()
		p.w.tell()
		return
	}
	s.served--
	if !p.offer(s) {
		p.mu.Lock()
		s.close()
		p.mu.Unlock()
	}
	p.w.tell()
}

// offer finds the next use of a slot that is free. It is called with the lock held
// and returns without it; false means that there is none and the environment is to
// be closed. A slot is frozen while nobody can take it, so that a freeze never meets
// an invocation; one that is hot lingers first.
func (p *pool) offer(s *slot) bool {
	now, since := time.Now(), s.since
	if !s.awake {
		since = now
	}
	due := now.Sub(s.measured) >= measureEvery
	for rested := false; ; rested = true {
		if s.stopped || p.w.o.IdleTimeout == 0 && s.served > 0 {
			p.mu.Unlock()
			return false
		}
		if wait := p.waiting.pop(); wait != nil {
			s.hot, s.awake = p.w.o.Linger > 0, false
			g := grant{slot: s, use: p.lend(s)}
			p.mu.Unlock()
			wait.granted <- g
			p.remeasure(s, now, due)
			return true
		}
		if p.stale || p.ending || p.w.o.IdleTimeout == 0 && p.kept == nil {
			p.mu.Unlock()
			return false
		}
		if rested || s.hot {
			s.since, s.awake = since, !rested
			p.shelve(s)
			p.mu.Unlock()
			if !rested {
				s.calm.Reset(p.w.o.Linger)
			}
			p.remeasure(s, now, due)
			p.w.unblock()
			return true
		}
		p.move(s, settling)
		p.mu.Unlock()
		s.env.Rest()
		p.mu.Lock()
	}
}

// shelve makes a slot idle and keeps the order of the idle list, which a slot that
// has lingered may have lost its place in. It needs the lock.
func (p *pool) shelve(s *slot) {
	p.move(s, idle)
	at := len(p.idle)
	for at > 0 && p.idle[at-1].since.After(s.since) {
		at--
	}
	p.idle = slices.Insert(p.idle, at, s)
}

// unshelve takes a slot out of the idle list. It needs the lock.
func (p *pool) unshelve(s *slot) {
	if i := slices.Index(p.idle, s); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
}

// remeasure measures a slot if it is due.
func (p *pool) remeasure(s *slot, now time.Time, due bool) {
	if due {
		s.measure(now)
	}
}

// leave takes a slot out of whatever it is in: its environment is being closed.
func (p *pool) leave(s *slot) {
	p.mu.Lock()
	was := s.state
	p.dismiss(s)
	s.arrive()
	p.mu.Unlock()
	if was == starting && p.w.ctx.Err() == nil {
		why := kiln.Errorf(kiln.Unavailable, "the environment ended while it started")
		if p.kept != nil && hasFailed(s.env) {
			why = kiln.Errorf(kiln.Unavailable, "the function failed its init")
		}
		p.fail(why)
	}
	p.consider()
	p.w.tell()
}

// forget ends the last trace of a slot that is leaving.
func (p *pool) forget(s *slot) {
	p.mu.Lock()
	p.count[leaving]--
	delete(p.slots, s)
	if len(p.slots) == 0 {
		p.empty = time.Now()
	}
	p.mu.Unlock()
	p.w.retire(p, false)
	p.w.unblock()
	p.w.tell()
}

// expire has the idle environments closed that nobody has used since before; all
// of them when the zero time is given. It gives their number.
func (p *pool) expire(before time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, most := 0, len(p.idle)
	if p.kept != nil && !p.stale && !p.ending {
		most = min(most, max(0, len(p.slots)-p.count[leaving]-p.kept.Wanted()))
		before = time.Time{}
	}
	for n < most && (before.IsZero() || p.idle[n].since.Before(before)) {
		p.idle[n].close()
		p.move(p.idle[n], leaving)
		n++
	}
	p.idle = slices.Delete(p.idle, 0, n)
	return n
}

// dismiss has an environment closed and lets nobody have it any more. It needs the
// lock.
func (p *pool) dismiss(s *slot) {
	if s.state == idle {
		p.unshelve(s)
	}
	p.move(s, leaving)
	s.close()
}

// close has the environment closed by its watcher. It needs the pool's lock.
func (s *slot) close() {
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
}

// arrive tells the starter that this start is over. It needs the pool's lock.
func (s *slot) arrive() {
	if !s.up {
		s.up = true
		close(s.ready)
	}
}

// move changes the state of a slot and the counts. It needs the lock.
func (p *pool) move(s *slot, to state) {
	p.count[s.state]--
	s.state = to
	p.count[to]++
	p.tellKept()
}
