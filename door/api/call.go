package api

import (
	"context"
	"net/http"

	"kiln"
	"kiln/door/auth"
)

// call is one request on its way through the port: who sent it, its id, and what an
// operation may need of HTTP beyond its own input.
type call struct {
	auth.Identity
	room    *room  // where it comes from; nil is outside
	id      string // the request id
	label   string // the variable part of the path of kiln's own API
	request *http.Request
	header  http.Header // of the answer
	granted string      // another account, whose resource the caller was let in to
	layers  []string    // ARNs of layer versions that policies let the caller read
}

type callKey struct{}

// with gives a context that carries the call to the operation.
func (c *call) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf gives the call that an operation belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// base gives scheme and host as the client wrote them; the host has passed the list.
func (c *call) base() string {
	if c.request.TLS != nil {
		return "https://" + c.request.Host
	}
	return "http://" + c.request.Host
}

// requestID gives the id of a request: the caller's, when it sent a well-formed UUID,
// else a new one. A malformed one is not ok.
func requestID(r *http.Request) (id string, ok bool) {
	sent := r.Header.Get("X-Amzn-Requestid")
	if sent == "" {
		return kiln.NewID(), true
	}
	if !isUUID(sent) {
		return kiln.NewID(), false
	}
	return lower(sent), true
}

// isUUID reports whether s is a UUID in its canonical form.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// lower lowers ASCII and gives s itself when nothing changes.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if b[j] >= 'A' && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
