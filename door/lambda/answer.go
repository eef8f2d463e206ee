package lambda

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// setHeader sets a header if its value is present.
func (c *call) setHeader(name string, v *string) {
	if v != nil {
		c.w.Header()[name] = []string{*v}
	}
}

// empty answers without a body.
func (c *call) empty(status int) error { return c.send(status, nil) }

// send answers with a body that is JSON, or with none.
func (c *call) send(status int, body []byte) error {
	if status < 200 || status > 599 {
		return fmt.Errorf("answer with status %d", status)
	}
	if status == http.StatusNoContent || len(body) == 0 {
		c.w.WriteHeader(status)
		return nil
	}
	h := c.w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the caller has gone; there is nobody to tell
	return nil
}

// jsonType is the Content-Type of every answer with a body.
var jsonType = []string{"application/json"}

// errStarted marks an error that came after an event stream had begun: no other answer
// can be sent.
var errStarted = errors.New("event stream has begun")

// Stream is the answer of InvokeWithResponseStream. The Service starts it once with its
// head and then writes framed events; what it writes leaves at once.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool

	mu    sync.Mutex
	ended bool // the connection may serve another request by now
}

// hurry is how long a caller may take for what is sent after the function has ended.
const hurry = 10 * time.Second

// newStream returns a stream that has not begun.
func newStream(w http.ResponseWriter) *Stream {
	return &Stream{w: w, control: http.NewResponseController(w)}
}

// Start sends status and headers. Before it, returning an error is a normal answer.
func (s *Stream) Start(head *InvokeWithResponseStreamResponse) error {
	if s.started {
		return errStarted
	}
	s.started = true
	h, status := s.w.Header(), http.StatusOK
	h["Content-Type"] = []string{"application/vnd.amazon.eventstream"}
	if head.ExecutedVersion != nil {
		h["X-Amz-Executed-Version"] = []string{*head.ExecutedVersion}
	}
	if head.ResponseStreamContentType != nil {
		h["Content-Type"] = []string{*head.ResponseStreamContentType}
	}
	if head.StatusCode != nil {
		status = int(*head.StatusCode)
	}
	s.w.WriteHeader(status)
	return s.control.Flush()
}

// Write sends bytes of the event stream at once.
func (s *Stream) Write(p []byte) (int, error) {
	if !s.started {
		return 0, errors.New("write before the head of the event stream")
	}
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.control.Flush()
}

// Cut lets a Write that waits for its caller fail at once. Any goroutine may call it.
func (s *Stream) Cut() { s.deadline(time.Unix(1, 0)) }

// Hurry bounds the time of all that is written from now on: the function has ended, and
// what it holds is not to be held by a caller that does not read.
func (s *Stream) Hurry() { s.deadline(time.Now().Add(hurry)) }

// deadline sets the time until which writes may take, as long as the stream lasts.
func (s *Stream) deadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = s.control.SetWriteDeadline(t) // a writer without one, as in tests, never waits
	}
}

// end returns what is left to answer after the Service is done: its error if the stream
// has not begun, else the same error marked as too late.
func (s *Stream) end(err error) error {
	s.mu.Lock()
	s.ended = true
	_ = s.control.SetWriteDeadline(time.Time{}) // of the next request on the connection
	s.mu.Unlock()
	switch {
	case !s.started && err == nil:
		return errNoOutput
	case s.started && err != nil:
		return fmt.Errorf("%w: %w", errStarted, err)
	}
	return err
}
