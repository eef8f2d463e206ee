package api

import (
	"time"

	"kiln"
	"kiln/door/auth"
)

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

// WishOf gives the action and the resource that an operation asks permission for.
func WishOf(s *Server, account, region, operation string, in any) (action, resource string) {
	w, err := s.wish(&call{Identity: auth.Identity{Scope: kiln.Scope{Account: account, Region: region}}}, operation, in)
	if err != nil {
		return err.Error(), ""
	}
	return w.Action, w.Resource
}
