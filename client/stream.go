package client

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// maxMessage is the longest message of an event stream, in bytes.
const maxMessage = 24 << 20

// Stream is the answer to InvokeWithResponseStream: a reader of the function's bytes as
// they arrive. It must be closed.
type Stream struct {
	StatusCode      int
	ExecutedVersion string
	RequestID       string

	body  io.Closer
	in    *bufio.Reader
	chunk []byte // of the payload, not read yet
	log   []byte
	err   error // why nothing more comes
}

// StreamError is a function that failed after its answer had begun.
type StreamError struct {
	Code    string // such as Function.Unhandled
	Details string
}

// Error returns code and details.
func (e *StreamError) Error() string { return e.Code + ": " + e.Details }

// InvokeWithResponseStream runs a function and returns its answer while it is written.
func (c *Client) InvokeWithResponseStream(ctx context.Context, in *InvokeWithResponseStreamRequest) (*Stream, error) {
	resp, err := c.invokeWithResponseStream(ctx, in) //nolint:bodyclose // Stream.Close closes it
	if err != nil {
		return nil, err
	}
	return &Stream{
		StatusCode:      resp.StatusCode,
		ExecutedVersion: resp.Header.Get("X-Amz-Executed-Version"),
		RequestID:       resp.Header.Get("X-Amzn-Requestid"),
		body:            resp.Body,
		in:              bufio.NewReader(resp.Body),
	}, nil
}

// Read returns bytes of the answer. After the last one it returns io.EOF, a *StreamError
// if the function failed, or io.ErrUnexpectedEOF if the stream broke off.
func (s *Stream) Read(p []byte) (int, error) {
	for len(s.chunk) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.next()
	}
	n := copy(p, s.chunk)
	s.chunk = s.chunk[n:]
	return n, nil
}

// LogTail returns the last lines of the log once Read has ended, when LogType is Tail.
func (s *Stream) LogTail() []byte { return s.log }

// Close ends the stream, also before its end.
func (s *Stream) Close() error { return s.body.Close() }

// next takes in one message.
func (s *Stream) next() {
	m, err := readMessage(s.in)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the end comes only with InvokeComplete
		}
		s.err = err
		return
	}
	switch {
	case m.headers[":message-type"] != "event":
		s.err = m.refusal()
	case m.headers[":event-type"] == "PayloadChunk":
		s.chunk = m.payload
	case m.headers[":event-type"] == "InvokeComplete":
		s.err = s.complete(m.payload)
	}
}

// complete takes in the last message and returns how the function ended.
func (s *Stream) complete(payload []byte) error {
	var end struct{ ErrorCode, ErrorDetails, LogResult string }
	if err := json.Unmarshal(payload, &end); err != nil {
		return fmt.Errorf("last message of the stream: %w", err)
	}
	var err error
	if s.log, err = base64.StdEncoding.DecodeString(end.LogResult); err != nil {
		return fmt.Errorf("log tail of the stream: %w", err)
	}
	if end.ErrorCode != "" {
		return &StreamError{Code: end.ErrorCode, Details: end.ErrorDetails}
	}
	return io.EOF
}

// message is one message of an event stream; only headers that are strings are kept.
type message struct {
	headers map[string]string
	payload []byte
}

// refusal turns a message that is no event into an *Error.
func (m *message) refusal() *Error {
	e := &Error{Code: m.headers[":exception-type"], Message: strings.TrimSpace(string(m.payload))}
	if e.Code == "" {
		e.Code, e.Message = m.headers[":error-code"], m.headers[":error-message"]
	}
	var members struct{ Message string }
	if json.Unmarshal(m.payload, &members) == nil && members.Message != "" {
		e.Message = members.Message
	}
	return e
}

// readMessage reads one message and proves both of its checksums.
func readMessage(r io.Reader) (*message, error) {
	var prelude [12]byte
	if _, err := io.ReadFull(r, prelude[:]); err != nil {
		return nil, err
	}
	total, headers := binary.BigEndian.Uint32(prelude[0:]), binary.BigEndian.Uint32(prelude[4:])
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
		return nil, errors.New("event stream: bad checksum of a prelude")
	}
	if total < 16 || total > maxMessage || headers > total-16 {
		return nil, fmt.Errorf("event stream: message of %d bytes with %d bytes of headers", total, headers)
	}
	rest := make([]byte, total-12)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	body, sum := rest[:len(rest)-4], binary.BigEndian.Uint32(rest[len(rest)-4:])
	if crc32.Update(crc32.ChecksumIEEE(prelude[:]), crc32.IEEETable, body) != sum {
		return nil, errors.New("event stream: bad checksum of a message")
	}
	h, err := readHeaders(body[:headers])
	return &message{headers: h, payload: body[headers:]}, err
}

// headerSizes holds the length of a header's value by type; -1 stands for two bytes that
// give it.
var headerSizes = [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}

// headerString is the type of a header that is a string.
const headerString = 7

// readHeaders reads the headers of one message.
func readHeaders(b []byte) (map[string]string, error) {
	bad := errors.New("event stream: malformed headers")
	out := map[string]string{}
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 2+n || int(b[1+n]) >= len(headerSizes) {
			return nil, bad
		}
		name, kind := string(b[1:1+n]), b[1+n]
		b = b[2+n:]
		size := headerSizes[kind]
		if size < 0 {
			if len(b) < 2 {
				return nil, bad
			}
			size = int(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) < size {
			return nil, bad
		}
		if kind == headerString {
			out[name] = string(b[:size])
		}
		b = b[size:]
	}
	return out, nil
}
