package url_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/url"
)

const id = "abcdefghijklmnopqrstuvwxyz234567"

// site is a server with one function URL.
type site struct {
	*httptest.Server
	t      testing.TB
	config kiln.FunctionURL
	prefix string
	run    func(inv *kiln.Invocation) (*kiln.Outcome, error)

	mu   sync.Mutex
	seen *kiln.Invocation
}

func (s *site) URLByID(asked string) *kiln.FunctionURL {
	if asked == id {
		return &s.config
	}
	return nil
}

func (s *site) Invoke(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	s.mu.Lock()
	s.seen = inv
	s.mu.Unlock()
	return s.run(inv)
}

func newSite(t testing.TB, change ...func(*url.Options)) *site {
	t.Helper()
	s := &site{t: t, config: kiln.FunctionURL{
		Function: kiln.FunctionID{Scope: kiln.Scope{Account: "123456789012", Region: "eu-west-1"}, Name: "hello"}, Qualifier: "live",
		ID: id, Auth: kiln.URLAuthNone, InvokeMode: kiln.Buffered,
	}}
	s.returns(`{"statusCode":200}`)
	o := url.Options{Functions: s, Invoker: s, Now: func() time.Time { return time.UnixMilli(1583348638390) }}
	for _, f := range change {
		f(&o)
	}
	door := url.New(o)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.Host, ".")
		door.ServeURL(w, r, url.Request{URL: name, Path: r.URL.EscapedPath(), Prefix: s.prefix, RequestID: "r-1", Trace: "Root=1-a"})
	}))
	t.Cleanup(s.Close)
	return s
}

// returns lets the function return a payload.
func (s *site) returns(payload string) {
	s.run = func(*kiln.Invocation) (*kiln.Outcome, error) { return &kiln.Outcome{Payload: []byte(payload)}, nil }
}

// streams lets the function stream these pieces and end so.
func (s *site) streams(contentType string, end kiln.Outcome, pieces ...string) {
	s.config.InvokeMode = kiln.StreamedMode
	s.run = func(inv *kiln.Invocation) (*kiln.Outcome, error) {
		inv.Stream.Begin(contentType)
		for _, p := range pieces {
			_ = inv.Stream.Write([]byte(p)) // the function goes on, whatever happens
		}
		o := end
		o.Streamed = true
		return &o, nil
	}
}

// reply is an answer of the site.
type reply struct {
	status int
	header http.Header
	body   string
	cut    bool // it ended too early
}

// do sends a request; headers are pairs.
func (s *site) do(method, target, body string, headers ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	r.Host = id + ".lambda-url.eu-west-1.localhost:" + port
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(got), err != nil}
}

