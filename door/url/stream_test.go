package url_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"kiln"
)

const httpType = "application/vnd.awslambda.http-integration-response"

var nul = strings.Repeat("\x00", 8)

func TestAStreamedAnswerIsSentWithItsHead(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, contentType string
		pieces            []string
		status            int
		header            map[string]string
		body              string
	}{
		{"plain", "text/event-stream", []string{"a", "b"}, 200, map[string]string{"Content-Type": "text/event-stream"}, "ab"},
		{"no type", "", []string{"a"}, 200, map[string]string{"Content-Type": "application/octet-stream"}, "a"},
		{"nothing", "text/plain", nil, 200, map[string]string{"Content-Type": "text/plain"}, ""},
		{"head", httpType, []string{`{"statusCode":201,"headers":{"x-a":"b","content-type":"text/html"},"cookies":["c=d"]}` + nul + "bo", "dy"}, 201, map[string]string{"X-A": "b", "Content-Type": "text/html", "Set-Cookie": "c=d"}, "body"},
		{"head in pieces", httpType, []string{`{"statusC`, `ode":404}` + nul[:3], nul[3:], "x"}, 404, map[string]string{"Content-Type": "application/octet-stream"}, "x"},
		{"head without a body", httpType, []string{`{"statusCode":302,"headers":{"Location":"/x"}}` + nul}, 302, map[string]string{"Location": "/x"}, ""},
		{"no status in it", httpType, []string{`{}` + nul + "x"}, 200, nil, "x"},
		{"broken head", httpType, []string{`{"statusCode":` + nul + "x"}, 502, nil, "Internal Server Error"},
		{"no head", httpType, []string{"x"}, 502, nil, "Internal Server Error"},
		{"bad status", httpType, []string{`{"statusCode":100}` + nul + "x"}, 502, nil, "Internal Server Error"},
		{"endless head", httpType, []string{"{" + strings.Repeat(" ", 1<<20), "x"}, 502, nil, "Internal Server Error"},
	} {
		s.streams(c.contentType, kiln.Outcome{}, c.pieces...)
		got := s.do("GET", "/", "")
		if got.status != c.status || got.body != c.body || got.cut {
			t.Errorf("%s: got %d %q, cut %v", c.name, got.status, got.body, got.cut)
		}
		for name, want := range c.header {
			if v := got.header.Get(name); v != want {
				t.Errorf("%s: %s is %q, want %q", c.name, name, v, want)
			}
		}
	}
}

func TestAFunctionThatDoesNotStreamAnswersAStreamingURLWithWhatItReturns(t *testing.T) {
	s := newSite(t)
	s.returns(`{"statusCode":404,"body":"x"}`)
	s.config.InvokeMode = kiln.StreamedMode
	if got := s.do("GET", "/", ""); got.status != 200 || got.body != `{"statusCode":404,"body":"x"}` || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestAFailureInTheMiddleOfAStreamCutsIt(t *testing.T) {
	s := newSite(t)
	s.streams("text/plain", kiln.Outcome{Failed: true}, "part")
	if got := s.do("GET", "/", ""); got.status != 200 || got.body != "part" || !got.cut {
		t.Errorf("got %d %q, cut %v", got.status, got.body, got.cut)
	}
	s.streams(httpType, kiln.Outcome{Failed: true}, `{"statusCode":200`)
	if got := s.do("GET", "/", ""); got.status != 502 {
		t.Errorf("before the head was whole: got %d %q", got.status, got.body)
	}
}

func TestTheFirstBytesOfAStreamComeBeforeItsEnd(t *testing.T) {
	s := newSite(t)
	s.config.InvokeMode = kiln.StreamedMode
	goOn := make(chan struct{})
	s.run = func(inv *kiln.Invocation) (*kiln.Outcome, error) {
		inv.Stream.Begin("text/plain")
		err := inv.Stream.Write([]byte("first "))
		<-goOn
		if err == nil {
			err = inv.Stream.Write([]byte("last"))
		}
		return &kiln.Outcome{Streamed: true}, err
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = id + ".x"
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got, err := in.ReadString(' '); got != "first " || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	close(goOn)
	if rest, err := io.ReadAll(in); string(rest) != "last" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestACallerOfAStreamThatDoesNotReadCanBeCut(t *testing.T) {
	s := newSite(t)
	s.config.InvokeMode = kiln.StreamedMode
	failed := make(chan error, 1)
	s.run = func(inv *kiln.Invocation) (*kiln.Outcome, error) {
		inv.Stream.Begin("text/plain")
		chunk := make([]byte, 1<<20)
		for n := 0; ; n++ {
			if n == 1 {
				go inv.Stream.Cut()
			}
			if err := inv.Stream.Write(chunk); err != nil {
				failed <- err
				return &kiln.Outcome{Streamed: true, Failed: true}, nil
			}
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = id + ".x"
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-failed; err == nil {
		t.Error("the write did not fail")
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("an answer that was cut looks whole")
	}
}
