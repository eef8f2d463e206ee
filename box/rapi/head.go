package rapi

import (
	"bytes"
	"fmt"
)

// Limits of a request head. AWS's runtime clients may send the cause of an error
// as one header of up to 1 MB; everything else is small.
const (
	maxHead        = 1<<20 + 64<<10
	maxRequestLine = 8 << 10
	maxHeaderLine  = 1<<20 + 1<<10
	maxHeaders     = 128
)

// malformed is a request that the parser does not accept; the connection is closed
// after the answer.
type malformed struct {
	status int
	reason string
}

// Error gives the reason.
func (m *malformed) Error() string { return m.reason }

// bad makes the usual malformed: status 400.
func bad(format string, args ...any) *malformed {
	return &malformed{400, fmt.Sprintf(format, args...)}
}

// request is the head of one request. Its slices point into the connection's
// buffer and are valid until the next read.
type request struct {
	method  []byte
	path    []byte // without query
	minor   int    // of HTTP/1.x
	length  int64  // of the body; 0 when none was announced
	chunked bool
	close   bool // the peer wants the connection closed after the answer
	expect  bool // Expect: 100-continue

	errorType    []byte // Lambda-Runtime-Function-Error-Type
	mode         []byte // Lambda-Runtime-Function-Response-Mode
	invocationID []byte // Lambda-Runtime-Invocation-Id
	contentType  []byte

	extensionName      []byte // Lambda-Extension-Name
	extensionID        []byte // Lambda-Extension-Identifier
	extensionErrorType []byte // Lambda-Extension-Function-Error-Type
	acceptFeature      []byte // Lambda-Extension-Accept-Feature

	trailerError string // the error type in the trailers of a chunked body
	trailerBody  []byte // and its body, in base64
}

// headEnd looks for the end of the head in buf, of which the first scanned bytes
// were looked at before. It gives the length of the head with its empty line, or 0
// when more bytes are needed. A line feed without its carriage return is refused
// as soon as it is seen.
func headEnd(buf []byte, scanned int) (int, *malformed) {
	line := bytes.LastIndexByte(buf[:scanned], '\n') + 1
	for {
		i := bytes.IndexByte(buf[scanned:], '\n')
		if i < 0 {
			break
		}
		i += scanned
		if i == 0 || buf[i-1] != '\r' {
			return 0, bad("line feed without carriage return")
		}
		if i == line+1 {
			return i + 1, nil
		}
		line, scanned = i+1, i+1
	}
	if line == 0 && len(buf) > maxRequestLine {
		return 0, bad("request line too long")
	}
	if len(buf)-line > maxHeaderLine || len(buf) > maxHead {
		return 0, bad("request head too large")
	}
	return 0, nil
}

// parseHead reads a whole head, empty line included, as headEnd delimits it. It
// takes a subset of what net/http takes: whatever two readers could read in two
// ways is refused.
func parseHead(head []byte, r *request) *malformed {
	*r = request{}
	line, rest := cutLine(head)
	if m := parseRequestLine(line, r); m != nil {
		return m
	}
	var seen headersSeen
	for n := 0; len(rest) > 2; n++ {
		if n == maxHeaders {
			return bad("too many headers")
		}
		line, rest = cutLine(rest)
		if m := parseHeader(line, r, &seen); m != nil {
			return m
		}
	}
	switch {
	case seen.host == 0 && r.minor > 0:
		return bad("missing Host header")
	case seen.length && r.chunked:
		return bad("both Content-Length and Transfer-Encoding")
	case r.chunked && r.minor == 0:
		return bad("Transfer-Encoding in HTTP/1.0")
	}
	if r.minor == 0 && !seen.keepAlive {
		r.close = true
	}
	return nil
}

// headersSeen counts the headers that may come once.
type headersSeen struct {
	host      int
	length    bool
	encoding  bool
	keepAlive bool
}

// cutLine splits off the first line, without its ending. There is one: headEnd saw
// it.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	return b[:i-1], b[i+1:]
}

