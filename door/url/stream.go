package url

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"

	"kiln"
)

const (
	// httpType is the media type of a stream that begins with a head of HTTP.
	httpType = "application/vnd.awslambda.http-integration-response"
	// maxPrelude is how long such a head may be.
	maxPrelude = 1 << 20
)

// preludeEnd stands between the head of HTTP and the body.
var preludeEnd = make([]byte, 8)

// stream runs the function and sends its answer while it is written. Once the answer has
// begun, all that can be said of a failure is to cut the connection.
func (v *visit) stream(inv *kiln.Invocation) {
	s := &sender{visit: v, control: http.NewResponseController(v.w)}
	defer s.end()
	inv.Stream = s
	outcome, err := v.door.o.Invoker.Invoke(v.r.Context(), inv)
	s.deadline(time.Time{}) // should it have been cut: what comes now may take its time
	switch {
	case s.broken != nil:
		panic(s.broken)
	case s.started && (err != nil || outcome.Failed):
		panic(http.ErrAbortHandler)
	case s.started:
	case err != nil:
		v.refuse(v.problem(err))
	case outcome.Failed:
		v.refuse(failure(outcome))
	case !outcome.Streamed: // the function returned, and what it returned is the body
		v.send(&head{}, "application/json", outcome.Payload)
	case s.prelude:
		v.refuse(badGateway) // there was no whole head
	default:
		v.send(&head{}, s.contentType, nil)
	}
}

// sender is the answer of one streamed invocation.
type sender struct {
	*visit
	control     *http.ResponseController
	contentType string
	prelude     bool   // the stream begins with a head
	buf         []byte // of which this much has come
	started     bool
	broken      any // a panic of the answer, for the goroutine of the request to go on with

	mu    sync.Mutex
	ended bool // the connection may serve another request by now
}

var _ kiln.ResponseStream = (*sender)(nil)

// Begin is kiln.ResponseStream.
func (s *sender) Begin(contentType string) {
	s.contentType = contentType
	if contentType == "" {
		s.contentType = "application/octet-stream"
	}
	kind, _, _ := mime.ParseMediaType(contentType) // one that is malformed is not that one
	s.prelude = kind == httpType
}

// Write sends p at once, after a head that is whole. The rooms below do not expect a
// panic, which is how an answer is cut: it is kept for later.
func (s *sender) Write(p []byte) (err error) {
	defer func() {
		if s.broken == nil {
			if s.broken = recover(); s.broken != nil {
				err = errors.New("the answer was cut")
			}
		}
	}()
	if !s.started {
		if p, err = s.begin(p); err != nil || !s.started {
			return err
		}
	}
	if len(p) > 0 {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

// errHead is a stream whose head is not one.
var errHead = errors.New("the stream does not begin with the head of an HTTP answer")

// begin sends the head, when it is whole, and gives what is left of p for the body.
func (s *sender) begin(p []byte) ([]byte, error) {
	in := &head{}
	if s.prelude {
		s.buf = append(s.buf, p...)
		h, body, ok := cutPrelude(s.buf)
		switch {
		case !ok && (len(s.buf) > maxPrelude || bytes.Contains(s.buf, preludeEnd)):
			return nil, errHead
		case !ok:
			return nil, nil
		}
		in, p, s.buf = h, body, nil
		s.contentType = "application/octet-stream"
	}
	status, ok := s.head(in, s.contentType)
	if !ok {
		return nil, errHead
	}
	s.w.WriteHeader(status)
	s.started = true
	return p, nil
}

// cutPrelude splits the head of HTTP off a stream, if it begins with a whole one.
func cutPrelude(p []byte) (*head, []byte, bool) {
	if len(p) == 0 || p[0] != '{' {
		return nil, nil, false
	}
	at := bytes.Index(p[:min(len(p), maxPrelude)], preludeEnd)
	if at < 0 {
		return nil, nil, false
	}
	var h head
	if err := json.Unmarshal(p[:at], &h); err != nil {
		return nil, nil, false
	}
	return &h, p[at+len(preludeEnd):], true
}

// Cut is kiln.ResponseStream.
func (s *sender) Cut() { s.deadline(time.Unix(1, 0)) }

// deadline sets the time until which writes may take, as long as the request lasts.
func (s *sender) deadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = s.control.SetWriteDeadline(t) // a writer without one, as in tests, never waits
	}
}

// end gives the connection back.
func (s *sender) end() {
	s.deadline(time.Time{})
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}
