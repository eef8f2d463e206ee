package lambda

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may nest, also below members nobody reads.
const maxDepth = 100

// decoder reads JSON from memory, strictly, without reflection. The first error stays
// and ends every loop; it is a SerializationException in the service's words where those
// are known.
type decoder struct {
	buf   []byte
	pos   int
	depth int
	name  []byte // the member that object or nextMember has just read
	err   *Error
}

// decoder returns a decoder for the body, or nil without one.
func (c *call) decoder() *decoder {
	if len(c.body) == 0 {
		return nil
	}
	return &decoder{buf: c.body}
}

// finish keeps the decoder's error, or one for what follows the value.
func (c *call) finish(d *decoder) {
	if d.err == nil && d.peek() != 0 {
		d.fail("request body goes on after its JSON value, at byte %d", d.pos)
	}
	if d.err != nil && c.err == nil {
		c.err = d.err
	}
}

// fail keeps the first error and moves to the end.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = serialization(format, args...)
	}
	d.pos = len(d.buf)
}

// peek skips white space and returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	for ; d.pos < len(d.buf); d.pos++ {
		switch c := d.buf[d.pos]; c {
		case ' ', '\t', '\n', '\r':
		case 0:
			d.fail("request body is not JSON: NUL at byte %d", d.pos)
			return 0
		default:
			return c
		}
	}
	return 0
}

// syntax fails with the place of the byte that does not fit.
func (d *decoder) syntax() {
	if d.pos >= len(d.buf) {
		d.fail("request body is not JSON: it ends too early")
		return
	}
	d.fail("request body is not JSON: unexpected byte at %d", d.pos)
}

// word consumes a literal such as null.
func (d *decoder) word(w string) bool {
	if len(d.buf)-d.pos < len(w) || string(d.buf[d.pos:d.pos+len(w)]) != w {
		d.syntax()
		return false
	}
	d.pos += len(w)
	return true
}

// null consumes null and says whether it was there.
func (d *decoder) null() bool { return d.peek() == 'n' && d.word("null") }

// mismatch fails because the next value is of another type than wanted.
func (d *decoder) mismatch(article, want string) {
	token := ""
	switch c := d.peek(); {
	case c == '{':
		d.fail("Start of structure or map found where not expected.")
		return
	case c == '[':
		d.fail("Start of list found where not expected")
		return
	case c == '"':
		token = "STRING_VALUE"
	case c == 't':
		token = "TRUE_VALUE"
	case c == 'f':
		token = "FALSE_VALUE"
	case c == '-' || c >= '0' && c <= '9':
		token = "NUMBER_VALUE"
	case c == 'n':
		token = "NULL_VALUE"
	default:
		d.syntax()
		return
	}
	if want == "" {
		d.fail("Unexpected field type")
		return
	}
	d.fail("%s can not be converted to %s %s", token, article, want)
}

// enter counts one level down.
func (d *decoder) enter(open byte) bool {
	if d.peek() != open {
		d.mismatch("", "")
		return false
	}
	if d.depth++; d.depth > maxDepth {
		d.fail("request body nests deeper than %d levels", maxDepth)
		return false
	}
	d.pos++
	return true
}

// object enters an object and reads the name of its first member; false for an empty
// one.
func (d *decoder) object() bool {
	if !d.enter('{') {
		return false
	}
	if d.peek() == '}' {
		d.leave()
		return false
	}
	return d.member()
}

// nextMember moves on to the next member; false at the end of the object.
func (d *decoder) nextMember() bool {
	switch d.peek() {
	case '}':
		d.leave()
	case ',':
		d.pos++
		return d.member()
	default:
		d.syntax()
	}
	return false
}

// member reads a name and its colon.
func (d *decoder) member() bool {
	if d.peek() != '"' {
		d.syntax()
		return false
	}
	d.name = d.quoted()
	if d.err != nil {
		return false
	}
	if d.peek() != ':' {
		d.syntax()
		return false
	}
	d.pos++
	return true
}

// list enters a list; false for an empty one.
func (d *decoder) list() bool {
	if !d.enter('[') {
		return false
	}
	if d.peek() == ']' {
		d.leave()
		return false
	}
	return true
}

// nextElement moves on to the next element; false at the end of the list.
func (d *decoder) nextElement() bool {
	switch d.peek() {
	case ']':
		d.leave()
	case ',':
		d.pos++
		return true
	default:
		d.syntax()
	}
	return false
}

