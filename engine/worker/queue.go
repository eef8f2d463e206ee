package worker

import "time"

// waiter is a caller that waits for an environment of a pool.
type waiter struct {
	// granted gets exactly one value when the waiter was taken out of its queue by
	// somebody else than itself. It has room for it, so that giving never blocks.
	granted    chan grant
	timer      *time.Timer // its own, stopped while it does not wait
	prev, next *waiter
	queued     bool
}

// newWaiter makes a waiter, which can be used again when its wait is over: by then
// it is in no queue and its grant was taken.
func newWaiter() *waiter {
	w := &waiter{granted: make(chan grant, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// grant is an environment or the reason why there is none.
type grant struct {
	slot *slot
	use  uint64
	err  error
}

// queue is a list of waiters in the order in which they came. Every operation
// takes constant time, so that leaving a long queue is as cheap as entering it.
type queue struct {
	head, tail *waiter
	length     int
}

// push adds a waiter behind all others.
func (q *queue) push(w *waiter) {
	w.queued, w.prev, w.next = true, q.tail, nil
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	q.length++
}

// pop takes the waiter that came first, nil when nobody waits.
func (q *queue) pop() *waiter {
	w := q.head
	if w != nil {
		q.remove(w)
	}
	return w
}

// popLast takes the waiter that came last, nil when nobody waits.
func (q *queue) popLast() *waiter {
	w := q.tail
	if w != nil {
		q.remove(w)
	}
	return w
}

// remove takes a waiter out; it reports false when somebody else has done so, and
// then a grant is on its way.
func (q *queue) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.queued, w.prev, w.next = false, nil, nil
	q.length--
	return true
}
