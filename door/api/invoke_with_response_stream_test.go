package api_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiln"
)

const streams = "/2021-11-15/functions/f/response-streaming-invocations"

// messages reads an event stream to its end: each message as its event type, a colon and
// its payload. Lengths and both checksums must be right.
func messages(t testing.TB, r io.Reader) []string {
	t.Helper()
	var out []string
	for in := bufio.NewReader(r); ; {
		head := make([]byte, 12)
		if _, err := io.ReadFull(in, head); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		total, headers := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		rest := make([]byte, total-12)
		if _, err := io.ReadFull(in, rest); err != nil {
			t.Fatal(err)
		}
		if crc32.ChecksumIEEE(head[:8]) != binary.BigEndian.Uint32(head[8:]) ||
			crc32.ChecksumIEEE(append(head, rest[:len(rest)-4]...)) != binary.BigEndian.Uint32(rest[len(rest)-4:]) {
			t.Fatal("a checksum is wrong")
		}
		text := string(rest[:headers])
		if !strings.Contains(text, "\x0d:message-type\x07\x00\x05event") {
			t.Fatalf("headers %q", text)
		}
		_, kind, _ := strings.Cut(text, "\x0b:event-type\x07\x00")
		out = append(out, kind[1:1+kind[0]]+":"+string(rest[headers:len(rest)-4]))
	}
}

// writes answers with a stream of these pieces.
func writes(out kiln.Outcome, pieces ...string) func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
	return func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		for i, p := range pieces {
			if i == 0 {
				inv.Stream.Begin("text/plain")
			}
			if err := inv.Stream.Write([]byte(p)); err != nil {
				return nil, err
			}
		}
		o := out
		o.Streamed, o.Version = len(pieces) > 0, "$LATEST"
		return &o, nil
	}
}

func TestAnEventStreamHoldsTheAnswerAndItsEnd(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	for name, c := range map[string]struct {
		run  func(context.Context, *kiln.Invocation) (*kiln.Outcome, error)
		want []string
	}{
		"streamed":            {writes(kiln.Outcome{}, "a", "bc"), []string{"PayloadChunk:a", "PayloadChunk:bc", "InvokeComplete:{}"}},
		"whole":               {writes(kiln.Outcome{Payload: []byte(`{"a":1}`)}), []string{`PayloadChunk:{"a":1}`, "InvokeComplete:{}"}},
		"empty":               {writes(kiln.Outcome{}), []string{"InvokeComplete:{}"}},
		"error in the middle": {writes(kiln.Outcome{Failed: true, ErrorCode: "Sandbox.Timedout", Payload: []byte(`{"e":1}`)}, "a"), []string{"PayloadChunk:a", `InvokeComplete:{"ErrorCode":"Sandbox.Timedout","ErrorDetails":"{\"e\":1}"}`}},
		"error at once":       {writes(kiln.Outcome{Failed: true, ErrorCode: "Unhandled", Payload: []byte(`{"e":1}`)}), []string{`PayloadChunk:{"e":1}`, `InvokeComplete:{"ErrorCode":"Unhandled","ErrorDetails":"{\"e\":1}"}`}},
		"platform": {func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
			inv.Stream.Begin("")
			_ = inv.Stream.Write([]byte("a")) // a recorder takes everything
			return nil, errors.New("a room fell in")
		}, []string{"PayloadChunk:a", `InvokeComplete:{"ErrorCode":"ServiceException","ErrorDetails":"An error occurred and the request cannot be processed."}`}},
	} {
		t.Run(name, func(t *testing.T) {
			p.invoker.run = c.run
			got := p.do("POST", streams, "{}")
			if got.status != 200 || got.header.Get("Content-Type") != "application/vnd.amazon.eventstream" || got.header.Get("X-Amz-Executed-Version") != "$LATEST" || got.header.Get("X-Amzn-Trace-Id") == "" {
				t.Errorf("got %d %v", got.status, got.header)
			}
			if m := messages(t, strings.NewReader(got.body)); strings.Join(m, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got %q\nwant %q", m, c.want)
			}
		})
	}
	p.invoker.run = writes(kiln.Outcome{Tail: []byte("START\n")}, "a")
	m := messages(t, strings.NewReader(p.do("POST", streams, "{}", "X-Amz-Log-Type", "Tail").body))
	if want := `InvokeComplete:{"LogResult":"` + base64.StdEncoding.EncodeToString([]byte("START\n")) + `"}`; m[1] != want {
		t.Errorf("got %s, want %s", m[1], want)
	}
}

func TestAStreamThatCannotBeginIsANormalRefusal(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	refused(t, "unknown", p.do("POST", "/2021-11-15/functions/none/response-streaming-invocations", "{}"), 404, "ResourceNotFoundException", "Function not found: "+arn("none"))
	got := p.do("POST", streams, "no JSON")
	if got.status != 400 || got.header.Get("X-Amzn-Errortype") != "InvalidRequestContentException" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		return nil, &kiln.Error{Code: kiln.Throttled, Reason: kiln.ReasonAccountConcurrency}
	}
	if got := p.do("POST", streams, "{}"); got.status != 429 || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if got := p.do("POST", streams, "{}", "X-Amz-Invocation-Type", "DryRun"); got.status != 204 || got.body != "" {
		t.Errorf("got %d %q", got.status, got.body)
	}
}

func TestACallerOfAStreamThatDoesNotReadIsCut(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	began, result := make(chan struct{}), make(chan error, 1)
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		inv.Stream.Begin("")
		close(began)
		chunk := make([]byte, 1<<20)
		for {
			if err := inv.Stream.Write(chunk); err != nil {
				result <- err
				return &kiln.Outcome{Streamed: true, Failed: true, ErrorCode: "Sandbox.Timedout"}, nil
			}
			if len(result) == 0 {
				go inv.Stream.Cut()
			}
		}
	}
	s := httptest.NewServer(p)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST "+streams+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := <-result; err == nil {
		t.Error("the write did not fail")
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("a stream that was cut looks whole")
		}
		resp.Body.Close()
	}
}
