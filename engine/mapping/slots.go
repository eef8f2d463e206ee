package mapping

import (
	"context"
	"sync"
)

// firstSlots is how many invocations of a mapping run at once before it has shown that
// more help.
const firstSlots = 5

// slots bounds the invocations of a mapping. Their number grows while all are in use and
// go well, and falls by half when the platform has no room.
type slots struct {
	free chan struct{} // a token for each that may begin now
	most int

	mu   sync.Mutex
	size int // tokens that there are, in use or free
	owed int // tokens that are to go when they come back
}

// newSlots makes slots of which there are never more than most.
func newSlots(most int) *slots {
	s := &slots{free: make(chan struct{}, most), most: most, size: min(most, firstSlots)}
	for range s.size {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a slot and reports whether it got one before ctx ended.
func (s *slots) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-s.free:
		return true
	case <-ctx.Done():
		return false
	}
}

// give puts a slot back. used says that an invocation went well in it.
func (s *slots) give(used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owed > 0 {
		s.owed--
		s.size--
		return
	}
	if used && len(s.free) == 0 && s.size < s.most {
		s.size++
		s.free <- struct{}{} // there is room for most
	}
	s.free <- struct{}{}
}

// shrink takes half of the slots away as they come back; one always stays.
func (s *slots) shrink() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = max(s.owed, (s.size)/2)
}
