package async

import (
	"container/heap"
	"time"

	"kiln"
)

// lane is the events of one function as the runner's goroutine sees them. Only a page
// of them is in memory.
type lane struct {
	id       kiln.FunctionID
	heads    []Head              // due, in order, and nobody's yet
	claimed  map[uint64]struct{} // running
	stale    bool                // there may be more in the queue than heads and claimed say
	next     time.Time           // when the first event behind the page is due; zero: there is none
	refusals int                 // in a row
	resting  time.Time           // until then nothing is started
	limit    int                 // how many may run: fewer after a refusal, more after each success

	queued bool // in the runner's ring
	place  int  // in the heap of alarms, -1 when it is not there
	alarm  time.Time
}

// page is how many events of a lane are looked at together.
const page = 64

// wake gives when the lane has something to do at the earliest: zero is never, as
// far as is known.
func (l *lane) wake(now time.Time) time.Time {
	if len(l.heads) > 0 || l.stale {
		return later(l.resting, now)
	}
	if l.next.IsZero() {
		return time.Time{}
	}
	return later(l.next, l.resting)
}

// empty reports whether nothing of the lane is left to remember.
func (l *lane) empty() bool {
	return len(l.heads) == 0 && len(l.claimed) == 0 && !l.stale && l.next.IsZero()
}

// take sorts a page that was read from the queue into what is due and what is not.
// full is that there may be more behind it.
func (l *lane) take(heads []Head, full bool, now time.Time) {
	l.stale, l.next, l.heads = full, time.Time{}, l.heads[:0]
	for _, h := range heads {
		if _, mine := l.claimed[h.Number]; mine {
			continue
		}
		if h.Due.After(now) {
			l.stale, l.next = false, h.Due // those behind it are due later still
			break
		}
		l.heads = append(l.heads, h)
	}
}

// later gives the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// alarms is a heap of lanes by the times at which they have something to do.
type alarms []*lane

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].alarm.Before(a[j].alarm) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push is heap.Interface.
func (a *alarms) Push(x any) {
	l := x.(*lane)
	l.place = len(*a)
	*a = append(*a, l)
}

// Pop is heap.Interface.
func (a *alarms) Pop() any {
	l := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = nil
	*a = (*a)[:len(*a)-1]
	l.place = -1
	return l
}

// set makes a lane's alarm go off at a time; zero takes it off.
func (a *alarms) set(l *lane, at time.Time) {
	switch {
	case at.IsZero() && l.place >= 0:
		heap.Remove(a, l.place)
	case at.IsZero():
	case l.place >= 0:
		l.alarm = at
		heap.Fix(a, l.place)
	default:
		l.alarm = at
		heap.Push(a, l)
	}
}
