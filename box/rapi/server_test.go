package rapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/box/rapi"
)

// guest is an environment that keeps what it is told.
type guest struct {
	events chan *rapi.Event
	gone   chan struct{} // a token for each Next that ended with its connection

	mu      sync.Mutex
	calls   []string
	payload []byte
	refuse  *rapi.Refusal
	sink    *sink // nil wants streamed answers whole
	extensions
}

func newGuest() *guest {
	return &guest{events: make(chan *rapi.Event, 8), gone: make(chan struct{}, 100), extensions: extensions{make(chan *rapi.ExtensionEvent, 8)}}
}

func (g *guest) note(payload []byte, format string, args ...any) *rapi.Refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, fmt.Sprintf(format, args...))
	g.payload = payload
	return g.refuse
}

func (g *guest) Next(ctx context.Context) (*rapi.Event, error) {
	g.mu.Lock()
	refuse := g.refuse
	g.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	select {
	case e := <-g.events:
		return e, nil
	case <-ctx.Done():
		g.gone <- struct{}{}
		return nil, ctx.Err()
	}
}

func (g *guest) Respond(id, inv string, p []byte) *rapi.Refusal {
	return g.note(p, "respond %s %s", id, inv)
}

func (g *guest) Oversize(id, inv string) *rapi.Refusal {
	return g.note(nil, "oversize %s %s", id, inv)
}

func (g *guest) Fail(id, inv, errorType string, p []byte) *rapi.Refusal {
	return g.note(p, "fail %s %s %s", id, inv, errorType)
}

func (g *guest) FailInit(errorType string, p []byte) *rapi.Refusal {
	return g.note(p, "fail-init %s", errorType)
}

func (g *guest) Subscribe(api rapi.TelemetryAPI, id string, body []byte) *rapi.Refusal {
	return g.note(body, "subscribe %s %q", api, id)
}

func (g *guest) Stream(id, inv, contentType string) (rapi.Sink, *rapi.Refusal) {
	if g.sink == nil {
		return nil, nil
	}
	refusal := g.note(nil, "stream %s %s %s", id, inv, contentType)
	return g.sink, refusal
}

// told gives the calls so far and the payload of the last one.
func (g *guest) told() (string, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.calls, "; "), string(g.payload)
}

// peer is one connection of a process in the box.
type peer struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

type server struct {
	*rapi.Server
	address string
	t       testing.TB
}

func serve(t testing.TB, g rapi.Guest, o rapi.Options) *server {
	t.Helper()
	before := runtime.NumGoroutine()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{rapi.Serve(l, g, o), l.Addr().String(), t}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		until(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

func (s *server) dial() *peer {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return &peer{c, bufio.NewReader(c), s.t}
}

func (p *peer) send(text string) *peer {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatalf("send: %v", err)
	}
	return p
}

// answer reads one answer to a request of the method.
func (p *peer) answer(method string) (*http.Response, string) {
	p.t.Helper()
	resp, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("broken answer: %v", err)
	}
	return resp, string(body)
}

// want reads one answer and compares.
func (p *peer) want(status int, body string) {
	p.t.Helper()
	resp, got := p.answer("POST")
	if resp.StatusCode != status || got != body {
		p.t.Errorf("got %d %s, want %d %s", resp.StatusCode, got, status, body)
	}
}

// ended reports that the server closed the connection and sent nothing more.
func (p *peer) ended() {
	p.t.Helper()
	rest, err := io.ReadAll(p.r)
	var timeout net.Error
	if len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		runtime.Gosched()
	}
}

const (
	next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\n\r\n"
	ok   = `{"status":"OK"}`
)