// event gives the last event as the function saw it.
func (s *site) event() map[string]any {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var m map[string]any
	if err := json.Unmarshal(s.seen.Payload, &m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestARequestBecomesAnEventOfFormat2(t *testing.T) {
	s := newSite(t)
	s.do("PUT", "/a%20b/c%2Fd?x=1&y=2&x=3&z=%C3%A9&flag", `{"k":1}`,
		"Content-Type", "application/json; charset=utf-8", "User-Agent", "agent/1", "X-Two", "1", "X-Two", "2", "Cookie", "a=1; b=2", "Accept-Encoding", "identity")
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	host := id + ".lambda-url.eu-west-1.localhost"
	want := fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":"/a%%20b/c%%2Fd","rawQueryString":"x=1&y=2&x=3&z=%%C3%%A9&flag","cookies":["a=1","b=2"],`+
		`"headers":{"accept-encoding":"identity","content-length":"7","content-type":"application/json; charset=utf-8","host":"%[1]s:%[2]s","user-agent":"agent/1","x-amzn-trace-id":"Root=1-a","x-forwarded-for":"127.0.0.1","x-forwarded-port":"%[2]s","x-forwarded-proto":"http","x-two":"1,2"},`+
		`"queryStringParameters":{"flag":"","x":"1,3","y":"2","z":"é"},`+
		`"requestContext":{"accountId":"anonymous","apiId":"%[3]s","domainName":"%[1]s","domainPrefix":"%[3]s","http":{"method":"PUT","path":"/a%%20b/c%%2Fd","protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"agent/1"},`+
		`"requestId":"r-1","routeKey":"$default","stage":"$default","time":"04/Mar/2020:19:03:58 +0000","timeEpoch":1583348638390},"body":"{\"k\":1}","isBase64Encoded":false}`, host, port, id)
	if got := string(s.seen.Payload); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.seen.ID != "r-1" || s.seen.Attempt == "" || s.seen.Trace != "Root=1-a" || s.seen.InvokedARN() != "arn:aws:lambda:eu-west-1:123456789012:function:hello:live" || s.seen.Stream != nil {
		t.Errorf("got %+v", s.seen)
	}
	s.do("GET", "/", "")
	e := s.event()
	for _, absent := range []string{"body", "cookies", "queryStringParameters"} {
		if v, there := e[absent]; there {
			t.Errorf("%s is %v", absent, v)
		}
	}
}

func TestBodiesAreTextOrBase64ByTheirType(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		contentType, encoding, body, want string
		base64                            bool
	}{
		{"text/plain", "", "é", "é", false},
		{"application/x-www-form-urlencoded", "", "a=1", "a=1", false},
		{"application/problem+json", "", "{}", "{}", false},
		{"image/svg+xml", "", "<a/>", "PGEvPg==", true},
		{"application/xml", "", "<a/>", "<a/>", false},
		{"application/octet-stream", "", "\x00\x01", "AAE=", true},
		{"multipart/form-data; boundary=x", "", "--x--", "LS14LS0=", true},
		{"", "", "text", "dGV4dA==", true},
		{"text/plain", "", "\xff\xfe", "//4=", true},
		{"text/plain", "gzip", "text", "dGV4dA==", true},
	} {
		s.do("POST", "/", c.body, "Content-Type", c.contentType, "Content-Encoding", c.encoding)
		if e := s.event(); e["body"] != c.want || e["isBase64Encoded"] != c.base64 {
			t.Errorf("%s %s: got %v, %v", c.contentType, c.encoding, e["body"], e["isBase64Encoded"])
		}
	}
}

func TestWhatAClientForgesIsNotInTheEvent(t *testing.T) {
	s := newSite(t)
	s.do("GET", "/", "", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "X-Amzn-Trace-Id", "Root=evil",
		"X-Amzn-Tls-Version", "TLSv1.3", "X-Amz-Client-Context", "e30=", "Te", "trailers", "X-Amz-Date", "20260101T000000Z")
	h := s.event()["headers"].(map[string]any)
	for name, want := range map[string]any{
		"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": nil, "x-amzn-trace-id": "Root=1-a",
		"x-amzn-tls-version": nil, "x-amz-client-context": nil, "te": nil, "connection": nil, "x-amz-date": "20260101T000000Z",
	} {
		if h[name] != want {
			t.Errorf("%s: got %v, want %v", name, h[name], want)
		}
	}
}

