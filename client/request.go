package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// request gathers the parts of one call before it is built.
type request struct {
	op, method string
	path       strings.Builder // escaped
	query      url.Values
	header     http.Header
	body       []byte
	err        error
}

// newRequest returns a request without path, query and body.
func newRequest(op, method string) *request {
	return &request{op: op, method: method, query: url.Values{}, header: http.Header{}}
}

// literal adds a fixed segment to the path.
func (r *request) literal(segment string) {
	r.path.WriteByte('/')
	r.path.WriteString(segment)
}

// label adds a value to the path. An empty one would name another resource, so it fails.
func (r *request) label(name, value string) {
	if value == "" && r.err == nil {
		r.err = fmt.Errorf("%s is required", name)
	}
	r.literal(escape(value))
}

// queryString adds a value to the query if it is present.
func (r *request) queryString(key string, v *string) {
	if v != nil {
		r.query.Set(key, *v)
	}
}

// queryInt adds a number to the query if it is present.
func (r *request) queryInt(key string, v *int32) {
	if v != nil {
		r.query.Set(key, strconv.Itoa(int(*v)))
	}
}

// queryBool adds a truth value to the query if it is present.
func (r *request) queryBool(key string, v *bool) {
	if v != nil {
		r.query.Set(key, strconv.FormatBool(*v))
	}
}

// queryTime adds a time in ISO 8601 to the query if it is present.
func (r *request) queryTime(key string, v *Time) {
	if v != nil {
		r.query.Set(key, v.UTC().Format(time.RFC3339Nano))
	}
}

// queryList adds every value of a list to the query.
func (r *request) queryList(key string, list []string) {
	for _, v := range list {
		r.query.Add(key, v)
	}
}

// setHeader sets a header if it is present.
func (r *request) setHeader(name string, v *string) {
	if v != nil {
		r.header.Set(name, *v)
	}
}

// json makes the members of v the body.
func (r *request) json(v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil && r.err == nil {
		r.err = err
	}
	r.body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	r.header.Set("Content-Type", "application/json")
}

// raw makes bytes the body.
func (r *request) raw(b []byte) {
	r.body = b
	r.header.Set("Content-Type", "application/octet-stream")
}

// build returns the finished request, signed if the client has credentials.
func (r *request) build(ctx context.Context, c *Client) (*http.Request, error) {
	if r.err != nil {
		return nil, r.err
	}
	if ctx == nil {
		return nil, errors.New("nil context")
	}
	u := *c.endpoint
	raw := strings.TrimSuffix(u.EscapedPath(), "/") + r.path.String()
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil, err
	}
	u.Path, u.RawPath = path, raw
	u.RawQuery = strings.ReplaceAll(r.query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", c.userAgent)
	if c.credentials != nil {
		c.credentials.sign(req, r.body, c.now(), signedService)
	}
	return req, nil
}

// escape escapes everything in a segment but the characters that never need it, as the
// signature demands.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
