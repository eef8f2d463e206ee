package client

import (
	"context"
	"net/http"
	"net/url"
)

// Call makes one request, exactly once, to a path that is not an operation of the
// API: the server's own routes. It is signed as every other. The caller closes the
// body of the response; an answer that says no is an *Error.
func (c *Client) Call(ctx context.Context, method string, path []string, query url.Values) (*http.Response, error) {
	r := newRequest(method, method)
	for _, segment := range path {
		r.label("a segment of the path", segment)
	}
	if query != nil {
		r.query = query
	}
	r.op = method + " " + r.path.String()
	return c.open(ctx, r)
}

// Send is Call with a body, which is JSON, and without a query.
func (c *Client) Send(ctx context.Context, method string, path []string, body []byte) (*http.Response, error) {
	return c.SendTo(ctx, method, path, nil, body)
}

// SendTo is Call with a body, which is JSON.
func (c *Client) SendTo(ctx context.Context, method string, path []string, query url.Values, body []byte) (*http.Response, error) {
	r := newRequest(method, method)
	for _, segment := range path {
		r.label("a segment of the path", segment)
	}
	if query != nil {
		r.query = query
	}
	r.body = body
	r.header.Set("Content-Type", "application/json")
	r.op = method + " " + r.path.String()
	return c.open(ctx, r)
}
