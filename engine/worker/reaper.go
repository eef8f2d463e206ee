package worker

import "time"

const (
	// tick is how often busy environments and the host are looked at, and how
	// closely an idle timeout is kept.
	tick = 500 * time.Millisecond
	// emptyPool is how long a pool without environments is remembered for what it
	// has learned.
	emptyPool = time.Minute
	// atOnce bounds the environments that are measured in one tick.
	atOnce = 64
)

// reap looks after the environments until the worker is closed: it closes those
// that were idle for too long, measures the busy ones and watches the host's
// memory. With no environment there it sleeps.
func (w *Worker) reap() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for awake := true; ; {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
			if awake {
				continue
			}
		case now := <-timer.C:
			w.look(now)
		}
		if awake = !w.idleHouse(); awake {
			timer.Reset(tick)
		}
	}
}

// idleHouse reports whether there is nothing to look after.
func (w *Worker) idleHouse() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pools) == 0
}

// look does one round.
func (w *Worker) look(now time.Time) {
	w.watchHost()
	measured := 0
	for _, p := range w.all() {
		if w.o.IdleTimeout > 0 {
			p.expire(now.Add(-w.o.IdleTimeout))
		}
		for _, s := range p.unmeasured(now, measureEvery, atOnce-measured) {
			s.measure(now)
			measured++
		}
		w.retire(p, now.Sub(p.emptied()) > emptyPool)
		p.consider()
	}
	w.unblock()
}

// unmeasured gives at most n environments whose memory may have changed since they
// were measured, which is so long ago at least.
func (p *pool) unmeasured(now time.Time, age time.Duration, n int) []*slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*slot
	for s := range p.slots {
		if len(found) >= n {
			break
		}
		if s.env != nil && s.state != idle && s.state != leaving && now.Sub(s.measured) >= age {
			found = append(found, s)
		}
	}
	return found
}

// emptied tells since when the pool has no environment; now when it has one.
func (p *pool) emptied() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) > 0 {
		return time.Now()
	}
	return p.empty
}

// retire forgets a pool that has no environment and nobody waiting, if it is stale
// or that is wanted.
func (w *Worker) retire(p *pool, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || len(p.slots) > 0 || p.waiting.length > 0 || !(wanted || p.stale) {
		return
	}
	if p.kept != nil && p.kept.Wanted() > 0 && !p.stale {
		return // it is to have some again
	}
	p.gone = true
	delete(w.pools, p)
	w.registry.remove(p)
}

// watchHost closes idle environments while the host has less memory available than
// its reserve, and lets none be started until it has it again.
func (w *Worker) watchHost() {
	if w.memory.limit == 0 {
		return
	}
	available, err := w.o.Host.Available()
	if err != nil {
		return // said once at the start; the budget still counts
	}
	short := w.o.HostReserve - available
	w.memory.Lock()
	changed := w.memory.pressed != (short > 0)
	w.memory.pressed = short > 0
	w.memory.Unlock()
	if short > 0 {
		closed := w.shed(short)
		if changed || closed > 0 {
			w.log.Warn("the host is short of memory", "available", available, "reserve", w.o.HostReserve, "closed", closed)
		}
	}
}

// shed has idle environments closed until some bytes are free or none is left, and
// gives their number.
func (w *Worker) shed(bytes int64) int {
	n := len(w.idlest(nil, shortage{bytes: bytes}))
	if n == 0 {
		for _, p := range w.all() {
			n += p.expire(time.Time{})
		}
	}
	return n
}
