package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/api"
	"kiln/door/auth"
)

const token = "session-token"

// chamber is an environment of a function and its way to the API.
type chamber struct {
	t      testing.TB
	url    string
	client *http.Client
	closer io.Closer
}

// inside opens the port to environments.
func (p *port) inside(change ...func(*api.Bounds)) *api.Inside {
	i := p.InsideWithin(func(b *api.Bounds) {
		for _, f := range change {
			f(b)
		}
	})
	p.t.Cleanup(func() {
		if err := i.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return i
}

// chamberOf makes an environment of a function. It ends with the test.
func chamberOf(t testing.TB, i *api.Inside, account, name string) *chamber {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	id := kiln.FunctionID{Scope: kiln.Scope{Account: account, Region: region}, Name: name}
	c := &chamber{t: t, url: "http://" + l.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
	c.closer = i.Serve(l, auth.NewEnvironment(id, "arn:aws:iam::"+account+":role/worker", token))
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		_ = c.closer.Close() // the test may have closed it
	})
	return c
}

// do sends a request with the environment's token; headers are pairs.
func (c *chamber) do(method, path, body string, headers ...string) reply {
	c.t.Helper()
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Security-Token", token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	got, err := c.client.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{got.StatusCode, got.Header, string(b)}
}

// dial connects and sends text.
func (c *chamber) dial(text string) net.Conn {
	c.t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = nc.Close() })
	if _, err := io.WriteString(nc, text); err != nil {
		c.t.Fatal(err)
	}
	return nc
}

// ends waits until the other side has closed a connection.
func ends(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := nc.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatal("the connection is still open")
		}
	}
}

func names(t testing.TB, r reply) []string {
	t.Helper()
	var list struct {
		Functions []struct{ FunctionArn string }
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var out []string
	for _, f := range list.Functions {
		out = append(out, f.FunctionArn)
	}
	return out
}

func TestInsideAFunctionSeesItsAccountAndNoOther(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	other := "AWS4-HMAC-SHA256 Credential=222222222222/20260101/" + region + "/lambda/aws4_request, SignedHeaders=host, Signature=0"
	wants(t, "create", p.do("POST", "/2015-03-31/functions", request(t, "g", nil), "Authorization", other), 201)
	p.settle()
	i := p.inside()
	f, g := chamberOf(t, i, account, "f"), chamberOf(t, i, "222222222222", "g")
	const list = "/2015-03-31/functions/"
	mine, theirs := []string{arn("f")}, []string{"arn:aws:lambda:eu-west-1:222222222222:function:g"}
	if got := names(t, f.do("GET", list, "")); !slices.Equal(got, mine) {
		t.Errorf("f sees %q", got)
	}
	for _, key := range []string{"222222222222", "AKIAIOSFODNN7EXAMPLE", "test"} {
		signed := "AWS4-HMAC-SHA256 Credential=" + key + "/20260101/" + region + "/lambda/aws4_request, SignedHeaders=host, Signature=0"
		if got := names(t, g.do("GET", list, "", "Authorization", signed, "X-Amz-Security-Token", "")); !slices.Equal(got, theirs) {
			t.Errorf("signed with %s, g sees %q", key, got)
		}
	}
	const invalid = "The security token included in the request is invalid."
	mineSigned := strings.Replace(other, "222222222222", account, 1)
	refused(t, "another account's key", g.do("GET", list, "", "Authorization", mineSigned), 403, "UnrecognizedClientException", invalid)
	refused(t, "another token", g.do("GET", list, "", "X-Amz-Security-Token", "x"), 403, "UnrecognizedClientException", invalid)
	refused(t, "no token and no signature", g.do("GET", list, "", "X-Amz-Security-Token", ""), 403, "MissingAuthenticationTokenException",
		"Missing Authentication Token. Inside a function, sign the request, or send the function's AWS_SESSION_TOKEN as X-Amz-Security-Token.")
	refused(t, "another account's function", g.do("POST", "/2015-03-31/functions/"+arn("f")+"/invocations", "{}"), 403, "AccessDeniedException", "")
	refused(t, "its name", g.do("POST", "/2015-03-31/functions/f/invocations", "{}"), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:222222222222:function:f")
	if got := names(t, g.do("GET", list, "", "Authorization", strings.Replace(other, region, "us-east-1", 1))); len(got) != 0 {
		t.Errorf("in another region g sees %q", got)
	}
}

func TestInsideNothingOfKilnsOwnIsServedButDownloads(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	f := chamberOf(t, p.inside(), account, "f")
	for _, path := range []string{"/healthz", "/readyz", "/_kiln/", "/_kiln/v1/version", "/_kiln/v1/doctor", "/_kiln/v1/runtimes", "/_kiln/v1/runtimes/nodejs22.x", "/_kiln/v1/logs", "/_kiln/v1/environments", "/_kiln/v1/nothing"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			refused(t, method+" "+path, f.do(method, path, ""), 403, "AccessDeniedException", path+" is not served inside of execution environments")
		}
	}
	refused(t, "metrics", f.do("GET", "/metrics", ""), 404, "UnknownOperationException", "kiln serves the AWS Lambda API at this address; nothing is at /metrics")
	refused(t, "another service", f.do("POST", "/", "{}", "X-Amz-Target", "DynamoDB_20120810.GetItem"), 501, "NotImplementedException",
		"kiln serves AWS Lambda only; this request is for the service DynamoDB_20120810 (DynamoDB_20120810.GetItem)")
	refused(t, "a foreign host", f.do("GET", "/2015-03-31/functions", "", "Origin", "https://example.com"), 403, "AccessDeniedException", "refused: the request comes from a page of another origin")

	location := wants(t, "GetFunction", f.do("GET", "/2015-03-31/functions/f", ""), 200).members(t)["Code"].(map[string]any)["Location"].(string)
	path, ok := strings.CutPrefix(location, f.url)
	if !ok {
		t.Fatalf("the download URL %s is not one of inside", location)
	}
	if got := wants(t, "download", f.do("GET", path, "", "X-Amz-Security-Token", ""), 200); !strings.HasPrefix(got.body, "PK") {
		t.Errorf("downloaded %q", got.body)
	}
	wants(t, "a download without a ticket", f.do("GET", strings.Split(path, "?")[0], ""), 403)
}

func TestAnInvocationFromInsideCarriesItsTraceAndLineage(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	seen := make(chan *kiln.Invocation, 1)
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		seen <- inv
		return &kiln.Outcome{Payload: inv.Payload, Version: "$LATEST"}, nil
	}
	f := chamberOf(t, p.inside(), account, "f")
	sent := "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=2:a87bd80c:0|68fd508a:5"
	got := wants(t, "invoke", f.do("POST", invocations, `{"a":1}`, "X-Amzn-Trace-Id", sent), 200)
	inv := <-seen
	if inv.Trace != sent || got.header.Get("X-Amzn-Trace-Id") != sent || inv.Function.ARN() != arn("f") || got.body != `{"a":1}` {
		t.Errorf("ran %s with the trace %q and answered %q", inv.Function.ARN(), inv.Trace, got.body)
	}
}