func TestWhatAFunctionReturnsBecomesAnAnswer(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		payload string
		status  int
		body    string
		headers map[string]string
	}{
		{`{"statusCode":201,"headers":{"X-A":"b","x-n":7,"content-type":"text/html"},"body":"<p>","cookies":["a=1; Path=/","b=2"]}`, 201, "<p>", map[string]string{"X-A": "b", "X-N": "7", "Content-Type": "text/html", "Set-Cookie": "a=1; Path=/", "Content-Length": "3"}},
		{`{"statusCode":"404","body":"no"}`, 404, "no", map[string]string{"Content-Type": "application/json"}},
		{`{"statusCode":200,"body":"AAE=","isBase64Encoded":true}`, 200, "\x00\x01", nil},
		{`{"statusCode":200,"body":{"a":1}}`, 200, `{"a":1}`, nil},
		{`{"statusCode":204}`, 204, "", nil},
		{`{"statusCode":200,"headers":{"Content-Length":"99","Transfer-Encoding":"x","X-Amzn-RequestId":"z","Connection":"upgrade"},"body":"ab"}`, 200, "ab", map[string]string{"Content-Length": "2", "X-Amzn-Requestid": "", "Connection": ""}},
		{`{"message":"hi"}`, 200, `{"message":"hi"}`, map[string]string{"Content-Type": "application/json"}},
		{`"hi"`, 200, `"hi"`, map[string]string{"Content-Type": "application/json"}},
		{` [1]`, 200, ` [1]`, nil},
		{`null`, 200, `null`, nil},
		{``, 200, ``, nil},
		{`not JSON`, 502, "Internal Server Error", nil},
		{`{"statusCode":99}`, 502, "Internal Server Error", nil},
		{`{"statusCode":101}`, 502, "Internal Server Error", nil},
		{`{"statusCode":600}`, 502, "Internal Server Error", nil},
		{`{"statusCode":{}}`, 502, "Internal Server Error", nil},
		{`{"statusCode":200,"headers":"x"}`, 502, "Internal Server Error", nil},
		{`{"statusCode":200,"headers":{"a":{}}}`, 502, "Internal Server Error", nil},
		{`{"statusCode":200,"body":"%","isBase64Encoded":true}`, 502, "Internal Server Error", nil},
		{"{\"statusCode\":203}" + strings.Repeat("\x00", 8) + "streamed", 203, "streamed", map[string]string{"Content-Type": "application/octet-stream"}},
	} {
		s.returns(c.payload)
		got := s.do("GET", "/", "")
		if got.status != c.status || got.body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.payload, got.status, got.body, c.status, c.body)
		}
		for name, want := range c.headers {
			if v := got.header.Get(name); v != want {
				t.Errorf("%s: %s is %q, want %q", c.payload, name, v, want)
			}
		}
	}
	s.returns(`{"statusCode":200,"cookies":["a=1","b=2"]}`)
	if got := s.do("GET", "/", "").header["Set-Cookie"]; len(got) != 2 {
		t.Errorf("got cookies %v", got)
	}
	s.returns(`{"statusCode":200,"body":"abc"}`)
	if got := s.do("HEAD", "/", ""); got.body != "" || got.header.Get("Content-Length") != "3" {
		t.Errorf("HEAD: got %q of %s bytes", got.body, got.header.Get("Content-Length"))
	}
}

func TestFailuresHaveTheStatusesOfAWS(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		outcome *kiln.Outcome
		err     error
		status  int
		body    string
	}{
		"function error": {outcome: &kiln.Outcome{Failed: true, Payload: []byte(`{"secret":1}`), Report: kiln.Report{Status: kiln.StatusError}}, status: 502, body: "Internal Server Error"},
		"timeout":        {outcome: &kiln.Outcome{Failed: true, Report: kiln.Report{Status: kiln.StatusTimeout}}, status: 504, body: `{"Message":"The function timed out."}`},
		"throttled":      {err: &kiln.Error{Code: kiln.Throttled}, status: 429, body: `{"Message":"Rate Exceeded."}`},
		"unavailable":    {err: &kiln.Error{Code: kiln.Unavailable, Message: "no machine"}, status: 503, body: `{"Message":"no machine"}`},
		"gone":           {err: &kiln.Error{Code: kiln.NotFound, Message: "x"}, status: 404, body: `{"Message":"There is no function URL at this address."}`},
		"bad package":    {err: &kiln.Error{Code: kiln.BadPackage, Message: "x"}, status: 502, body: "Internal Server Error"},
		"platform":       {err: errors.New("a secret"), status: 500, body: "Internal Server Error"},
	} {
		for _, mode := range []kiln.InvokeMode{kiln.Buffered, kiln.StreamedMode} {
			s.config.InvokeMode = mode
			s.run = func(*kiln.Invocation) (*kiln.Outcome, error) { return c.outcome, c.err }
			if got := s.do("GET", "/", ""); got.status != c.status || got.body != c.body {
				t.Errorf("%s, %s: got %d %s", name, mode, got.status, got.body)
			}
		}
	}
	if got := s.do("GET", "/", "", "Host", "zzz.lambda-url.eu-west-1.localhost"); got.status != 404 {
		t.Errorf("unknown: got %d %s", got.status, got.body)
	}
}

