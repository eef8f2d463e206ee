package queues

import (
	"container/heap"
	"slices"
	"time"
)

// This file is pure: it reads no clock and starts nothing.

// phase is where a message stands.
type phase uint8

const (
	arriving phase = iota // on its way into the store: nobody gets it or what is behind it in its group
	waiting               // to be received
	delayed               // not to be received yet
	taken                 // received, and hidden until its time is over
	removed               // no longer of this order
)

// entry is a message of an order.
type entry struct {
	Head
	phase phase
	lane  *lane // of a FIFO queue
	at    int   // in the one heap that it is in, -1 for none
}

// lane is a group of a FIFO queue: its messages in their order. While one of them is
// taken, the others wait.
type lane struct {
	entries []*entry
	taken   int
}

// order says which messages of a queue can be received, and in which order.
type order struct {
	all    map[uint64]*entry
	lanes  map[string]*lane // nil of a standard queue
	ready  byNumber         // messages that wait; of a FIFO queue the first of each lane that is free
	hidden byTime           // delayed and taken ones
	taken  int
	late   int // delayed ones
}

func newOrder(fifo bool) *order {
	o := &order{all: map[uint64]*entry{}}
	if fifo {
		o.lanes = map[string]*lane{}
	}
	return o
}

// add takes a message in. One that is arriving holds its place in its lane.
func (o *order) add(h Head, arrives bool, now time.Time) *entry {
	e := &entry{Head: h, at: -1, phase: arriving}
	o.all[h.Number] = e
	if o.lanes != nil {
		l := o.lanes[h.Group]
		if l == nil {
			l = &lane{}
			o.lanes[h.Group] = l
		}
		at, _ := slices.BinarySearchFunc(l.entries, h.Number, func(e *entry, n uint64) int {
			if e.Number < n {
				return -1
			}
			return 1
		})
		l.entries = slices.Insert(l.entries, at, e)
		e.lane = l
		o.offer(l)
	}
	if !arrives {
		o.arrive(e, now)
	}
	return e
}

// arrive lets a message be received from its time on.
func (o *order) arrive(e *entry, now time.Time) {
	switch {
	case !e.Visible.After(now):
		o.wait(e)
	case e.Receives > e.Before:
		o.hide(e, taken)
	default:
		o.hide(e, delayed)
	}
}

// wait makes a message visible.
func (o *order) wait(e *entry) {
	o.unhide(e)
	e.phase = waiting
	if e.lane != nil {
		o.offer(e.lane)
		return
	}
	heap.Push(&o.ready, e)
}

// hide keeps a message from being received until its time.
func (o *order) hide(e *entry, p phase) {
	o.unhide(e)
	e.phase = p
	if p == taken {
		o.taken++
		if e.lane != nil {
			e.lane.taken++
		}
	} else {
		o.late++
	}
	heap.Push(&o.hidden, e)
	if e.lane != nil {
		o.offer(e.lane)
	}
}

// unhide takes a message out of the heap that it is in.
func (o *order) unhide(e *entry) {
	switch {
	case e.at < 0:
		return
	case e.phase == waiting:
		heap.Remove(&o.ready, e.at)
		return
	case e.phase == taken:
		o.taken--
		if e.lane != nil {
			e.lane.taken--
		}
	case e.phase == delayed:
		o.late--
	}
	heap.Remove(&o.hidden, e.at)
}

// offer puts the first message of a lane among those that are ready, when it may be
// received, and no other of the lane.
func (o *order) offer(l *lane) {
	for i, e := range l.entries {
		want := i == 0 && l.taken == 0 && e.phase == waiting
		switch {
		case want && e.at < 0:
			heap.Push(&o.ready, e)
		case !want && e.phase == waiting && e.at >= 0:
			heap.Remove(&o.ready, e.at)
		}
		if i == 1 {
			return // at most the first two can have changed places
		}
	}
}

// advance makes visible what has become so.
func (o *order) advance(now time.Time) {
	for len(o.hidden) > 0 && !o.hidden[0].Visible.After(now) {
		o.wait(o.hidden[0])
	}
}

// next is when advance has something to do again; zero for never.
func (o *order) next() time.Time {
	if len(o.hidden) == 0 {
		return time.Time{}
	}
	return o.hidden[0].Visible
}

