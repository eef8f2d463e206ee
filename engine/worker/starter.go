package worker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// starter gives each pool that wants an environment its turn: one start each, round
// and round, so that a burst on one function does not keep another one waiting. At
// most as many starts go on at once as free said in the beginning.
type starter struct {
	mu      sync.Mutex
	free    int     // starts that may begin
	ring    []*pool // those whose turn comes, each at most once
	blocked []*pool // those that found no room, in the order in which they try again
	waits   atomic.Int64
	closed  bool
}

// tries is how many of the pools that wait for room try again when some may have
// become free.
const tries = 8

// While a pool grows, so many of its busy environments are measured at each start
// that were not for so long; and the host is looked at no more often.
const (
	sample = 4
	haste  = 100 * time.Millisecond
)

// want puts a pool into the ring. The pool's queued is set, and stays so until its
// turn has come.
func (w *Worker) want(p *pool) { w.enter(func(s *starter) { s.ring = append(s.ring, p) }) }

// unblock lets pools try again that found no room. It is called whenever some may
// have become free and costs nothing when nobody waits.
func (w *Worker) unblock() {
	if w.starts.waits.Load() == 0 {
		return
	}
	w.enter(func(s *starter) {
		n := min(tries, len(s.blocked))
		s.ring = append(s.ring, s.blocked[:n]...)
		s.blocked = s.blocked[n:]
		s.waits.Add(int64(-n))
	})
}

// enter changes the ring and has somebody work on it.
func (w *Worker) enter(change func(*starter)) {
	s := &w.starts
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	if s.free > 0 && len(s.ring) > 0 && !s.closed {
		s.free--
		w.owned.Go(w.start)
	}
}

// closeStarts lets no start begin any more; those under way go on.
func (w *Worker) closeStarts() {
	w.starts.mu.Lock()
	defer w.starts.mu.Unlock()
	w.starts.closed = true
}

// start makes environments until no pool wants one.
func (w *Worker) start() {
	for {
		s := &w.starts
		s.mu.Lock()
		if len(s.ring) == 0 || s.closed {
			s.free++
			s.mu.Unlock()
			return
		}
		p := s.ring[0]
		s.ring = s.ring[1:]
		s.mu.Unlock()
		w.startOne(p)
	}
}

// startOne starts one environment of a pool, if it still needs one and there is
// room for it, and returns when its init is over or no longer to be waited for.
func (w *Worker) startOne(p *pool) {
	w.lookAhead(p)
	p.mu.Lock()
	cost, wanted := estimate(p.learned, p.limit), p.need(time.Now()) > 0
	if !wanted {
		p.queued = false
	}
	p.mu.Unlock()
	if !wanted {
		w.unblock()
		return
	}
	if !w.reserve(p, cost) {
		w.block(p)
		return
	}
	s := p.begin(cost)
	if s == nil {
		w.release(cost)
		w.unblock()
		return
	}
	w.owned.Go(s.live)
	w.nudge()
	w.unblock() // what did not fit before may fit beside this one
	w.hold(s)
}

// lookAhead measures a few environments of a pool that wants more, and the host, so
// that a burst of functions that use much memory is seen while it grows and not
// after it has.
func (w *Worker) lookAhead(p *pool) {
	if w.memory.limit == 0 {
		return
	}
	now := time.Now()
	for _, s := range p.unmeasured(now, haste, sample) {
		s.measure(now)
	}
	w.memory.Lock()
	due := now.Sub(w.memory.looked) >= haste
	if due {
		w.memory.looked = now
	}
	w.memory.Unlock()
	if due {
		w.watchHost()
	}
}

// begin makes the slot of a start whose room is reserved, unless nobody needs it
// any more, and puts the pool behind the others if it needs more than one.
func (p *pool) begin(cost int64) *slot {
	now := time.Now()
	p.mu.Lock()
	need := p.need(now)
	if need < 1 {
		p.queued = false
		p.mu.Unlock()
		return nil
	}
	s := newSlot(p, cost, now)
	if p.w.ctx.Err() != nil { // Close has looked at this pool already, or it will see the slot
		s.close()
	}
	p.slots[s] = struct{}{}
	p.count[starting]++
	p.queued = need > 1
	again := p.queued
	p.mu.Unlock()
	if again {
		p.w.want(p)
	}
	return s
}