func TestAHundredNestedInvocationsOfOneEnvironmentRunAtOnce(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	var all sync.WaitGroup
	all.Add(100)
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		all.Done()
		all.Wait() // for the other ninety-nine
		return &kiln.Outcome{Payload: inv.Payload, Version: "$LATEST"}, nil
	}
	f := chamberOf(t, p.inside(), account, "f")
	var calls sync.WaitGroup
	for n := range 100 {
		calls.Go(func() {
			if got := f.do("POST", invocations, fmt.Sprint(n)); got.status != 200 || got.body != fmt.Sprint(n) {
				t.Errorf("call %d: %d %s", n, got.status, got.body)
			}
		})
	}
	calls.Wait()
}

func TestAnEnvironmentThatEndsCutsItsConnectionsAndWhatRunsGoesOn(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	running, finish, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	p.invoker.run = func(ctx context.Context, _ *kiln.Invocation) (*kiln.Outcome, error) {
		close(running)
		<-ctx.Done() // whoever waits for a place stops waiting
		close(gone)
		<-finish // a function that runs does not
		return &kiln.Outcome{Version: "$LATEST"}, nil
	}
	i := p.InsideWithin(func(*api.Bounds) {})
	f, other := chamberOf(t, i, account, "f"), chamberOf(t, i, account, "f")
	nc := f.dial("POST " + invocations + " HTTP/1.1\r\nHost: localhost\r\nX-Amz-Security-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}")
	<-running
	if err := f.closer.Close(); err != nil {
		t.Fatal(err)
	}
	ends(t, nc)
	<-gone
	if nc, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://")); err == nil {
		_ = nc.Close()
		t.Error("somebody still listens")
	}
	wants(t, "another environment", other.do("GET", "/2015-03-31/functions", ""), 200)

	idle := other.dial("")
	over := make(chan error, 1)
	go func() { over <- i.Close() }()
	ends(t, idle)
	select {
	case <-over:
		t.Error("Close has not waited for the request that is being answered")
	default:
	}
	close(finish)
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestAConnectionForWhichThereIsNoPlaceWaits(t *testing.T) {
	p := newPort(t)
	i := p.inside(func(b *api.Bounds) { b.Conns(1, 2, 1) })
	f, g := chamberOf(t, i, account, "f"), chamberOf(t, i, account, "g")
	const ask = "GET /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nX-Amz-Security-Token: " + token + "\r\n\r\n"
	answered := func(nc net.Conn, within time.Duration) bool {
		t.Helper()
		if err := nc.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(nc).ReadString('\n')
		return err == nil && strings.Contains(line, "200 OK")
	}
	const soon, long = 50 * time.Millisecond, 20 * time.Second
	one, two := f.dial(ask), f.dial(ask)
	if !answered(one, long) || !answered(two, long) {
		t.Fatal("the first two connections are not answered")
	}
	three := f.dial(ask)
	if answered(three, soon) {
		t.Error("a third connection is answered while two are open")
	}
	own := g.dial(ask)
	if !answered(own, long) {
		t.Error("another environment has no place of its own")
	}
	more := g.dial(ask)
	if answered(more, soon) {
		t.Error("another environment has a place that is taken")
	}
	if err := two.Close(); err != nil { // which gives a place to all, and one to f
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if !answered(three, long) || !answered(more, long) {
		t.Error("they still wait although there is a place")
	}
	if err := f.closer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.closer.Close(); err != nil { // while it waits for a place
		t.Fatal(err)
	}
}

func TestSlowAndSilentClientsInsideAreCut(t *testing.T) {
	p := newPort(t)
	i := p.inside(func(b *api.Bounds) { b.Times(50*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond) })
	f := chamberOf(t, i, account, "f")
	ends(t, f.dial(""))
	ends(t, f.dial("GET /2015-03-31/functions HTTP/1.1\r\nHost: "))
	ends(t, f.dial("GET /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nX-Amz-Security-Token: "+token+"\r\n\r\n")) // and no more
	ends(t, f.dial("POST "+invocations+" HTTP/1.1\r\nHost: localhost\r\nX-Amz-Security-Token: "+token+"\r\nContent-Length: 100\r\n\r\n{"))
	nc := f.dial("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + strings.Repeat("x", 80<<10) + "\r\n\r\n")
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || !strings.Contains(line, " 431 ") {
		t.Errorf("a head of 80 KB: %q, %v", line, err)
	}
}

func TestMemoryOfBodiesIsBoundedForEachEnvironmentAndForAll(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	running, finish := make(chan struct{}, 8), make(chan struct{})
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		running <- struct{}{}
		<-finish
		return &kiln.Outcome{Payload: []byte("1"), Version: "$LATEST"}, nil
	}
	i := p.inside(func(b *api.Bounds) { b.Bytes(1000, 10000, 9000) })
	f, g := chamberOf(t, i, account, "f"), chamberOf(t, i, account, "f")
	payload := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	var calls sync.WaitGroup
	call := func(c *chamber, n int) {
		calls.Go(func() { wants(t, "a call that fits", c.do("POST", invocations, payload(n)), 200) })
		<-running
	}
	const text = "The requests that this execution environment has open hold too much of the server's memory; try again when some are answered."
	call(f, 6000)
	got := f.do("POST", invocations, payload(5000))
	refused(t, "more than one environment may hold", got, 429, "TooManyRequestsException", text)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	call(f, 4000)
	refused(t, "what all share is used up", g.do("POST", invocations, payload(1001)), 429, "TooManyRequestsException", text)
	call(g, 1000) // its own
	close(finish)
	calls.Wait()
	finish = make(chan struct{})
	call(g, 9000) // everything was given back
	close(finish)
	calls.Wait()
}

func TestAnswersThatNobodyReadsAreCutWhenTheyHoldTooMuch(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	large := []byte(`"` + strings.Repeat("x", 16<<20) + `"`) // more than a connection holds on its way
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		return &kiln.Outcome{Payload: large, Version: "$LATEST"}, nil
	}
	i := p.inside(func(b *api.Bounds) { b.Bytes(1<<10, 40<<20, 40<<20) })
	f, g := chamberOf(t, i, account, "f"), chamberOf(t, i, account, "f")
	ask := "POST " + invocations + " HTTP/1.1\r\nHost: localhost\r\nX-Amz-Security-Token: " + token + "\r\nContent-Length: 2\r\n\r\n{}"
	var open []net.Conn
	for range 2 { // held, unread
		nc := f.dial(ask)
		if _, err := io.ReadFull(nc, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		open = append(open, nc)
	}
	third := f.dial(ask)
	n, err := io.Copy(io.Discard, third)
	if n >= int64(len(large)) {
		t.Errorf("a third answer was sent whole (%d bytes, %v)", n, err)
	}
	wants(t, "a small request", g.do("GET", "/2015-03-31/functions", ""), 200)
	r := bufio.NewReader(open[0])
	if got, err := io.CopyN(io.Discard, r, int64(len(large))); err != nil { // those that were held arrive
		t.Errorf("after %d bytes: %v", got, err)
	}
}
