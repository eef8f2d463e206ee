package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"kiln/door/auth"
)

// bounds limit what comes from inside, where hostile code may be.
type bounds struct {
	// Connections. Those of an environment beyond its own come out of a number that all
	// share; one for which there is no place waits in the listener's queue.
	ownConns, mostConns, sharedConns int
	// Memory, likewise: of the bodies of requests, and as much again of large answers
	// that were not taken yet.
	ownBytes, mostBytes, sharedBytes int64
	// How long a head, a whole request and the next request may take to come, and how
	// long a head may be.
	head, whole, idle time.Duration
	headBytes         int
}

// within is the table of the bounds; docs/INSIDE.md has it, too.
var within = bounds{
	ownConns: 16, mostConns: 256, sharedConns: 8192,
	ownBytes: 8 << 20, mostBytes: 128 << 20, sharedBytes: 512 << 20,
	head: headTimeout, whole: 2 * time.Minute, idle: time.Minute,
	headBytes: 64 << 10,
}

// Inside is the port as execution environments reach it: the rows of the routing table
// that are the public API, each request as one of the environment whose listener it
// came through. All environments share one http.Server; each costs a listener and the
// goroutine that waits at it. It is safe for concurrent use.
type Inside struct {
	server  *Server
	http    *http.Server
	bounds  bounds
	seats   chan struct{} // taken by connections beyond an environment's own
	bodies  pot
	answers pot
	work    sync.WaitGroup // listeners, and connections until their last answer
}

// Inside gives the side of the port that execution environments see. It is the
// caller's to close.
func (s *Server) Inside() *Inside { return s.inside(within) }

// inside is Inside with bounds of the caller's.
func (s *Server) inside(b bounds) *Inside {
	i := &Inside{
		server: s, bounds: b, seats: make(chan struct{}, b.sharedConns),
		bodies:  pot{own: b.ownBytes, most: b.mostBytes, shared: b.sharedBytes},
		answers: pot{own: b.ownBytes, most: b.mostBytes, shared: b.sharedBytes},
	}
	i.http = &http.Server{
		Handler:           http.HandlerFunc(i.answer),
		ReadHeaderTimeout: b.head, ReadTimeout: b.whole, IdleTimeout: b.idle, MaxHeaderBytes: b.headBytes,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, roomKey{}, nc.(*guest).room)
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			if state == http.StateClosed { // its goroutine does nothing any more
				nc.(*guest).leave()
			}
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return i
}

type roomKey struct{}

// answer answers one request from inside.
func (i *Inside) answer(w http.ResponseWriter, r *http.Request) {
	i.server.handle(w, r, r.Context().Value(roomKey{}).(*room))
}

// Serve answers the connections of l, each request as one of e, until the result is
// closed, and returns at once. It owns l. Closing ends l and every connection; requests
// that wait end with theirs, and an invocation that runs goes on, for nobody.
func (i *Inside) Serve(l net.Listener, e *auth.Environment) io.Closer {
	r := &room{
		inside: i, environment: e, listener: l, bodies: purse{pot: &i.bodies}, answers: purse{pot: &i.answers},
		own: make(chan struct{}, i.bounds.ownConns), extra: make(chan struct{}, i.bounds.mostConns-i.bounds.ownConns),
		guests: map[*guest]struct{}{}, closing: make(chan struct{}), done: make(chan struct{}),
	}
	i.work.Go(func() {
		defer close(r.done)
		if err := i.http.Serve(entrance{r}); !r.closed() && !errors.Is(err, http.ErrServerClosed) {
			i.server.log.Warn("an environment has lost its way to the API", "principal", e.Principal(), "err", err)
		}
	})
	return r
}

// Close ends what is still served and waits until no request is being answered. The
// invocations that they wait for must come to an end by other means.
func (i *Inside) Close() error {
	err := i.http.Close()
	i.work.Wait()
	return err
}