// parseRequestLine takes METHOD SP TARGET SP HTTP/1.x and nothing looser.
func parseRequestLine(line []byte, r *request) *malformed {
	if len(line) > maxRequestLine {
		return bad("request line too long")
	}
	i := bytes.IndexByte(line, ' ')
	j := bytes.LastIndexByte(line, ' ')
	if i <= 0 || j == i {
		return bad("malformed request line")
	}
	method, target, version := line[:i], line[i+1:j], line[j+1:]
	for _, c := range method {
		if !isToken[c] {
			return bad("malformed method")
		}
	}
	if len(target) == 0 {
		return bad("malformed request target")
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return bad("malformed request target")
		}
	}
	if len(version) != 8 || string(version[:5]) != "HTTP/" || !isDigit(version[5]) || version[6] != '.' || !isDigit(version[7]) {
		return bad("malformed HTTP version")
	}
	if version[5] != '1' || version[7] > '1' {
		return &malformed{505, "only HTTP/1.0 and HTTP/1.1 are served"}
	}
	r.method, r.minor = method, int(version[7]-'0')

	// A client that believes in a proxy sends the absolute form.
	if bytes.HasPrefix(target, []byte("http://")) {
		target = target[len("http://"):]
		slash := bytes.IndexByte(target, '/')
		if slash < 1 {
			return bad("malformed request target")
		}
		target = target[slash:]
	}
	if target[0] != '/' {
		return bad("malformed request target")
	}
	r.path, _, _ = bytes.Cut(target, []byte("?"))
	return nil
}

// parseHeader takes one NAME ":" VALUE line and keeps what the API needs of it.
func parseHeader(line []byte, r *request, seen *headersSeen) *malformed {
	if len(line) > maxHeaderLine {
		return bad("header line too long")
	}
	if line[0] == ' ' || line[0] == '\t' {
		return bad("folded header line")
	}
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return bad("header line without a name")
	}
	name, value := line[:i], trimSpace(line[i+1:])
	for _, c := range name {
		if !isToken[c] {
			return bad("malformed header name")
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return bad("control character in a header value")
		}
	}
	switch len(name) {
	case len("Host"):
		if equalFold(name, "host") {
			if seen.host++; seen.host > 1 {
				return bad("more than one Host header")
			}
			// The name itself is of no use here: each listener serves one environment.
		}
	case len("Expect"):
		if equalFold(name, "expect") {
			if !equalFold(value, "100-continue") {
				return &malformed{417, "unknown expectation"}
			}
			r.expect = r.minor > 0
		}
	case len("Connection"):
		if equalFold(name, "connection") {
			r.close = r.close || hasToken(value, "close")
			seen.keepAlive = seen.keepAlive || hasToken(value, "keep-alive")
		}
	case len("Content-Type"):
		if equalFold(name, "content-type") {
			r.contentType = value
		}
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			if seen.length {
				return bad("more than one Content-Length")
			}
			seen.length = true
			return parseLength(value, r)
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			if seen.encoding {
				return bad("more than one Transfer-Encoding")
			}
			seen.encoding = true
			if !equalFold(value, "chunked") {
				return &malformed{501, "unsupported Transfer-Encoding"}
			}
			r.chunked = true
		}
	case len(headerErrorType):
		if equalFold(name, headerErrorType) {
			r.errorType = value
		}
	case len(headerMode):
		if equalFold(name, headerMode) {
			r.mode = value
		}
	case len(headerInvocationID):
		if equalFold(name, headerInvocationID) {
			r.invocationID = value
		}
	case len(headerExtensionName):
		if equalFold(name, headerExtensionName) {
			r.extensionName = value
		}
	case len(headerExtensionID):
		if equalFold(name, headerExtensionID) {
			r.extensionID = value
		}
	case len(headerExtensionErrorType):
		if equalFold(name, headerExtensionErrorType) {
			r.extensionErrorType = value
		}
	case len(headerAcceptFeature):
		if equalFold(name, headerAcceptFeature) {
			r.acceptFeature = value
		}
	}
	return nil
}

// Headers that a runtime or an extension may send, in lower case.
const (
	headerErrorType    = "lambda-runtime-function-error-type"
	headerMode         = "lambda-runtime-function-response-mode"
	headerInvocationID = "lambda-runtime-invocation-id"
	trailerErrorBody   = "lambda-runtime-function-error-body"

	headerExtensionName      = "lambda-extension-name"
	headerExtensionID        = "lambda-extension-identifier"
	headerExtensionErrorType = "lambda-extension-function-error-type"
	headerAcceptFeature      = "lambda-extension-accept-feature"
)

// parseLength takes digits only: no sign, no list, at most 18 of them.
func parseLength(value []byte, r *request) *malformed {
	if len(value) == 0 || len(value) > 18 {
		return bad("malformed Content-Length")
	}
	for _, c := range value {
		if !isDigit(c) {
			return bad("malformed Content-Length")
		}
		r.length = r.length*10 + int64(c-'0')
	}
	return nil
}

// hasToken reports whether the comma-separated list holds the token.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		if equalFold(trimSpace(item), token) {
			return true
		}
	}
	return false
}

// equalFold compares b with an ASCII text in lower case, without regard to case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trimSpace takes optional white space, as HTTP means it, off both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// isDigit knows ASCII digits only.
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isToken is the table of characters of methods and header names.
var isToken = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
