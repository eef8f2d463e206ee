package environment

import (
	"fmt"
	"sync/atomic"
	"time"

	"kiln"
	"kiln/box/rapi"
)

const (
	// cutGrace is how long a caller may take for what was being sent to it when the
	// invocation ended.
	cutGrace = 500 * time.Millisecond
	// exitTime is how long after the end of a connection the end of its process is
	// waited for: then it is that which ended the answer.
	exitTime = 50 * time.Millisecond

	typeTruncated = "Runtime.TruncatedResponse"
)

// stream is an answer on its way to the caller while the function writes it. The
// runtime's connection brings pieces; the goroutine that called Invoke passes them on,
// so that no HTTP of a door is ever written by anybody else.
type stream struct {
	life                    *life
	requestID, invocationID string
	contentType             string
	limit                   int64
	bucket                  bucket
	armed                   time.Time

	pieces chan []byte
	taken  chan error
	gone   bool // the caller is; what still comes is thrown away

	latency  atomic.Int64 // nanoseconds until the first bytes; 0 before them
	produced atomic.Int64
	begun    bool        // Invoke's own: Begin was called
	cut      *time.Timer // set when the invocation ends
}

var _ rapi.Sink = (*stream)(nil)

// Stream asks whether an answer may be streamed.
func (l *life) Stream(requestID, invocationID, contentType string) (rapi.Sink, *rapi.Refusal) {
	s := &stream{life: l, requestID: requestID, invocationID: invocationID, contentType: contentType, pieces: make(chan []byte), taken: make(chan error, 1)}
	p := &post{requestID: requestID, invocationID: invocationID, target: "InvocationResponse", stream: s, refused: make(chan *rapi.Refusal, 1)}
	if !l.send(message{kind: open, life: l, post: p}) {
		return nil, lifeOver()
	}
	select {
	case refusal := <-p.refused:
		if refusal != nil || p.stream == nil {
			return nil, refusal
		}
		return s, nil
	case <-l.done:
		return nil, lifeOver()
	}
}

// open lets an answer be streamed if it is due and the caller wants it so.
func (e *Environment) open(p *post) *rapi.Refusal {
	s := p.stream
	p.stream = nil
	if refusal := e.due(p); refusal != nil {
		return refusal
	}
	if e.call.inv.Stream == nil {
		return nil
	}
	s.limit, s.bucket, s.armed = e.limits.Bytes, newBucket(e.limits), e.armed
	p.stream, e.call.stream = s, s
	if e.call.streams != nil {
		e.call.streams <- s
	}
	return nil
}

// due judges whether an answer to an invocation may be given now.
func (e *Environment) due(p *post) *rapi.Refusal {
	switch {
	case p.requestID != e.lastID || e.lastID == "":
		return invalidRequestID()
	case e.state != Invoking:
		return invalidTransition(e.state, p.target)
	case p.invocationID != "" && p.invocationID != e.call.inv.Attempt:
		return invalidInvocationID()
	case e.call.stream != p.stream: // another one is on its way
		return invalidTransition(Responded, p.target)
	}
	return nil
}

// streaming reports whether the answer of the invocation is on its way.
func (e *Environment) streaming() bool {
	return e.state == Invoking && e.call.stream != nil
}

// seatEarly takes those who asked for work while an answer was being streamed.
func (e *Environment) seatEarly() {
	early := e.early
	e.early = nil
	for _, w := range early {
		e.seat(w)
	}
}

// Write waits until the caller has taken p, as fast as the limits allow. When the
// caller is gone it takes all, for nobody: the function goes on.
func (s *stream) Write(p []byte) error {
	total := s.produced.Add(int64(len(p)))
	if total == int64(len(p)) {
		s.latency.Store(int64(max(1, time.Since(s.armed))))
	}
	if s.limit > 0 && total > s.limit {
		s.produced.Store(s.limit)
		refusal := s.end(oversized(s.limit))
		if refusal == nil {
			refusal = &rapi.Refusal{Status: 413, Type: "RequestEntityTooLarge", Message: fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", s.limit)}
		}
		return refusal
	}
	if s.gone {
		return nil
	}
	if wait := s.bucket.take(int64(len(p)), time.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.life.done:
			return errLifeOver
		}
	}
	select {
	case s.pieces <- p:
	case <-s.life.done:
		return errLifeOver
	}
	select {
	case err := <-s.taken:
		s.gone = err != nil
		return nil
	case <-s.life.done:
		return errLifeOver
	}
}

