package rapi

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

const (
	readBuffer = 4 << 10  // to begin with; it grows for a large head only
	smallSize  = 64 << 10 // what a connection may hold without taking its turn

	// An answer that is due when the same write already brought GET next is held back
	// this long, so that it can go out together with the event: one write and one
	// awakening instead of two. Whoever asks in one write does not wait in between.
	holdTime = time.Millisecond
)

// conn is one connection from inside the box. Its goroutine reads and answers;
// a second one, started by the first GET next, waits for work, so that the first
// sees at once when the peer goes away.
type conn struct {
	server *Server
	net    net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	buf    []byte // buf[r:w] was read and is not used up
	r, w   int
	holds  bool // the server's right to hold a big buffer
	wide   bool // buf is lent for a streamed answer and does not shrink
	out    []byte
	vec    [2][]byte
	queue  net.Buffers
	served ids // of the event that this connection got last, to save copies

	runtime bool   // the runtime API was asked for something here
	owner   string // whose connection it is, guarded by the server; "" is not known yet
	caller  string // the extension for which GET next waits; "" is the runtime

	waiting bool          // GET next was handed to the second goroutine, which owns out until told
	last    bool          // the connection ends with the answer of that GET next
	ask     chan struct{} // hands it over; nil before the first GET next
	told    chan bool     // the answer of one GET next was written (true) or could not be
	late    *time.Timer   // sends what is held back; it owns out while it is set
	flushed chan struct{} // late has sent it
}

// ids name an event. The event itself is not kept: it is as large as its payload.
type ids struct{ request, invocation string }

// newConn makes a connection that serve has to run.
func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, net: nc}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// serve answers requests in order until the connection ends, one way or the other.
func (c *conn) serve() {
	defer c.server.leave(c)
	for c.one() {
	}
	c.cancel()
	if c.waiting {
		<-c.told
	}
	if c.ask != nil {
		close(c.ask)
	}
	_ = c.net.Close() // the peer is gone or is to be cut off; either way nothing is owed
	c.buf = nil
	c.release()
}

// one serves one request; it reports whether the connection can serve another.
func (c *conn) one() bool {
	var r request
	if !c.readHead(&r) {
		return false
	}
	if !c.route(&r) {
		return false
	}
	if !r.close {
		return true
	}
	if !c.waiting {
		c.flush()
		return false
	}
	// The second goroutine closes the connection behind its answer; until then only
	// the end of the stream is of interest.
	for c.r, c.w = 0, 0; c.fill(); c.r, c.w = 0, 0 {
	}
	return false
}

// readHead reads the next head. It answers a malformed one and flushes earlier
// answers before it waits.
func (c *conn) readHead(r *request) bool {
	for scanned := 0; ; {
		end, m := headEnd(c.buf[c.r:c.w], scanned)
		if end > 0 {
			// Anything that comes while GET next waits is served after it.
			if c.waiting && !c.wait() {
				return false
			}
			if m = parseHead(c.buf[c.r:c.r+end], r); m == nil {
				c.r += end
				return true
			}
		}
		if m != nil {
			return c.refuseMalformed(m)
		}
		scanned = c.w - c.r
		if !c.fill() {
			return false
		}
	}
}

// wait waits until the pending GET next was answered.
func (c *conn) wait() bool {
	c.waiting = false
	return <-c.told
}