func TestATooLargeRequestIs413(t *testing.T) {
	s := newSite(t)
	if got := s.do("POST", "/", strings.Repeat("x", kiln.MaxSyncPayload+1), "Content-Type", "text/plain"); got.status != 413 {
		t.Errorf("announced: got %d", got.status)
	}
	if got := s.do("POST", "/", strings.Repeat("x", 5<<20), "Content-Type", "image/png"); got.status != 413 {
		t.Errorf("as base64: got %d", got.status)
	}
	if s.seen != nil {
		t.Error("the function was run")
	}
	if got := s.do("POST", "/", strings.Repeat("x", 6<<20-4096), "Content-Type", "text/plain"); got.status != 200 {
		t.Errorf("just fitting: got %d %s", got.status, got.body)
	}
}

func TestAnUpgradeIsRefused(t *testing.T) {
	s := newSite(t)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s.lambda-url.eu-west-1.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", id)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(body), "WebSocket") || s.seen != nil {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

func TestWithoutAGateNobodyIsLetThroughIAM(t *testing.T) {
	s := newSite(t)
	s.config.Auth = kiln.URLAuthIAM
	got := s.do("GET", "/", "", "Authorization", "AWS4-HMAC-SHA256 Credential=123456789012/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=0")
	if got.status != 403 || got.body != `{"Message":"Forbidden"}` || got.header.Get("X-Amzn-Errortype") != "AccessDeniedException" || s.seen != nil {
		t.Errorf("got %d %s %v", got.status, got.body, got.header)
	}
}

// gate is one that does as the test says.
type gate struct {
	caller *url.Caller
	err    error
}

func (g gate) Admit(*http.Request, *kiln.FunctionURL) (*url.Caller, error) { return g.caller, g.err }

func TestWhoSignedARequestIsInTheEvent(t *testing.T) {
	c := &url.Caller{Account: "999999999999", AccessKey: "AKIA", ARN: "arn:aws:iam::999999999999:user/ada", UserID: "AIDA"}
	s := newSite(t, func(o *url.Options) { o.Gate = gate{caller: c} })
	c.Check = func(body []byte) error {
		if string(body) != "as signed" {
			return errors.New("another body")
		}
		return nil
	}
	s.do("POST", "/", "as signed")
	context := s.event()["requestContext"].(map[string]any)
	got, err := json.Marshal(context["authorizer"])
	if want := `{"iam":{"accessKey":"AKIA","accountId":"999999999999","callerId":"AIDA","cognitoIdentity":null,"principalOrgId":null,"userArn":"arn:aws:iam::999999999999:user/ada","userId":"AIDA"}}`; err != nil || string(got) != want || context["accountId"] != "999999999999" {
		t.Errorf("got %s, account %v", got, context["accountId"])
	}
	s.seen = nil
	if got := s.do("POST", "/", "changed"); got.status != 403 || s.seen != nil {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestTheGateIsAskedAlsoForURLsWithoutAuthorization(t *testing.T) {
	s := newSite(t, func(o *url.Options) { o.Gate = gate{err: errors.New("no policy")} })
	if got := s.do("GET", "/", ""); got.status != 403 || got.body != `{"Message":"Forbidden"}` || s.seen != nil {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
