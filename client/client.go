package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer is the longest answer that is read, in bytes: well above the largest that
// the API has.
const maxAnswer = 64 << 20

// Client calls one server. It is safe for concurrent use and holds no goroutine.
type Client struct {
	endpoint    *url.URL
	http        *http.Client
	credentials *Credentials
	userAgent   string
	now         func() time.Time
}

// Option changes a new client.
type Option func(*Client)

// WithHTTPClient sends requests through h instead of http.DefaultClient.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithCredentials signs every request (Signature Version 4). A server takes account and
// region from the signature.
func WithCredentials(k Credentials) Option { return func(c *Client) { c.credentials = &k } }

// WithUserAgent says who is calling.
func WithUserAgent(name string) Option { return func(c *Client) { c.userAgent = name } }

// New returns a client for the server at endpoint, such as http://127.0.0.1:4566.
func New(endpoint string, opts ...Option) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q: want http://host:port or https://host", endpoint)
	}
	c := &Client{endpoint: u, http: http.DefaultClient, userAgent: "kiln-client", now: time.Now}
	for _, opt := range opts {
		opt(c)
	}
	if k := c.credentials; k != nil && (k.AccessKeyID == "" || k.SecretAccessKey == "" || k.Region == "") {
		return nil, errors.New("credentials need an access key, a secret key and a region")
	}
	return c, nil
}

// Error is an answer of the server that says no.
type Error struct {
	Code      string // the exception
	Status    int    // of HTTP
	Message   string
	Reason    string // why a request was throttled
	RequestID string
}

// Error returns exception, message and request id.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// answer is a successful response, read to its end.
type answer struct {
	status int32
	header http.Header
	body   []byte
}

// json decodes the body of an answer; an empty body leaves the output empty.
func (a *answer) json(out any) error {
	if len(a.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("answer is not what the API promises: %w", err)
	}
	return nil
}

// headerValue returns a header of an answer, nil without it.
func (a *answer) headerValue(name string) *string {
	if v := a.header.Values(name); len(v) > 0 {
		return &v[0]
	}
	return nil
}

// send makes one request, exactly once, and reads its answer. An answer that says no is
// an *Error.
func (c *Client) send(ctx context.Context, r *request) (*answer, error) {
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readAnswer(resp)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, err)
	}
	return &answer{status: int32(resp.StatusCode), header: resp.Header, body: body}, nil
}

// open makes one request and returns the response with its body still open.
func (c *Client) open(ctx context.Context, r *request) (*http.Response, error) {
	req, err := r.build(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := readAnswer(resp)
	if err != nil {
		return nil, fmt.Errorf("%s: status %d: %w", r.op, resp.StatusCode, err)
	}
	return nil, refusal(resp, body)
}

// readAnswer reads a body to its end, within bounds.
func readAnswer(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= maxAnswer {
		body := make([]byte, n)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	return body, err
}

// refusal turns an answer that says no into an *Error.
func refusal(resp *http.Response, body []byte) *Error {
	e := &Error{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Amzn-Requestid")}
	e.Code, _, _ = strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	var members struct {
		Message string // also matches "message"
		Reason  string
		Type    string `json:"__type"`
	}
	if err := json.Unmarshal(body, &members); err != nil {
		// Something in between answered, not the API: its text is all there is to say.
		members.Message = strings.TrimSpace(string(body[:min(len(body), 512)]))
	}
	if e.Code == "" {
		e.Code = members.Type[strings.LastIndexByte(members.Type, '#')+1:]
	}
	if e.Code == "" {
		e.Code = fmt.Sprintf("HTTP%d", resp.StatusCode)
	}
	e.Message, e.Reason = members.Message, members.Reason
	return e
}
