package rapi

import "bytes"

// discardLimit is how much of an oversized body is read and thrown away, so that a
// client that writes before it reads sees its 413.
const discardLimit = 256 << 20

// bodyState says how reading a body went.
type bodyState int

const (
	bodyRead     bodyState = iota
	bodyTooLarge           // what is left of it was not read
	bodyBroken             // the connection ended or the framing is wrong: close it
)

// body reads the body of r, into one buffer of its length when that is announced.
// Only one body above smallSize is held per server.
func (c *conn) body(r *request, limit int64) ([]byte, bodyState, *malformed) {
	if r.chunked {
		return c.chunkedBody(r, limit)
	}
	if r.length > limit {
		return nil, bodyTooLarge, nil
	}
	if r.length > smallSize && !c.hold() {
		return nil, bodyBroken, nil
	}
	if !c.proceed(r) {
		return nil, bodyBroken, nil
	}
	p := make([]byte, r.length)
	if !c.read(p) {
		return nil, bodyBroken, nil
	}
	return p, bodyRead, nil
}

// proceed tells a client that waits for permission to send its body.
func (c *conn) proceed(r *request) bool {
	if !r.expect || c.r < c.w {
		return true
	}
	r.expect = false
	c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	return c.flush()
}

// chunkedBody puts the chunks together and reads the trailers into r.
func (c *conn) chunkedBody(r *request, limit int64) ([]byte, bodyState, *malformed) {
	if !c.proceed(r) {
		return nil, bodyBroken, nil
	}
	var p []byte
	for {
		size, m, ok := c.chunkSize()
		if !ok {
			return nil, bodyBroken, m
		}
		if size == 0 {
			break
		}
		if int64(len(p))+size > limit {
			r.length = size // what skipChunks has to begin with
			return nil, bodyTooLarge, nil
		}
		total := len(p) + int(size)
		if total > smallSize && !c.hold() {
			return nil, bodyBroken, nil
		}
		if total > cap(p) {
			p = append(make([]byte, 0, max(total, min(2*cap(p), int(limit)))), p...)
		}
		from := len(p)
		p = p[:total]
		if !c.read(p[from:]) {
			return nil, bodyBroken, nil
		}
		if m, ok := c.chunkEnd(); !ok {
			return nil, bodyBroken, m
		}
	}
	m, ok := c.trailers(r)
	if !ok {
		return nil, bodyBroken, m
	}
	return p, bodyRead, nil
}

// line reads one CRLF-ended line of at most limit bytes; the slice is valid until
// the next read.
func (c *conn) line(limit int) ([]byte, *malformed, bool) {
	for scanned := 0; ; {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			i += scanned
			if i == 0 || b[i-1] != '\r' {
				return nil, bad("line feed without carriage return"), false
			}
			c.r += i + 1
			return b[:i-1], nil, true
		}
		if len(b) > limit {
			return nil, bad("line too long in a chunked body"), false
		}
		scanned = len(b)
		if !c.fill() {
			return nil, nil, false
		}
	}
}

// chunkSize reads the line before a chunk: hexadecimal digits, at most 15, and an
// extension that means nothing here.
func (c *conn) chunkSize() (int64, *malformed, bool) {
	line, m, ok := c.line(1 << 10)
	if !ok {
		return 0, m, false
	}
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	if len(digits) == 0 || len(digits) > 15 {
		return 0, bad("malformed chunk size"), false
	}
	var n int64
	for _, d := range digits {
		switch {
		case d >= '0' && d <= '9':
			n = n<<4 | int64(d-'0')
		case d >= 'a' && d <= 'f':
			n = n<<4 | int64(d-'a'+10)
		case d >= 'A' && d <= 'F':
			n = n<<4 | int64(d-'A'+10)
		default:
			return 0, bad("malformed chunk size"), false
		}
	}
	for _, b := range extension {
		if b < ' ' && b != '\t' || b >= 0x7f {
			return 0, bad("malformed chunk extension"), false
		}
	}
	return n, nil, true
}

// chunkEnd takes the line ending behind a chunk.
func (c *conn) chunkEnd() (*malformed, bool) {
	var end [2]byte
	if !c.read(end[:]) {
		return nil, false
	}
	if end != [2]byte{'\r', '\n'} {
		return bad("chunk longer than its size"), false
	}
	return nil, true
}

// trailers reads the lines behind the last chunk. They may tell of an error in the
// middle of a streamed answer.
func (c *conn) trailers(r *request) (*malformed, bool) {
	var ignored request
	var seen headersSeen
	for n := 0; ; n++ {
		line, m, ok := c.line(maxHead)
		if !ok {
			return m, false
		}
		if len(line) == 0 {
			return nil, true
		}
		if n == maxHeaders {
			return bad("too many trailers"), false
		}
		ignored.errorType = nil
		if m := parseHeader(line, &ignored, &seen); m != nil {
			return m, false
		}
		if seen.length || seen.encoding || seen.host > 0 {
			return bad("framing header in a trailer"), false
		}
		if ignored.errorType != nil {
			r.trailerError = string(ignored.errorType)
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); equalFold(name, trailerErrorBody) {
			r.trailerBody = append([]byte(nil), trimSpace(value)...)
		}
	}
}

// skip reads what is left of an oversized body and throws it away, up to a bound;
// it reports whether the connection stands behind that body and can go on.
func (c *conn) skip(r *request) bool {
	if r.expect {
		return false // the client holds its body back and will not send it after a refusal
	}
	budget := int64(discardLimit)
	if !r.chunked {
		return c.discard(r.length, &budget)
	}
	for size := r.length; size > 0; {
		if !c.discard(size, &budget) {
			return false
		}
		if _, ok := c.chunkEnd(); !ok {
			return false
		}
		var ok bool
		if size, _, ok = c.chunkSize(); !ok {
			return false
		}
	}
	_, ok := c.trailers(r)
	return ok
}

// discard throws n bytes away as long as the budget lasts.
func (c *conn) discard(n int64, budget *int64) bool {
	if *budget -= n; *budget < 0 {
		return false
	}
	k := min(int64(c.w-c.r), n)
	c.r += int(k)
	n -= k
	if n == 0 {
		return true
	}
	scratch := make([]byte, min(n, smallSize))
	for n > 0 {
		k, err := c.net.Read(scratch[:min(n, int64(len(scratch)))])
		n -= int64(k)
		if err != nil {
			return false
		}
	}
	return true
}
