package rapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"kiln"
	"kiln/box/rapi"
)

func TestNextShowsTheEventWithAWSsHeaders(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	g.events <- &rapi.Event{
		RequestID: "r1", InvocationID: "i1", ARN: "arn:aws:lambda:eu-west-1:123456789012:function:f:prod", Trace: "Root=1-a",
		ClientContext: "{\"a\":\r\n\"\xc3\xa9\"}", TenantID: "blue\r\nX-Evil: 1", DeadlineMS: 1700000000123, Payload: []byte(`{"k":1}`),
	}
	resp, body := p.send(next).answer("GET")
	if resp.StatusCode != 200 || body != `{"k":1}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	want := http.Header{
		"Content-Type":                        {"application/json"},
		"Content-Length":                      {"7"},
		"Lambda-Runtime-Aws-Request-Id":       {"r1"},
		"Lambda-Runtime-Deadline-Ms":          {"1700000000123"},
		"Lambda-Runtime-Invoked-Function-Arn": {"arn:aws:lambda:eu-west-1:123456789012:function:f:prod"},
		"Lambda-Runtime-Trace-Id":             {"Root=1-a"},
		"Lambda-Runtime-Client-Context":       {"{\"a\":  \"\xc3\xa9\"}"},
		"Lambda-Runtime-Aws-Tenant-Id":        {"blue  X-Evil: 1"},
		"Lambda-Runtime-Invocation-Id":        {"i1"},
	}
	if fmt.Sprint(resp.Header) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", resp.Header, want)
	}

	g.events <- event("r2", strings.Repeat("x", 1<<20)) // beside its headers
	resp, body = p.send(next).answer("GET")
	if len(body) != 1<<20 || resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != "r2" {
		t.Errorf("got %d bytes, %v", len(body), resp.Header)
	}
	if _, there := resp.Header["Lambda-Runtime-Client-Context"]; there {
		t.Error("an empty member has a header")
	}
}

func TestAnAnswerAndTheNextQuestionInOneWriteAreBothServed(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	g.events <- event("r0", "0")
	p.send(next).answer("GET")
	for i := 1; i < 50; i++ {
		p.send(post(fmt.Sprintf("invocation/r%d/response", i-1), "", fmt.Sprint(i)) + next)
		p.want(202, ok) // before there is an event
		g.events <- event(fmt.Sprintf("r%d", i), "x")
		if resp, _ := p.answer("GET"); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != fmt.Sprintf("r%d", i) {
			t.Fatalf("got %v", resp.Header)
		}
	}
	if calls, payload := g.told(); !strings.HasSuffix(calls, "respond r48 ") || payload != "49" {
		t.Errorf("got %s with %s", calls, payload)
	}
}

func TestWhatIsSentBehindAWaitingNextIsServedAfterIt(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(next + "GET /ping HTTP/1.1\r\nHost: h\r\n\r\nBROKEN\r\n\r\n")
	g.events <- event("r1", "x")
	if resp, _ := p.answer("GET"); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != "r1" {
		t.Fatalf("got %v", resp.Header)
	}
	p.want(200, "pong")
	p.want(400, `{"errorMessage":"malformed request line","errorType":"InvalidRequest"}`)
	p.ended()
}

func TestAnswersAreHandedInWithTheirIDsAndTypes(t *testing.T) {
	for _, c := range []struct{ request, told, payload string }{
		{post("invocation/r1/response", "", `{"a":1}`), "respond r1 ", `{"a":1}`},
		{post("invocation/r1/response", "", ""), "respond r1 ", ""},
		{post("invocation/r1/response", "Lambda-Runtime-Invocation-Id: i1\r\n", "x"), "respond r1 i1", "x"},
		{post("invocation/r1/response", "Lambda-Runtime-Function-Response-Mode: streaming\r\n", "x"), "respond r1 ", "x"},
		{post("invocation/r1/error", "Lambda-Runtime-Function-Error-Type: Function.Oops\r\n", `{"e":1}`), "fail r1  Function.Oops", `{"e":1}`},
		{post("invocation/r1/error", "Lambda-Runtime-Function-Error-Type: ValueError\r\nLambda-Runtime-Function-XRay-Error-Cause: "+strings.Repeat("c", 1<<20)+"\r\n", "{}"), "fail r1  Runtime.Unknown", "{}"},
		{post("invocation/r1/error", "", "{}"), "fail r1  Runtime.Unknown", "{}"},
		{post("init/error", "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n", `{"e":1}`), "fail-init Runtime.ImportModuleError", `{"e":1}`},
		{chunked("invocation/r1/response", "", "3\r\nabc\r\n10;ext=\"1\"\r\n0123456789abcdef\r\n0\r\n\r\n"), "respond r1 ", "abc0123456789abcdef"},
		{chunked("invocation/r1/response", "", "0\r\n\r\n"), "respond r1 ", ""},
		{chunked("invocation/r1/response", "Lambda-Runtime-Function-Response-Mode: streaming\r\n", "3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: eyJlIjoxfQ==\r\n\r\n"), "fail r1  Function.Late", `{"e":1}`},
		{chunked("invocation/r1/response", "", "3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Bad\r\nLambda-Runtime-Function-Error-Body: %%%\r\n\r\n"), "fail r1  Runtime.Unknown", "abc"},
	} {
		g := newGuest()
		p := serve(t, g, rapi.Options{}).dial()
		p.send(c.request).want(202, ok)
		if told, payload := g.told(); told != c.told || payload != c.payload {
			t.Errorf("%.80q: got %q with %q, want %q with %q", c.request, told, payload, c.told, c.payload)
		}
		p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
	}
}

func chunked(path, headers, body string) string {
	return "POST /2018-06-01/runtime/" + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "Transfer-Encoding: chunked\r\n\r\n" + body
}

func TestARequestMayComeByteByByte(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	g.events <- event("r1", "x")
	for _, b := range []byte(next + chunked("invocation/r1/response", "", "3\r\nabc\r\n0\r\nA: b\r\n\r\n")) {
		p.send(string(b))
	}
	p.answer("GET")
	p.want(202, ok)
	if told, payload := g.told(); told != "respond r1 " || payload != "abc" {
		t.Errorf("got %q with %q", told, payload)
	}
}

func TestRefusalsOfTheGuestAreAnsweredAsTheyAre(t *testing.T) {
	g := newGuest()
	g.refuse = &rapi.Refusal{Status: 403, Type: "InvalidStateTransition", Message: `not "now"`}
	p := serve(t, g, rapi.Options{MaxBody: 10}).dial()
	for _, request := range []string{
		next, post("invocation/r1/response", "", "x"), post("invocation/r1/error", "", "x"), post("init/error", "", "x"),
		post("invocation/r1/response", "", strings.Repeat("x", 11)), post("invocation/r1/response", "Lambda-Runtime-Function-Response-Mode: x\r\n", "x"),
	} {
		p.send(request).want(403, `{"errorMessage":"not \"now\"","errorType":"InvalidStateTransition"}`)
	}
}

func TestAnUnknownResponseModeFailsTheInvocation(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(post("invocation/r1/response", "Lambda-Runtime-Function-Response-Mode: quick\r\n", "abc"))
	p.want(400, `{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`)
	if told, _ := g.told(); told != "fail r1  Runtime.InvalidResponseModeHeader" {
		t.Errorf("got %q", told)
	}
	p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
}

func TestAnAnswerAboveTheLimitIsRefusedAndTheConnectionGoesOn(t *testing.T) {
	const tooLarge = `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`
	body := strings.Repeat("x", kiln.MaxResponsePayload+1)
	for name, request := range map[string]string{
		"length": post("invocation/r1/response", "", body),
		"chunks": chunked("invocation/r1/response", "", fmt.Sprintf("%x\r\n%s\r\n1\r\nx\r\n%x\r\n%s\r\n0\r\n\r\n", len(body)-1, body[1:], len(body), body)),
		"error":  post("invocation/r1/error", "", body),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest()
			p := serve(t, g, rapi.Options{}).dial()
			go func() { _, _ = io.WriteString(p, request+next) }() // a client that writes before it reads
			p.want(413, tooLarge)
			g.events <- event("r2", "x")
			p.answer("GET")
			if told, _ := g.told(); told != "oversize r1 " {
				t.Errorf("got %q", told)
			}
		})
	}
	t.Run("just fits", func(t *testing.T) {
		g := newGuest()
		p := serve(t, g, rapi.Options{}).dial()
		go func() { _, _ = io.WriteString(p, post("invocation/r1/response", "", body[1:])) }()
		p.want(202, ok)
		if told, payload := g.told(); told != "respond r1 " || len(payload) != kiln.MaxResponsePayload {
			t.Errorf("got %q with %d bytes", told, len(payload))
		}
	})
}

func TestAnEndlessBodyIsCutOff(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(post("invocation/r1/response", "", "")[:0] + "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999\r\n\r\n")
	resp, _ := p.answer("POST")
	if resp.StatusCode != 413 {
		t.Errorf("got %d", resp.StatusCode)
	}
	p.ended()
}

func TestExpectContinueIsHonoured(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send("POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if line, err := p.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if line, err := p.r.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	p.send("abc").want(202, ok)

	// A body that is not wanted is not asked for.
	p.send("POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
	if resp, _ := p.answer("POST"); resp.StatusCode != 413 || !resp.Close {
		t.Errorf("got %d, close %v", resp.StatusCode, resp.Close)
	}
	p.ended()
}

func TestHTTP10AndConnectionCloseEndTheConnectionAfterTheAnswer(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	for _, request := range []string{
		"GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\n\r\n",
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	} {
		p := s.dial().send(request)
		g.events <- event("r1", "x")
		if resp, body := p.answer("GET"); body != "x" || !resp.Close {
			t.Errorf("got %q, close %v", body, resp.Close)
		}
		p.ended()
	}
	p := s.dial().send("POST /2018-06-01/runtime/invocation/r1/response HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
	p.want(202, ok)
	p.ended()
	p = s.dial().send("POST /2018-06-01/runtime/invocation/r1/response HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
	p.want(202, ok)
	p.send("GET /ping HTTP/1.0\r\n\r\n").want(200, "pong")
	p.ended()
}
