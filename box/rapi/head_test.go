package rapi

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// parse reads one head from the beginning of text.
func parse(text string) (request, int, *malformed) {
	var r request
	end, m := headEnd([]byte(text), 0)
	if m == nil && end > 0 {
		m = parseHead([]byte(text)[:end], &r)
	}
	return r, end, m
}

func TestAHeadIsRead(t *testing.T) {
	r, end, m := parse("POST http://host/2018-06-01/runtime/x?q=1 HTTP/1.1\r\nHOST: h\r\nconTent-length:  12 \r\nLambda-Runtime-Function-Error-Type:\tFunction.X\t\r\n\r\nrest")
	if m != nil || end == 0 {
		t.Fatalf("got end %d, %v", end, m)
	}
	if string(r.method) != "POST" || string(r.path) != "/2018-06-01/runtime/x" || r.length != 12 || string(r.errorType) != "Function.X" || r.close {
		t.Errorf("got %+v", r)
	}
	for text, closes := range map[string]bool{
		"GET / HTTP/1.0\r\n\r\n":                                          true,
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                false,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                 false,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: x,\tclose , y\r\n\r\n":  true,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n":         false,
		"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n": false,
	} {
		if r, _, m := parse(text); m != nil || r.close != closes {
			t.Errorf("%q: got close %v, %v; want %v", text, r.close, m, closes)
		}
	}
}

// malformedHeads are heads that must be refused, with the status.
var malformedHeads = map[string]int{
	"GET / HTTP/1.1\nHost: h\n\n":                                                                 400,
	"GET / HTTP/1.1\r\nHost: h\n\r\n":                                                             400,
	"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n":                                                       400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n":                                                400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n":                                              400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n":                                               400,
	"GET / HTTP/1.1\r\nHost: h\r\nA\x00: b\r\n\r\n":                                               400,
	"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n":                                                  400,
	"GET / HTTP/1.1\r\nHost: h\r\n A: b\r\n\r\n":                                                  400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n":                                            400,
	"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n":                                                    400,
	"GET / HTTP/1.1\r\nHost: h\r\nAb\r\n\r\n":                                                     400,
	"GET / HTTP/1.1\r\nHost: h\r\nA\xc3\xa9: b\r\n\r\n":                                           400,
	"GET / HTTP/1.1\r\n\r\n":                                                                      400,
	"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n":                                                400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n":                400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n":                                  400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n":                                    400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n":                                    400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n":                                   400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n":                                       400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n":                   400,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n":       400,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n":       400,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n": 400,
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":                                       400,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n":                           501,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                      501,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n":                                    501,
	"POST / HTTP/1.1\r\nHost: h\r\nExpect: a miracle\r\n\r\n":                                     417,
	"GET  / HTTP/1.1\r\nHost: h\r\n\r\n":                                                          400,
	"GET /  HTTP/1.1\r\nHost: h\r\n\r\n":                                                          400,
	"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n":                                                        400,
	"GET / HTTP/1.1 \r\nHost: h\r\n\r\n":                                                          400,
	" GET / HTTP/1.1\r\nHost: h\r\n\r\n":                                                          400,
	"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n":                                                         400,
	"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n":                                                       400,
	"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n":                                                       400,
	"GET x HTTP/1.1\r\nHost: h\r\n\r\n":                                                           400,
	"GET * HTTP/1.1\r\nHost: h\r\n\r\n":                                                           400,
	"GET http:// HTTP/1.1\r\nHost: h\r\n\r\n":                                                     400,
	"GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n":                                                   400,
	"G(T / HTTP/1.1\r\nHost: h\r\n\r\n":                                                           400,
	"GET /\r\n\r\n":                                                                               400,
	"GET\r\n\r\n":                                                                                 400,
	"GET / HTTP/1.1x\r\nHost: h\r\n\r\n":                                                          400,
	"GET / http/1.1\r\nHost: h\r\n\r\n":                                                           400,
	"GET / HTTP/1.2\r\nHost: h\r\n\r\n":                                                           505,
	"GET / HTTP/2.0\r\nHost: h\r\n\r\n":                                                           505,
	"PRI * HTTP/2.0\r\n\r\n":                                                                      505,
	"GET /" + strings.Repeat("x", maxRequestLine) + " HTTP/1.1\r\nHost: h\r\n\r\n":                400,
	"GET /" + strings.Repeat("x", maxRequestLine):                                                 400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("x", maxHeaderLine) + "\r\n\r\n":          400,
	"GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("x", maxHeaderLine):                       400,
	"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHeaders) + "Host: h\r\n\r\n":             400,
	"GET / HTTP/1.1\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 2000):           400,
}

func TestAMalformedHeadIsRefused(t *testing.T) {
	for text, status := range malformedHeads {
		_, _, m := parse(text)
		if m == nil || m.status != status {
			t.Errorf("%.80q: got %+v, want status %d", text, m, status)
		}
	}
}

func TestAHeadIsFoundHoweverItIsCut(t *testing.T) {
	text := "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET"
	want := len(text) - 3
	for cut := range want {
		end, m := headEnd([]byte(text[:cut]), 0)
		if end != 0 || m != nil {
			t.Fatalf("cut at %d: got %d, %v", cut, end, m)
		}
		if end, m := headEnd([]byte(text), cut); end != want || m != nil {
			t.Fatalf("cut at %d and continued: got %d, %v", cut, end, m)
		}
	}
}

