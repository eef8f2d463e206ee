package client_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"

	"kiln/client"
)

// frame builds one message of an event stream; headers are pairs of name and value.
func frame(payload string, headers ...string) string {
	var h []byte
	for i := 0; i < len(headers); i += 2 {
		h = append(append(h, byte(len(headers[i]))), headers[i]...)
		h = append(h, 7)
		h = append(binary.BigEndian.AppendUint16(h, uint16(len(headers[i+1]))), headers[i+1]...)
	}
	h = append(h, "\x04flag\x00\x04time\x08\x00\x00\x00\x00\x00\x00\x00\x01"...) // other types are skipped
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// event builds a message of one type.
func event(kind, payload string) string {
	return frame(payload, ":message-type", "event", ":event-type", kind)
}

// stream reads an event stream to its end.
func stream(t *testing.T, body string) (payload, log string, err error) {
	t.Helper()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-amzn-RequestId", "id")
		w.Header().Set("X-Amz-Executed-Version", "4")
		_, _ = io.WriteString(w, body)
	})
	s, err := c.InvokeWithResponseStream(t.Context(), &client.InvokeWithResponseStreamRequest{FunctionName: "f"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.RequestID != "id" || s.ExecutedVersion != "4" || s.StatusCode != 200 {
		t.Errorf("head %+v", s)
	}
	b, err := io.ReadAll(s)
	return string(b), string(s.LogTail()), err
}

func TestAStreamIsReadToItsEnd(t *testing.T) {
	payload, log, err := stream(t, event("PayloadChunk", "one ")+event("PayloadChunk", "")+event("Unknown", "x")+event("PayloadChunk", "two")+
		event("InvokeComplete", `{"LogResult":"bG9n"}`))
	if payload != "one two" || log != "log" || err != nil {
		t.Errorf("got %q %q %v", payload, log, err)
	}
}

func TestAStreamThatEndsBadlySaysHow(t *testing.T) {
	good := event("PayloadChunk", "data")
	for _, c := range []struct {
		name, tail string
		check      func(error) bool
	}{
		{"the function failed", event("InvokeComplete", `{"ErrorCode":"Function.Unhandled","ErrorDetails":"d"}`), func(err error) bool {
			var e *client.StreamError
			return errors.As(err, &e) && e.Code == "Function.Unhandled" && e.Details == "d"
		}},
		{"an exception", frame(`{"Message":"m"}`, ":message-type", "exception", ":exception-type", "TooManyRequestsException"), func(err error) bool {
			var e *client.Error
			return errors.As(err, &e) && e.Code == "TooManyRequestsException" && e.Message == "m"
		}},
		{"an error", frame("", ":message-type", "error", ":error-code", "c", ":error-message", "m"), func(err error) bool {
			var e *client.Error
			return errors.As(err, &e) && e.Code == "c" && e.Message == "m"
		}},
		{"it broke off between messages", "", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"it broke off inside a message", good[:20], func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"a broken prelude", "\x01" + good[1:], func(err error) bool { return strings.Contains(err.Error(), "checksum of a prelude") }},
		{"a broken message", good[:len(good)-6] + "x" + good[len(good)-5:], func(err error) bool { return strings.Contains(err.Error(), "checksum of a message") }},
		{"a last message that is no JSON", event("InvokeComplete", "<"), func(err error) bool { return strings.Contains(err.Error(), "last message") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload, _, err := stream(t, good+c.tail)
			if payload != "data" || err == nil || !c.check(err) {
				t.Errorf("got %q, %v", payload, err)
			}
		})
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(event("PayloadChunk", "x") + event("InvokeComplete", "{}")))
	f.Add([]byte(frame("", strings.Repeat("n", 255), "v")))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := client.New("http://x", client.WithHTTPClient(&http.Client{Transport: answer(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
		})}))
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.InvokeWithResponseStream(t.Context(), &client.InvokeWithResponseStreamRequest{FunctionName: "f"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, s)
		if n > int64(len(body)) {
			t.Errorf("%d bytes out of %d (%v)", n, len(body), err)
		}
	})
}

// answer answers requests by itself.
type answer func(*http.Request) (*http.Response, error)

func (f answer) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
