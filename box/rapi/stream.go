package rapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"sync"
)

// StreamGuest takes answers that a runtime writes piece by piece.
type StreamGuest interface {
	// Stream hands in the head of a streamed answer. What follows goes to the sink;
	// without one the answer is wanted whole, like any other.
	Stream(requestID, invocationID, contentType string) (Sink, *Refusal)
}

// Sink takes one streamed answer. Its methods are called one after the other. End, Fail
// or Cut is the last of them, or a Write that failed.
type Sink interface {
	// Write waits until p is taken. A *Refusal as error is answered when the runtime has
	// sent the rest; any other closes the connection, and only then the sink may still
	// read p.
	Write(p []byte) error
	// End says that the answer is whole.
	End() *Refusal
	// Fail says that the function failed in the middle of it; errorType is already
	// normalised and the sink keeps payload.
	Fail(errorType string, payload []byte) *Refusal
	// Cut says that the connection ended before the answer did.
	Cut()
}

// wideBuffers are the read buffers of connections that stream.
var wideBuffers = sync.Pool{New: func() any { return new([smallSize]byte) }}

// stream passes the body of r on as it comes, in pieces as large as what has arrived.
func (c *conn) stream(r *request, sink Sink) bool {
	in := pieces{conn: c, chunked: r.chunked, left: r.length}
	if !c.flush() || !c.proceed(r) {
		sink.Cut()
		return false
	}
	wide := wideBuffers.Get().(*[smallSize]byte)
	c.widen(wide[:])
	lost := false // a piece may still be on its way out of wide
	defer func() {
		c.narrow(wide[:])
		if !lost {
			wideBuffers.Put(wide)
		}
	}()
	var refused *Refusal
	for dropped := 0; ; {
		p, m, ok := in.next()
		switch {
		case !ok:
			if refused == nil {
				sink.Cut()
			}
			return m != nil && c.refuseMalformed(m)
		case refused != nil:
			if dropped += len(p); dropped > discardLimit {
				return false
			}
		case len(p) > 0:
			if err := sink.Write(p); err != nil && !errors.As(err, &refused) {
				lost = true
				return false
			}
		}
		if in.over {
			break
		}
	}
	if r.chunked {
		if m, ok := c.trailers(r); !ok {
			if refused == nil {
				sink.Cut()
			}
			return m != nil && c.refuseMalformed(m)
		}
	}
	switch {
	case refused != nil:
	case r.trailerError != "":
		refused = sink.Fail(normalise(r.trailerError), r.trailerPayload())
	default:
		refused = sink.End()
	}
	return c.accepted(r, refused)
}

// trailerPayload gives the error that the trailers tell of, nil when they do not.
func (r *request) trailerPayload() []byte {
	text, err := base64.StdEncoding.AppendDecode(nil, r.trailerBody)
	if err != nil || len(text) == 0 {
		return nil
	}
	return text
}

// widen lets the connection read into buf, which must be larger than what it holds.
func (c *conn) widen(buf []byte) {
	c.wide = true
	if len(c.buf) >= len(buf) {
		return
	}
	c.w = copy(buf, c.buf[c.r:c.w])
	c.buf, c.r = buf, 0
}

// narrow gives the connection a buffer of its own again.
func (c *conn) narrow(buf []byte) {
	c.wide = false
	if len(c.buf) == 0 || &c.buf[0] != &buf[0] {
		return
	}
	size := readBuffer
	if c.w-c.r > size {
		size = len(buf)
	}
	own := make([]byte, size)
	c.w = copy(own, c.buf[c.r:c.w])
	c.buf, c.r = own, 0
}

// pieces takes the framing off a body while it arrives.
type pieces struct {
	conn    *conn
	chunked bool
	left    int64 // of the chunk that is being read, or of the body
	begun   bool  // a chunk was read, whose line ending is still to come
	over    bool  // nothing of the body is left but trailers
}

// next waits for bytes of the body and gives all that are there, which are valid until
// the next call. It may give none at the end.
func (p *pieces) next() ([]byte, *malformed, bool) {
	c := p.conn
	var out []byte
	for {
		if p.left == 0 {
			if !p.chunked {
				p.over = true
				return out, nil, true
			}
			if len(out) > 0 && !p.hasHead() {
				return out, nil, true
			}
			if m, ok := p.head(); !ok {
				return nil, m, false
			}
			if p.over {
				return out, nil, true
			}
		}
		k := int(min(p.left, int64(c.w-c.r)))
		if k == 0 {
			if len(out) > 0 {
				return out, nil, true
			}
			if !c.fill() {
				return nil, nil, false
			}
			continue
		}
		if out == nil {
			out = c.buf[c.r : c.r+k]
		} else { // closer to the piece before it: both lie in one buffer, in this order
			n := len(out)
			out = out[:n+k]
			copy(out[n:], c.buf[c.r:c.r+k])
		}
		c.r += k
		p.left -= int64(k)
	}
}

// hasHead reports whether the line before the next chunk can be read without waiting.
func (p *pieces) hasHead() bool {
	at := p.conn.r + len("\r\n")
	return at < p.conn.w && bytes.IndexByte(p.conn.buf[at:p.conn.w], '\n') >= 0
}

// head reads the line before the next chunk.
func (p *pieces) head() (*malformed, bool) {
	if p.begun {
		if m, ok := p.conn.chunkEnd(); !ok {
			return m, false
		}
	}
	size, m, ok := p.conn.chunkSize()
	if !ok {
		return m, false
	}
	p.left, p.begun, p.over = size, true, size == 0
	return nil, true
}