// fill reads more bytes into the buffer, which grows as far as a head may.
func (c *conn) fill() bool {
	if !c.flush() {
		return false
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	switch {
	case c.buf == nil:
		c.buf = make([]byte, readBuffer)
	case c.w == 0 && len(c.buf) > readBuffer && !c.wide:
		c.buf = make([]byte, readBuffer)
		c.release()
	case c.w == len(c.buf):
		if 2*len(c.buf) > smallSize && !c.hold() {
			return false
		}
		c.buf = append(make([]byte, 0, 2*len(c.buf)), c.buf...)
		c.buf = c.buf[:cap(c.buf)]
	}
	n, err := c.net.Read(c.buf[c.w:])
	c.w += n
	return err == nil && n > 0
}

// hold takes the server's one right to a big buffer until release.
func (c *conn) hold() bool {
	if !c.holds {
		c.holds = c.server.takeLarge()
	}
	return c.holds
}

// release gives that right back, unless the read buffer itself is still big.
func (c *conn) release() {
	if c.holds && len(c.buf) <= smallSize {
		c.holds = false
		c.server.giveLarge()
	}
}

// flush writes the answers that are due and are this goroutine's to write.
func (c *conn) flush() bool {
	if c.waiting || len(c.out) == 0 {
		return true
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err == nil
}

// next hands GET next of the runtime to the second goroutine.
func (c *conn) next(r *request) bool { return c.await(r, "") }

// await hands the GET next of a caller to the second goroutine and lets the first one
// read on.
func (c *conn) await(r *request, caller string) bool {
	if c.ask == nil {
		c.ask = make(chan struct{})
		c.told = make(chan bool, 1)
		c.flushed = make(chan struct{}, 1)
		c.late = time.AfterFunc(time.Hour, func() {
			_, _ = c.net.Write(c.out) // the next write will tell
			c.out = c.out[:0]
			c.flushed <- struct{}{}
		})
		c.late.Stop()
		c.server.wg.Add(1)
		go c.waitForWork()
	}
	c.waiting, c.last, c.caller = true, r.close, caller
	c.ask <- struct{}{}
	return true
}

// waitForWork answers every GET next of this connection until serve ends.
func (c *conn) waitForWork() {
	defer c.server.wg.Done()
	for range c.ask {
		held := len(c.out) > 0
		if held {
			c.late.Reset(holdTime)
		}
		var event *Event
		var news *ExtensionEvent
		var err error
		if c.caller == "" {
			event, err = c.server.guest.Next(c.ctx)
		} else {
			news, err = c.server.guest.NextEvent(c.ctx, c.caller)
		}
		if held && !c.late.Stop() {
			<-c.flushed
		}
		var ok bool
		switch {
		case err != nil:
			ok = c.writeRefusal(err)
		case news != nil:
			ok = c.writeNews(news)
		default:
			c.served = ids{event.RequestID, event.InvocationID}
			ok = c.writeEvent(event)
		}
		if !ok || c.last {
			_ = c.net.Close() // wakes the reader, which tidies up
		}
		c.told <- ok
	}
}

// writeRefusal answers a GET next that was refused; any other error has no answer.
func (c *conn) writeRefusal(err error) bool {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return false
	}
	c.out = appendRefusal(c.out, refusal, !c.last)
	_, err = c.net.Write(c.out)
	c.out = c.out[:0]
	return err == nil
}

// writeNews sends an event to an extension.
func (c *conn) writeNews(e *ExtensionEvent) bool {
	c.out = appendExtensionEvent(c.out, e, !c.last)
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err == nil
}

// writeEvent sends an event in one write: a small payload is copied behind its
// headers, a large one goes beside them.
func (c *conn) writeEvent(e *Event) bool {
	c.out = appendEvent(c.out, e, !c.last)
	const worthCopying = 4 << 10
	if len(e.Payload) <= worthCopying {
		c.out = append(c.out, e.Payload...)
		_, err := c.net.Write(c.out)
		c.out = c.out[:0]
		return err == nil
	}
	c.vec[0], c.vec[1] = c.out, e.Payload
	c.queue = c.vec[:]
	_, err := c.queue.WriteTo(c.net)
	c.vec = [2][]byte{}
	c.out = c.out[:0]
	return err == nil
}

// linger ends the stream behind a last answer and reads for a moment what the peer
// still sends: closing with unread bytes would take the answer away from it.
func (c *conn) linger() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.net.SetReadDeadline(time.Now().Add(250*time.Millisecond)) != nil {
		return
	}
	budget := int64(1 << 20)
	c.discard(budget, &budget)
}

// read fills p from the buffer and then from the network.
func (c *conn) read(p []byte) bool {
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	if n == len(p) {
		return true
	}
	_, err := io.ReadFull(c.net, p[n:])
	return err == nil
}
