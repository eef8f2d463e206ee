package lambda

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// bodyKind says what the body of an operation's request is.
type bodyKind uint8

const (
	bodyNone bodyKind = iota // ignored
	bodyJSON                 // the members of the input
	bodyRaw                  // one member, byte for byte
)

// readStep is how much of an announced body is allocated before any of it has come.
const readStep = 8 << 20

// drainSlack is how far beyond a limit a body is read and dropped, so that a client
// that is still sending can read the refusal instead of a reset connection.
const drainSlack = 8 << 20

// readBody reads the request's body into c once, into a buffer of its exact length
// when that is known. A body over the limit, or shorter than announced, is an error.
func (h *handler) readBody(c *call, op int) error {
	if operations[op].body == bodyNone || c.req.Body == nil {
		return nil
	}
	limit, kind := h.limit(c, op)
	if n := c.req.ContentLength; n > limit {
		drain(c.req, n, limit)
		return tooLarge(op, kind, n, limit)
	}
	body, err := readAll(c.req.Body, c.req.ContentLength, limit)
	if err != nil {
		return err
	}
	if n := int64(len(body)); n > limit {
		drain(c.req, -1, limit)
		return tooLarge(op, kind, n, limit)
	}
	c.body = body
	return nil
}

// limit returns how long the body of a request may be, and for an invocation its type.
func (h *handler) limit(c *call, op int) (n int64, kind string) {
	switch op {
	case opCreateFunction, opUpdateFunctionCode, opPublishLayerVersion:
		return h.limits.MaxCode, ""
	case opInvoke:
		if t := c.header("X-Amz-Invocation-Type"); t != nil && *t == InvocationTypeEvent {
			return h.limits.MaxEvent, InvocationTypeEvent
		}
		return h.limits.MaxInvoke, InvocationTypeRequestResponse
	case opInvokeWithResponseStream:
		return h.limits.MaxInvoke, InvocationTypeRequestResponse
	case opInvokeAsync:
		return h.limits.MaxEvent, InvocationTypeEvent
	}
	return h.limits.MaxOther, ""
}

// tooLarge is the service's answer to a body over its limit.
func tooLarge(op int, kind string, size, limit int64) *Error {
	text := fmt.Sprintf("Request must be smaller than %d bytes for the %s operation", limit, operations[op].name)
	if kind != "" {
		text = fmt.Sprintf("%d byte payload is too large for the %s invocation type (limit %d bytes)", size, kind, limit)
	}
	return &Error{Code: RequestEntityTooLargeException, Message: text}
}

// drain drops what a client is still sending, up to a bound. A client that waits to be
// told to go on is not told: it reads the answer at once.
func drain(r *http.Request, length, limit int64) {
	if r.Header.Get("Expect") != "" || length > limit+drainSlack {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, limit+drainSlack) // the answer is an error already
}

// readAll reads a body of the given length, or to its end when the length is -1, but
// never more than limit+1 bytes. Memory follows what has arrived, not what was
// announced, beyond the first step.
func readAll(r io.Reader, length, limit int64) ([]byte, error) {
	want := length
	if want < 0 {
		want = limit + 1
	}
	if want == 0 {
		return nil, nil
	}
	size := min(want, readStep)
	if length < 0 {
		size = min(size, 4096)
	}
	buf := make([]byte, 0, size)
	for int64(len(buf)) < want {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(want, 2*int64(cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil || int64(len(buf)) == want:
		case errors.Is(err, io.EOF) && length < 0:
			return buf, nil
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil, serialization("request body ended early, after %d bytes", len(buf))
		default:
			return nil, serialization("request body could not be read, after %d bytes", len(buf))
		}
	}
	return buf, nil
}
