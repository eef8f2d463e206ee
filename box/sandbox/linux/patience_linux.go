package linux

import (
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long to wait between two looks at something that the kernel is
// about to do, and for how long in all. It begins with a nap of first and doubles
// it up to most. time.Sleep would be a millisecond at least when nothing else
// runs, and most of what is waited for here takes some ten microseconds.
type patience struct {
	next, most time.Duration
	until      time.Time
}

// patient makes a patience that ends after limit.
func patient(first, most, limit time.Duration) *patience {
	return &patience{next: first, most: most, until: time.Now().Add(limit)}
}

// nap waits once; it returns false, without waiting, when the time is over.
func (p *patience) nap() bool {
	if time.Now().After(p.until) {
		return false
	}
	t := unix.NsecToTimespec(p.next.Nanoseconds())
	_ = unix.Nanosleep(&t, nil) // a signal ends it early: then the next look comes early
	p.next = min(2*p.next, p.most)
	return true
}
