package api

import (
	"errors"
	"net"
	"sync"

	"kiln/door/auth"
)

// room is where the requests of one execution environment come from.
type room struct {
	inside      *Inside
	environment *auth.Environment
	listener    net.Listener
	bodies      purse         // of requests
	answers     purse         // that are being sent
	own, extra  chan struct{} // places of connections that are taken
	closing     chan struct{} // closed by Close
	done        chan struct{} // closed when nothing is accepted any more
	once        sync.Once

	mu     sync.Mutex
	guests map[*guest]struct{}
}

// Close ends the listener and every connection. It does not wait for what their
// requests have set in motion.
func (r *room) Close() error {
	var err error
	r.once.Do(func() {
		close(r.closing)
		if err = r.listener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil // the sandbox was destroyed first, or the last Accept closed it
		}
		r.mu.Lock()
		open := make([]*guest, 0, len(r.guests))
		for g := range r.guests {
			open = append(open, g)
		}
		r.mu.Unlock()
		for _, g := range open {
			_ = g.Close() // the peer is gone or is to be cut off; either way nothing is owed
		}
	})
	<-r.done
	return err
}

// closed reports whether the room was closed.
func (r *room) closed() bool {
	select {
	case <-r.closing:
		return true
	default:
		return false
	}
}

// entrance is the listener of a room as http.Server sees it.
type entrance struct{ *room }

// Accept waits for a place and then for a connection to take it.
func (e entrance) Accept() (net.Conn, error) {
	g := &guest{room: e.room}
	if !g.sit() {
		return nil, net.ErrClosed
	}
	nc, err := e.listener.Accept()
	if err != nil {
		g.rise()
		return nil, err
	}
	g.Conn = nc
	e.mu.Lock()
	e.guests[g] = struct{}{}
	e.mu.Unlock()
	e.inside.work.Add(1)
	if e.closed() { // Close may not have seen it
		_ = nc.Close()
	}
	return g, nil
}

// Close ends the listener alone.
func (e entrance) Close() error { return e.listener.Close() }

// Addr is where it listens.
func (e entrance) Addr() net.Addr { return e.listener.Addr() }

// guest is one connection of a room.
type guest struct {
	net.Conn
	room   *room
	shares bool // its place is one of those that all environments share
}

// sit takes a place, the environment's own before one that all share. It waits for one
// and reports false when the room is closed.
func (g *guest) sit() bool {
	r := g.room
	select {
	case r.own <- struct{}{}:
		return true
	default:
	}
	select {
	case r.own <- struct{}{}:
		return true
	case <-r.closing:
		return false
	case r.extra <- struct{}{}:
	}
	select {
	case r.inside.seats <- struct{}{}:
		g.shares = true
		return true
	case r.own <- struct{}{}:
		<-r.extra
		return true
	case <-r.closing:
		<-r.extra
		return false
	}
}

// rise gives the place back.
func (g *guest) rise() {
	if !g.shares {
		<-g.room.own
		return
	}
	<-g.room.inside.seats
	<-g.room.extra
}

// leave forgets a connection whose last request was answered.
func (g *guest) leave() {
	g.room.mu.Lock()
	delete(g.room.guests, g)
	g.room.mu.Unlock()
	g.rise()
	g.room.inside.work.Done()
}

// CloseWrite ends the stream to the peer, so that it can read a last answer although
// it is still sending.
func (g *guest) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
