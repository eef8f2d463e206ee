package api

import "time"

// Bounds are the bounds of what comes from inside.
type Bounds = bounds

// InsideWithin is Inside with other bounds.
func (s *Server) InsideWithin(change func(*Bounds)) *Inside {
	b := within
	change(&b)
	return s.inside(b)
}

// The bounds that tests narrow.
func (b *bounds) Conns(own, most, shared int) {
	b.ownConns, b.mostConns, b.sharedConns = own, most, shared
}
func (b *bounds) Bytes(own, most, shared int64) {
	b.ownBytes, b.mostBytes, b.sharedBytes = own, most, shared
}
func (b *bounds) Times(head, whole, idle time.Duration) { b.head, b.whole, b.idle = head, whole, idle }