// End hands in that the answer is whole.
func (s *stream) End() *rapi.Refusal { return s.end(nil) }

// Fail hands in that the function failed after it had begun to answer.
func (s *stream) Fail(errorType string, payload []byte) *rapi.Refusal {
	return s.end(handlerFault(errorType, payload))
}

// Cut hands in that the answer broke off, unless it did so because its process ended:
// the machine learns of that by itself.
func (s *stream) Cut() {
	timer := time.NewTimer(exitTime)
	defer timer.Stop()
	select {
	case <-s.life.process.Exited():
		return
	case <-s.life.done:
		return
	case <-timer.C:
	}
	_ = s.end(&fault{kiln.StatusError, typeTruncated, "The runtime closed its connection before the response was complete", nil}) // nobody is left to be told
}

// end hands in how the answer ended.
func (s *stream) end(f *fault) *rapi.Refusal {
	return s.life.post(handIn, post{requestID: s.requestID, invocationID: s.invocationID, target: "InvocationResponse", fault: f, stream: s})
}

// attend waits until a call is done and passes on what is streamed to it meanwhile. It
// reports false when the environment is over and nobody did anything about the call.
func (e *Environment) attend(c *call) bool {
	var s *stream
	var pieces chan []byte
	for {
		select {
		case s = <-c.streams:
			pieces = s.pieces
		case p := <-pieces:
			if !s.begun {
				s.begun = true
				c.inv.Stream.Begin(s.contentType)
			}
			s.taken <- c.inv.Stream.Write(p)
		case <-c.done:
			c.settle(s)
			return true
		case <-e.quiet:
			select {
			case <-c.done:
				c.settle(s)
				return true
			default:
				return false
			}
		}
	}
}

// settle says of an outcome whether it was streamed. An answer of no bytes was, if
// nothing went wrong.
func (c *call) settle(s *stream) {
	if s == nil {
		select {
		case s = <-c.streams: // it ended as soon as it began
		default:
			return
		}
	}
	if c.stream.cut != nil {
		c.stream.cut.Stop()
	}
	if c.outcome == nil {
		return
	}
	if !s.begun && !c.outcome.Failed {
		s.begun = true
		c.inv.Stream.Begin(s.contentType)
	}
	c.outcome.Streamed = s.begun
}

// produced says how long the first bytes of an answer took and how many bytes it has.
func (c *call) produced() (time.Duration, int64) {
	if c.stream != nil {
		return time.Duration(c.stream.latency.Load()), c.stream.produced.Load()
	}
	return c.latency, c.size
}

// errorCode names a fault as a response stream does. A process that ends in the middle
// of its answer has truncated it.
func (f *fault) errorCode(streaming bool) string {
	switch {
	case f == nil:
		return ""
	case len(f.payload) > 0:
		return "Unhandled"
	case streaming && f.errorType == typeExit:
		return typeTruncated
	}
	return f.errorType
}

// bucket limits the bytes of one answer: a burst at once, and a rate beyond it.
type bucket struct {
	burst, rate int64
	level       int64 // below zero is what was taken ahead
	at          time.Time
}

// newBucket makes a full bucket.
func newBucket(l kiln.StreamLimits) bucket {
	return bucket{burst: l.Burst, rate: l.Rate, level: l.Burst}
}

// take takes n bytes and says how long to wait before they may be sent.
func (b *bucket) take(n int64, now time.Time) time.Duration {
	if b.rate <= 0 || b.burst < 0 {
		return 0
	}
	if !b.at.IsZero() {
		b.level = min(b.burst, b.level+int64(now.Sub(b.at).Seconds()*float64(b.rate)))
	}
	b.at = now
	b.level -= n
	if b.level >= 0 {
		return 0
	}
	return time.Duration(float64(-b.level) / float64(b.rate) * float64(time.Second))
}
