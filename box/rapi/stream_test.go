package rapi_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"kiln/box/rapi"
)

// sink keeps a streamed answer in the guest's list of calls.
type sink struct {
	g      *guest
	pieces chan string
	most   int   // bytes that it takes before it refuses; 0 is no limit
	fails  error // of every Write
	total  int
	sum    bytes.Buffer
}

func (s *sink) Write(p []byte) error {
	s.total += len(p)
	if s.most > 0 && s.total > s.most {
		return &rapi.Refusal{Status: 413, Type: "RequestEntityTooLarge", Message: "too much"}
	}
	if s.pieces != nil {
		s.pieces <- string(p)
	}
	s.sum.Write(p)
	return s.fails
}

func (s *sink) End() *rapi.Refusal { return s.g.note(s.sum.Bytes(), "end") }

func (s *sink) Fail(errorType string, p []byte) *rapi.Refusal {
	return s.g.note(p, "fail %s", errorType)
}

func (s *sink) Cut() { s.g.note(s.sum.Bytes(), "cut") }

func streamGuest() *guest {
	g := newGuest()
	g.sink = &sink{g: g}
	return g
}

const streaming = "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/x\r\n"

func TestAStreamedAnswerIsPassedOnWhileItIsWritten(t *testing.T) {
	g := streamGuest()
	g.sink.pieces = make(chan string)
	p := serve(t, g, rapi.Options{}).dial()
	p.send(chunked("invocation/r1/response", streaming, "3\r\nabc\r\n"))
	if got := <-g.sink.pieces; got != "abc" {
		t.Errorf("got %q before the next chunk was written", got)
	}
	p.send("a\r\n01234") // half of a chunk is passed on, too
	if got := <-g.sink.pieces; got != "01234" {
		t.Errorf("got %q of half a chunk", got)
	}
	p.send("56789\r\n")
	if got := <-g.sink.pieces; got != "56789" {
		t.Errorf("got %q of the other half", got)
	}
	p.send("0\r\n\r\n"+next).want(202, ok)
	if calls, _ := g.told(); calls != "stream r1  text/x; end" {
		t.Errorf("got %s", calls)
	}
	g.events <- event("r2", "x") // the same connection goes on
	if resp, _ := p.answer("GET"); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != "r2" {
		t.Errorf("got %v", resp.Header)
	}
}

func TestAStreamedAnswerOfAnyFramingArrivesWhole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	for _, most := range []int{7, 300, 5000, 70000, 1 << 20} {
		var framed bytes.Buffer
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(most))
			fmt.Fprintf(&framed, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		framed.WriteString("0\r\n\r\n")
		g := streamGuest()
		p := serve(t, g, rapi.Options{}).dial()
		p.send(chunked("invocation/r1/response", streaming, framed.String())).want(202, ok)
		if calls, got := g.told(); calls != "stream r1  text/x; end" || got != string(body) {
			t.Errorf("chunks up to %d: got %s, %d bytes", most, calls, len(got))
		}
	}
	g := streamGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(post("invocation/r1/response", streaming, string(body))).want(202, ok)
	if calls, got := g.told(); calls != "stream r1  text/x; end" || got != string(body) {
		t.Errorf("of a known length: got %s, %d bytes", calls, len(got))
	}
	p.send(post("invocation/r1/response", streaming, "")).want(202, ok)
}

func TestAnErrorInTheMiddleOfAStreamComesInTheTrailers(t *testing.T) {
	g := streamGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(chunked("invocation/r1/response", streaming, "3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: eyJlIjoxfQ==\r\n\r\n")).want(202, ok)
	if calls, payload := g.told(); calls != "stream r1  text/x; fail Function.Late" || payload != `{"e":1}` {
		t.Errorf("got %s with %s", calls, payload)
	}
}

func TestAStreamThatEndsEarlyIsCut(t *testing.T) {
	for name, body := range map[string]string{
		"in a chunk":        "5\r\nabc",
		"between chunks":    "3\r\nabc\r\n",
		"in the trailers":   "3\r\nabc\r\n0\r\nX: ",
		"broken framing":    "3\r\nabcdef\r\n",
		"broken size":       "3\r\nabc\r\nzz\r\n",
		"length in trailer": "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
	} {
		g := streamGuest()
		s := serve(t, g, rapi.Options{})
		p := s.dial()
		p.send(chunked("invocation/r1/response", streaming, body))
		if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, p.r) // until the server has closed it
		if calls, payload := g.told(); calls != "stream r1  text/x; cut" || payload != "abc" && !strings.HasPrefix(name, "broken") {
			t.Errorf("%s: got %s with %s", name, calls, payload)
		}
	}
}

func TestAStreamThatIsRefusedIsReadToItsEndAndAnswered(t *testing.T) {
	g := streamGuest()
	g.sink.most = 100 << 10
	p := serve(t, g, rapi.Options{}).dial()
	chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
	p.send(chunked("invocation/r1/response", streaming, strings.Repeat(chunk, 64)+"0\r\n\r\n"))
	p.want(413, `{"errorMessage":"too much","errorType":"RequestEntityTooLarge"}`)
	if calls, _ := g.told(); calls != "stream r1  text/x" {
		t.Errorf("got %s", calls)
	}
	p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")

	g = streamGuest()
	g.refuse = &rapi.Refusal{Status: 400, Type: "InvalidRequestID", Message: "Invalid request ID"}
	p = serve(t, g, rapi.Options{}).dial()
	p.send(chunked("invocation/r9/response", streaming, "3\r\nabc\r\n0\r\n\r\n"))
	p.want(400, `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`)
	if calls, payload := g.told(); calls != "stream r9  text/x" || payload != "" {
		t.Errorf("got %s with %q", calls, payload)
	}
}

func TestAStreamThatNobodyTakesAnyMoreEndsItsConnection(t *testing.T) {
	g := streamGuest()
	g.sink.fails = io.ErrClosedPipe
	p := serve(t, g, rapi.Options{}).dial()
	p.send(chunked("invocation/r1/response", streaming, "3\r\nabc\r\n")).ended()
}