func TestAnErrorTypeIsNormalised(t *testing.T) {
	for given, want := range map[string]string{
		"Runtime.ImportModuleError": "Runtime.ImportModuleError",
		"Function.Oops":             "Function.Oops",
		"Function.":                 "Function.Unknown",
		"Function.oops":             "Function.Unknown",
		"Function.Not-A-Name":       "Function.Unknown",
		"Function<ArgumentError>":   "Runtime.Unknown",
		"Runtime.X":                 "Runtime.Unknown",
		"Runtime.Xx":                "Runtime.Xx",
		"Runtime.":                  "Runtime.Unknown",
		"java.lang.Exception":       "Runtime.Unknown",
		"xRuntime.Good":             "Runtime.Unknown",
		"Runtime.Good Bad":          "Runtime.Unknown",
		"":                          "Runtime.Unknown",
	} {
		if got := normalise(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// memory is a connection that gives its bytes a few at a time and takes all.
type memory struct {
	net.Conn
	in   []byte
	step int
	out  bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error) {
	if len(m.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.in[:min(len(m.in), m.step)])
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(p []byte) (int, error)     { return m.out.Write(p) }
func (m *memory) Close() error                    { return nil }
func (m *memory) SetReadDeadline(time.Time) error { return nil }

// stricter are refusals of things that net/http lets pass, on purpose: each is
// something that two readers could read in two ways, or that nobody here needs.
var stricter = []string{
	"line feed without carriage return", "folded header line", "more than one Content-Length", "more than one Host header",
	"more than one Transfer-Encoding", "both Content-Length and Transfer-Encoding", "Transfer-Encoding in HTTP/1.0", "missing Host header",
	"control character in a header value", "malformed request target", "only HTTP/1.0 and HTTP/1.1 are served", "unknown expectation",
	"unsupported Transfer-Encoding", "malformed Content-Length", "too many headers", "request line too long", "header line too long",
	"request head too large", "malformed chunk size", "malformed chunk extension", "chunk longer than its size", "line too long in a chunked body",
	"framing header in a trailer", "too many trailers", "header line without a name", "malformed header name",
}

// FuzzParser holds the parser against net/http's: what is taken here is taken there
// with the same meaning, body and end included; what is refused here but taken
// there is refused for a reason that is listed.
func FuzzParser(f *testing.F) {
	for text := range malformedHeads {
		if len(text) < 1000 {
			f.Add([]byte(text), byte(7))
		}
	}
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET"), byte(1))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET"), byte(3))
	f.Add([]byte("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"), byte(9))
	f.Add([]byte("POST http://a/x?y HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"), byte(200))
	f.Fuzz(func(t *testing.T, data []byte, step byte) {
		if bytes.Contains(bytes.ToLower(data), []byte("100-continue")) {
			return // a matter of two parties, not of one text
		}
		m := &memory{in: bytes.Clone(data), step: 1 + int(step)}
		s := &Server{large: make(chan struct{}, 1), ctx: context.Background(), options: Options{}.withDefaults()}
		c := newConn(s, m)
		defer c.cancel()

		var r request
		var body []byte
		state := bodyBroken
		var refused *malformed
		ok := c.readHead(&r)
		method, path := string(r.method), string(r.path)
		if ok {
			body, state, refused = c.body(&r, s.options.MaxBody)
		}
		if state == bodyTooLarge {
			return
		}

		theirs := bufio.NewReader(bytes.NewReader(data))
		req, err := http.ReadRequest(theirs)
		var theirBody []byte
		if err == nil {
			theirBody, err = io.ReadAll(req.Body)
		}

		if !ok || state != bodyRead {
			reason := m.out.String()
			if refused != nil {
				reason = refused.reason
			}
			if err == nil && reason != "" && !listed(reason) {
				t.Fatalf("%q: refused here (%s), taken by net/http", data, reason)
			}
			if err == nil && reason == "" {
				t.Fatalf("%q: not finished here, finished in net/http", data)
			}
			return
		}
		if err != nil {
			if _, urlErr := url.ParseRequestURI(target(data)); urlErr != nil || strings.Contains(err.Error(), "invalid URL escape") {
				return // a path that is no URL leads nowhere here
			}
			t.Fatalf("%q: taken here, refused by net/http: %v", data, err)
		}
		if req.Method != method || !bytes.Equal(theirBody, body) {
			t.Fatalf("%q: got %s with body %q, net/http has %s with body %q", data, method, body, req.Method, theirBody)
		}
		if theirPath := req.URL.EscapedPath(); !strings.Contains(path, "#") && theirPath != path && req.URL.Path != path {
			t.Fatalf("%q: got path %q, net/http has %q", data, path, theirPath)
		}
		if req.Close && !r.close {
			t.Fatalf("%q: net/http closes this connection", data)
		}
		left, _ := io.ReadAll(theirs)
		if ours := append(bytes.Clone(c.buf[c.r:c.w]), m.in...); !bytes.Equal(left, ours) {
			t.Fatalf("%q: %q is left here, %q in net/http", data, ours, left)
		}
	})
}

func listed(reason string) bool {
	for _, s := range stricter {
		if strings.Contains(reason, s) {
			return true
		}
	}
	return false
}

// target cuts the request target out of a request.
func target(data []byte) string {
	line, _, _ := bytes.Cut(data, []byte("\r\n"))
	_, rest, _ := bytes.Cut(line, []byte(" "))
	text, _, _ := bytes.Cut(rest, []byte(" "))
	return string(text)
}
