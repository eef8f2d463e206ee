package linux

import (
	"fmt"
	"sync"
)

// uids hands out the user ids of a range, each to one box at a time and the one
// longest unused first, so that an id is not seen again soon.
type uids struct {
	mu    sync.Mutex
	first int
	next  int
	used  []bool
}

// newUIDs begins with the first id of the range.
func newUIDs(r UIDRange) *uids { return &uids{first: r.First, used: make([]bool, r.Count)} }

// take gives an id that no box has.
func (u *uids) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for range u.used {
		i := u.next
		u.next = (u.next + 1) % len(u.used)
		if !u.used[i] {
			u.used[i] = true
			return u.first + i, nil
		}
	}
	return 0, fmt.Errorf("all %d user ids from %d are in use", len(u.used), u.first)
}

// give takes an id back. No file and no process of it exists any more.
func (u *uids) give(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used[id-u.first] = false
}