// rules are what decides about a message whose turn it is.
type rules struct {
	now     time.Time
	until   time.Time // for which those are hidden that are taken
	oldest  time.Time // what was sent before is dropped
	most    int       // receives after which a message is a dead letter; 0 for none
	receive int       // messages at most
	flight  int       // that may be taken at the same time
}

// share is what came of taking messages.
type share struct {
	taken, dead, expired []*entry
	full                 bool // there would have been more, were not so many taken already
}

// take gives messages whose turn it is. Those of one group come in their order; what is
// a dead letter or too old is taken out of the order.
func (o *order) take(r rules) share {
	o.advance(r.now)
	var s share
	for len(o.ready) > 0 && len(s.taken) < r.receive {
		e := o.ready[0]
		l := e.lane
		if l == nil {
			if !o.one(e, r, &s) {
				break
			}
			continue
		}
		// as many of the group as there are, before another group's
		for i := 0; i < len(l.entries) && len(s.taken) < r.receive; {
			e := l.entries[i]
			if e.phase != waiting || !o.one(e, r, &s) {
				break
			}
			if e.phase == taken {
				i++
			}
		}
		if s.full {
			break
		}
	}
	return s
}

// one deals with one message whose turn it is; false is that no more may be taken.
func (o *order) one(e *entry, r rules, s *share) bool {
	switch {
	case e.Sent.Before(r.oldest):
		o.remove(e)
		s.expired = append(s.expired, e)
	case r.most > 0 && e.Receives-e.Before >= r.most:
		o.remove(e)
		s.dead = append(s.dead, e)
	case o.taken >= r.flight:
		s.full = true
		return false
	default:
		e.Receives++
		if e.First.IsZero() {
			e.First = r.now
		}
		e.Visible = r.until
		o.hide(e, taken)
		s.taken = append(s.taken, e)
	}
	return true
}

// untake puts a message back as if it had not been received.
func (o *order) untake(e *entry, now time.Time) {
	if e.phase != taken {
		return
	}
	if e.Receives--; e.Receives == e.Before {
		e.First = time.Time{}
	}
	e.Visible = now
	o.wait(e)
}

// remove takes a message out.
func (o *order) remove(e *entry) {
	if e.phase == removed {
		return
	}
	o.unhide(e)
	e.phase = removed
	delete(o.all, e.Number)
	l := e.lane
	if l == nil {
		return
	}
	if i := slices.Index(l.entries, e); i >= 0 {
		l.entries = slices.Delete(l.entries, i, i+1)
	}
	if len(l.entries) == 0 {
		delete(o.lanes, e.Group)
		return
	}
	o.offer(l)
}

// expired gives messages that were sent before a time and that nobody has.
func (o *order) expired(oldest time.Time) []*entry {
	var out []*entry
	for _, e := range o.all {
		if e.Sent.Before(oldest) && e.phase != taken && e.phase != arriving {
			out = append(out, e)
		}
	}
	return out
}

// waits is how many messages can be received or will be when their group is free.
func (o *order) waits() int { return len(o.all) - o.taken - o.late }

// byNumber is a heap of messages, the oldest first.
type byNumber []*entry

func (h byNumber) Len() int           { return len(h) }
func (h byNumber) Less(i, j int) bool { return h[i].Number < h[j].Number }
func (h byNumber) Swap(i, j int)      { swap(h, i, j) }
func (h *byNumber) Push(x any)        { *h = push(*h, x) }
func (h *byNumber) Pop() (x any)      { *h, x = pop(*h); return x }

// byTime is a heap of messages, the one that is visible first first.
type byTime []*entry

func (h byTime) Len() int { return len(h) }
func (h byTime) Less(i, j int) bool {
	if c := h[i].Visible.Compare(h[j].Visible); c != 0 {
		return c < 0
	}
	return h[i].Number < h[j].Number
}
func (h byTime) Swap(i, j int) { swap(h, i, j) }
func (h *byTime) Push(x any)   { *h = push(*h, x) }
func (h *byTime) Pop() (x any) { *h, x = pop(*h); return x }

func swap(h []*entry, i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func push(h []*entry, x any) []*entry {
	e := x.(*entry)
	e.at = len(h)
	return append(h, e)
}

func pop(h []*entry) ([]*entry, any) {
	e := h[len(h)-1]
	h[len(h)-1] = nil
	e.at = -1
	return h[:len(h)-1], e
}