func post(path, headers, body string) string {
	return fmt.Sprintf("POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
}

func event(id, payload string) *rapi.Event {
	return &rapi.Event{RequestID: id, InvocationID: "i-" + id, ARN: "arn", DeadlineMS: 1700000000123, Payload: []byte(payload)}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	for request, want := range map[string]string{
		"GET /":                                      "404",
		"GET /2018-06-01/runtime/invocation/":        "404",
		"GET /2018-06-01/runtime/invocation/r1":      "404",
		"GET /2018-06-01/runtime/invocation/r1/x":    "404",
		"GET /2018-06-01/runtime/invocation/next/":   "404",
		"GET /2018-06-01/runtime/restore/next":       "404",
		"POST /2018-06-01/runtime/restore/error":     "404",
		"POST /2018-06-01/runtime/invocation/next":   "405 GET",
		"HEAD /2018-06-01/runtime/invocation/next":   "405 GET",
		"GET /2018-06-01/runtime/init/error":         "405 POST",
		"PUT /2018-06-01/runtime/invocation/r/error": "405 POST",
		"BREW /ping":                            "405 GET, HEAD",
		"HEAD /ping":                            "200",
		"POST /2022-07-01/telemetry":            "405 PUT",
		"GET /2020-08-15/logs/":                 "405 PUT",
		"PUT /2020-08-15/logs/x":                "404",
		"GET /2020-01-01/extension/register":    "405 POST",
		"POST /2020-01-01/extension/event/next": "405 GET",
		"PUT /2020-01-01/extension/init/error":  "405 POST",
		"GET /2020-01-01/extension/exit/error":  "405 POST",
		"GET /2020-01-01/extension/":            "404",
		"GET /2020-01-01/extension/event":       "404",
		"GET /2020-01-01/extensionx/event/next": "404",
	} {
		method, _, _ := strings.Cut(request, " ")
		body := ""
		if method == "POST" || method == "PUT" {
			body = "Content-Length: 3\r\n\r\nabc"
		} else {
			body = "\r\n"
		}
		resp, _ := p.send(request + " HTTP/1.1\r\nHost: h\r\n" + body).answer(method)
		got := strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Allow")))
		if got != want || resp.Close {
			t.Errorf("%s: got %s, close %v; want %s", request, got, resp.Close, want)
		}
	}
	if told, _ := g.told(); told != "" {
		t.Errorf("the guest was told %s", told)
	}
}

func TestAMalformedRequestEndsItsConnectionAndNoOther(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	runtimes := s.dial()
	runtimes.send(next)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
		post("invocation/r1/response", "Content-Length: 1\r\n", "x"),
		post("invocation/r1/response", "Transfer-Encoding: chunked\r\n", "x"),
		chunked("invocation/r1/response", "", "3\r\nabcd\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "3\nabc\n0\n\n"),
		chunked("invocation/r1/response", "", "3 \r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "-3\r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "0x3\r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "\r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "3;\x00\r\nabc\r\n0\r\n\r\n"),
		chunked("invocation/r1/response", "", "3"+strings.Repeat(";", 5000)),
		chunked("invocation/r1/response", "", "0\r\nContent-Length: 3\r\n\r\n"),
		chunked("invocation/r1/response", "", "0\r\n A: b\r\n\r\n"),
		strings.Repeat("A", 9000),
		strings.Repeat("x", 2<<20),
	} {
		p := s.dial()
		go func() { _, _ = io.WriteString(p, request+next) }()
		if resp, _ := p.answer("POST"); resp.StatusCode != 400 || !resp.Close {
			t.Errorf("%.60q: got %d, close %v", request, resp.StatusCode, resp.Close)
		}
		p.ended()
	}
	// A body that ends before its length is no answer.
	p := s.dial().send(post("invocation/r1/response", "", "0123456789")[:90])
	p.Close()
	g.events <- event("r1", "x")
	if _, body := runtimes.answer("GET"); body != "x" {
		t.Errorf("got %q", body)
	}
	if told, _ := g.told(); told != "" {
		t.Errorf("the guest was told %s", told)
	}
}

func TestNextEndsWithItsConnection(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	p := s.dial().send(next)
	until(t, "the guest is asked", func() bool { return !s.Settle(time.Millisecond) })
	p.Close()
	select {
	case <-g.gone:
	case <-time.After(20 * time.Second):
		t.Fatal("Next goes on without its connection")
	}
	if !s.Settle(20 * time.Second) {
		t.Error("a connection is left")
	}
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{MaxConns: 3})
	var open []*peer
	for range 3 {
		p := s.dial()
		p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
		open = append(open, p)
	}
	s.dial().ended()
	open[0].Close()
	until(t, "a place becomes free", func() bool {
		p := s.dial()
		defer p.Close()
		if _, err := io.WriteString(p, "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			return false
		}
		_, err := p.r.ReadByte()
		return err == nil
	})
}

func TestTheServerHoldsOneLargeBodyAtATime(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	body := strings.Repeat("x", 6<<20)
	request := []byte(post("invocation/r1/response", "", body))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var peers []*peer
	for range 40 { // each announces 6 MB and sends the half of it
		p := s.dial()
		peers = append(peers, p)
		go func() { _, _ = p.Write(request[:len(request)/2]) }()
	}
	until(t, "they have sent something", func() bool { return !s.Settle(200 * time.Millisecond) })
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 40<<20 {
		t.Errorf("40 clients made the server allocate %d MB", grown>>20)
	}
	for _, p := range peers {
		p.Close()
	}
	p := s.dial()
	go func() { _, _ = p.Write(request) }()
	p.want(202, ok)
}

func TestCloseEndsEverything(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	waiting, idle, half := s.dial().send(next), s.dial(), s.dial().send("GET /pi")
	idle.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	for _, p := range []*peer{waiting, idle, half} {
		p.ended()
	}
	if _, err := net.Dial("tcp", s.address); err == nil {
		t.Error("it still listens")
	}
}

func TestSettleWaitsForWhatWasSent(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	if !s.Settle(0) {
		t.Error("nothing is open, but it does not settle")
	}
	for i := range 200 {
		p := s.dial()
		// The client does not wait for its answer.
		p.send(post(fmt.Sprintf("invocation/r%d/response", i), "", "x"))
		until(t, "the connection is taken", func() bool { return !s.Settle(0) || seen(g, i) })
		p.Close()
		if !s.Settle(20 * time.Second) {
			t.Fatal("a connection is left")
		}
		if !seen(g, i) {
			t.Fatalf("answer %d was not heard", i)
		}
	}
}

func seen(g *guest, i int) bool {
	told, _ := g.told()
	return strings.Contains(told, fmt.Sprintf("respond r%d ", i))
}