// hold waits until a start is over: it counts as one of those that go on at once
// until its environment is made, or that has taken ten times StartHold, and then
// until its init is over, or has taken StartHold.
func (w *Worker) hold(s *slot) {
	limit := time.NewTimer(10 * w.o.StartHold)
	defer limit.Stop()
	select {
	case <-s.made:
	case <-limit.C:
		return
	case <-w.ctx.Done():
		return
	}
	limit.Reset(w.o.StartHold)
	select {
	case <-s.ready:
	case <-limit.C:
	case <-w.ctx.Done():
	}
}

// abort ends a slot whose environment could not be made.
func (p *pool) abort(s *slot, err error) {
	p.mu.Lock()
	p.move(s, leaving)
	s.close()
	s.arrive()
	p.mu.Unlock()
	p.w.giveBack(s)
	p.forget(s)
	if p.w.ctx.Err() != nil {
		p.refuse(errEnding)
		return
	}
	p.fail(err)
}

// block keeps a pool until there is room.
func (w *Worker) block(p *pool) {
	s := &w.starts
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = append(s.blocked, p)
	s.waits.Add(1)
}

// reserve charges the cost of one more environment, and closes idle environments
// of other pools for it, the one first that was not used for longest. It closes
// none when even all of them would not do.
func (w *Worker) reserve(p *pool, cost int64) bool {
	for {
		w.memory.Lock()
		lack, pressed := w.memory.lack(cost), w.memory.pressed
		ok := w.memory.take(cost)
		w.memory.Unlock()
		if ok {
			return true
		}
		if pressed { // the reaper closes what has to be closed
			return false
		}
		victims := w.idlest(p, lack)
		if len(victims) == 0 {
			return false
		}
		for _, s := range victims {
			select {
			case <-s.gone:
			case <-w.ctx.Done():
				return false
			}
		}
	}
}

// release takes back what reserve has charged.
func (w *Worker) release(cost int64) {
	w.memory.Lock()
	w.memory.give(cost)
	w.memory.Unlock()
}

// giveBack takes the charge of a slot off the budget.
func (w *Worker) giveBack(s *slot) {
	w.memory.Lock()
	w.memory.give(s.charge)
	s.charge = 0
	w.memory.Unlock()
}

// recharge changes what a slot is charged for. A slot that was given back stays at
// nothing.
func (w *Worker) recharge(s *slot, cost int64) {
	w.memory.Lock()
	less := s.charge > 0 && cost < s.charge
	if s.charge > 0 {
		w.memory.used += cost - s.charge
		s.charge = cost
	}
	w.memory.Unlock()
	if less {
		w.unblock()
	}
}

// idlest has the environments closed that were idle for longest, as many as make
// up for what lacks, and gives them. Those of keep stay: it would only start what
// it has closed. When all idle ones together are not enough it closes none, if
// others are left.
func (w *Worker) idlest(keep *pool, lack shortage) []*slot {
	type candidate struct {
		s     *slot
		since time.Time
	}
	var found []candidate
	for _, p := range w.all() {
		if p == keep {
			continue
		}
		p.mu.Lock()
		if p.kept != nil && p.kept.Wanted() > 0 && !p.stale { // was promised
			p.mu.Unlock()
			continue
		}
		for _, s := range p.idle {
			found = append(found, candidate{s, s.since})
		}
		p.mu.Unlock()
	}
	slices.SortFunc(found, func(a, b candidate) int { return a.since.Compare(b.since) })
	var sum int64
	n := 0
	w.memory.Lock()
	for n < len(found) && !lack.metBy(sum, n) {
		sum += found[n].s.charge
		n++
	}
	alone := n == w.memory.environments // without them any size fits
	w.memory.Unlock()
	if !lack.metBy(sum, n) && !alone {
		return nil
	}
	var victims []*slot
	for _, c := range found[:n] {
		if c.s.pool.evict(c.s) {
			victims = append(victims, c.s)
		}
	}
	return victims
}

// evict has an idle environment closed; false when somebody was faster.
func (p *pool) evict(s *slot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.state != idle {
		return false
	}
	p.dismiss(s)
	return true
}