// leave consumes a closing bracket.
func (d *decoder) leave() {
	d.depth--
	d.pos++
}

// skip consumes one value of any type.
func (d *decoder) skip() {
	switch c := d.peek(); {
	case c == '{':
		for more := d.object(); more; more = d.nextMember() {
			d.skip()
		}
	case c == '[':
		for more := d.list(); more; more = d.nextElement() {
			d.skip()
		}
	case c == '"':
		d.quoted()
	case c == 't':
		d.word("true")
	case c == 'f':
		d.word("false")
	case c == 'n':
		d.word("null")
	default:
		d.number()
	}
}

// string reads a string.
func (d *decoder) string() string {
	if d.peek() != '"' {
		d.mismatch("a", "String")
		return ""
	}
	return string(d.quoted())
}

// boolean reads true or false.
func (d *decoder) boolean() bool {
	switch d.peek() {
	case 't':
		return d.word("true")
	case 'f':
		d.word("false")
	default:
		d.mismatch("a", "Boolean")
	}
	return false
}

// number consumes a number by JSON's grammar and returns its text.
func (d *decoder) number() []byte {
	start := d.pos
	digits := func() bool {
		from := d.pos
		for d.pos < len(d.buf) && d.buf[d.pos] >= '0' && d.buf[d.pos] <= '9' {
			d.pos++
		}
		return d.pos > from
	}
	at := func(set string) bool {
		for i := 0; i < len(set) && d.pos < len(d.buf); i++ {
			if d.buf[d.pos] == set[i] {
				d.pos++
				return true
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		d.syntax()
		return nil
	}
	if at(".") && !digits() {
		d.syntax()
		return nil
	}
	if at("eE") {
		at("+-")
		if !digits() {
			d.syntax()
			return nil
		}
	}
	return d.buf[start:d.pos]
}

// integer reads a number without a fraction between two bounds.
func (d *decoder) integer(low, high int64, article, want string) int64 {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch(article, want)
		return 0
	}
	text := d.number()
	if d.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		// 1.0 and 1e3 are integers too; beyond 2^53 a float would no longer be exact.
		f, ferr := strconv.ParseFloat(string(text), 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			d.fail("NUMBER_VALUE can not be converted to %s %s", article, want)
			return 0
		}
		n = int64(f)
	}
	if n < low || n > high {
		d.fail("NUMBER_VALUE can not be converted to %s %s", article, want)
		return 0
	}
	return n
}

// int32 reads an Integer.
func (d *decoder) int32() int32 {
	return int32(d.integer(math.MinInt32, math.MaxInt32, "an", "Integer"))
}

// int64 reads a Long.
func (d *decoder) int64() int64 {
	return d.integer(math.MinInt64, math.MaxInt64, "a", "Long")
}

// float64 reads a Double.
func (d *decoder) float64() float64 {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch("a", "Double")
		return 0
	}
	text := d.number()
	if d.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		d.fail("NUMBER_VALUE can not be converted to a Double")
	}
	return f
}

// time reads seconds since 1970, to the millisecond.
func (d *decoder) time() time.Time {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch("a", "Date")
		return time.Time{}
	}
	f := d.float64()
	if math.Abs(f) > 1e12 {
		d.fail("NUMBER_VALUE can not be converted to a Date")
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC()
}

// blob reads bytes in base64.
func (d *decoder) blob() []byte {
	if d.peek() != '"' {
		d.mismatch("a", "ByteBuffer")
		return nil
	}
	text := d.quoted()
	if d.err != nil {
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text)
	if err != nil {
		d.fail("STRING_VALUE can not be converted to a ByteBuffer: %v", err)
		return nil
	}
	return out[:n]
}

// optionalBlob reads bytes in base64, nil for null.
func (d *decoder) optionalBlob() []byte {
	if d.null() {
		return nil
	}
	return d.blob()
}

// quoted consumes a string and returns its text: a part of the buffer unless it has
// escapes.
func (d *decoder) quoted() []byte {
	d.pos++
	start, ascii := d.pos, true
	for i := start; i < len(d.buf); i++ {
		switch c := d.buf[i]; {
		case c == '"':
			d.pos = i + 1
			if text := d.buf[start:i]; ascii || utf8.Valid(text) {
				return text
			}
			d.fail("request body is not UTF-8")
			return nil
		case c == '\\':
			return d.unescape(start, i)
		case c < ' ':
			d.pos = i
			d.syntax()
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.pos = len(d.buf)
	d.syntax()
	return nil
}
