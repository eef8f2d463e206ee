package rapi

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Server serves one environment on one listener until Close.
type Server struct {
	guest   Guest
	options Options

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// large is the right to hold one big buffer: whatever the processes of a box do,
	// the server keeps one large body or head for them at a time.
	large chan struct{}

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	changed  chan struct{} // closed when a connection ended or its owner is known; nil when nobody waits
	closed   bool
}

// Serve answers the connections of l and calls g for what they ask. The server
// owns l from now on.
func Serve(l net.Listener, g Guest, o Options) *Server {
	s := &Server{
		guest:    g,
		options:  o.withDefaults(),
		large:    make(chan struct{}, 1),
		listener: l,
		conns:    make(map[*conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Add(1)
	go s.accept()
	return s
}

// Settle waits until every connection of the runtime has ended by itself, so that all
// that a dead process had still sent was heard, but no longer than limit. It reports
// whether none is left. A connection that has asked for nothing yet may be its own.
func (s *Server) Settle(limit time.Duration) bool { return s.settle(runtimeOwner, limit) }

// SettleExtension does the same for the connections of one extension.
func (s *Server) SettleExtension(id string, limit time.Duration) bool { return s.settle(id, limit) }

// settle waits until no connection of the owner, and none of an unknown one, is open.
func (s *Server) settle(owner string, limit time.Duration) bool {
	var timer *time.Timer
	for {
		s.mu.Lock()
		if s.count(owner) == 0 {
			s.mu.Unlock()
			return true
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()

		if timer == nil {
			timer = time.NewTimer(limit)
			defer timer.Stop()
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-s.ctx.Done():
			return false
		}
	}
}

// runtimeOwner is who owns the connections of the runtime.
const runtimeOwner = "runtime"

// count counts the connections that are the owner's or may be. It needs the lock.
func (s *Server) count(owner string) int {
	n := 0
	for c := range s.conns {
		if c.owner == "" || c.owner == owner {
			n++
		}
	}
	return n
}

// attribute notes whose connection c is. What was the runtime's once stays its own: an
// extension inside the runtime's process may share it.
func (s *Server) attribute(c *conn, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.owner == runtimeOwner || c.owner == owner {
		return
	}
	c.owner = owner
	s.tell()
}

// tell wakes whoever waits for connections to end. It needs the lock.
func (s *Server) tell() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Close ends the listener and every connection at once and waits until no
// goroutine of the server runs. A guest must not wait for Close inside a call that
// the server made.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()

	s.cancel()
	err := s.listener.Close()
	for _, c := range open {
		_ = c.net.Close() // its goroutine reports nothing either: the peer is to be cut off
	}
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // the sandbox was destroyed first and took its listener along
	}
	return err
}

// accept takes connections until the listener is closed.
func (s *Server) accept() {
	defer s.wg.Done()
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, or a connection that broke before it was taken.
			select {
			case <-time.After(5 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		c := newConn(s, nc)
		if !s.admit(c) {
			_ = nc.Close() // too many, or closing: there is nobody to tell
			continue
		}
		go c.serve()
	}
}

// admit registers c unless the server is full or closing. What it admits must
// leave.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.options.MaxConns {
		return false
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return true
}

// leave forgets c.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.tell()
	s.mu.Unlock()
	s.wg.Done()
}

// takeLarge waits for the right to hold a big buffer; it reports whether the server
// is still open.
func (s *Server) takeLarge() bool {
	select {
	case s.large <- struct{}{}:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// giveLarge gives that right back.
func (s *Server) giveLarge() { <-s.large }
