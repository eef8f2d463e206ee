package lambda

import "encoding/base64"

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

// optional reads a value, nil for null.
func optional[T any](d *decoder, read func(*decoder) T) *T {
	if d.null() {
		return nil
	}
	v := read(d)
	return &v
}

// decodeList reads a list: nil for null, empty but present for an empty one. Null is no
// element.
func decodeList[T any](d *decoder, read func(*decoder) T) []T {
	if d.null() {
		return nil
	}
	out := []T{}
	for more := d.list(); more; more = d.nextElement() {
		if d.null() {
			d.fail("NULL_VALUE found in a list")
			break
		}
		out = append(out, read(d))
	}
	return out
}

// decodeMap reads a map: nil for null, empty but present for an empty one. Of two equal
// keys the latter wins; null is no value.
func decodeMap[T any](d *decoder, read func(*decoder) T) map[string]T {
	if d.null() {
		return nil
	}
	out := map[string]T{}
	for more := d.object(); more; more = d.nextMember() {
		key := string(d.name)
		if d.null() {
			d.fail("NULL_VALUE found in a map")
			break
		}
		out[key] = read(d)
	}
	return out
}
