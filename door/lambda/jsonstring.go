package lambda

import (
	"unicode/utf16"
	"unicode/utf8"
)

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

// escapes maps the letter of a short escape to its byte.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unescape reads the string that began at start and has its first escape at i. Half a
// surrogate pair becomes U+FFFD.
func (d *decoder) unescape(start, i int) []byte {
	out := append(make([]byte, 0, 2*(i-start)+16), d.buf[start:i]...)
	for i < len(d.buf) {
		c := d.buf[i]
		switch {
		case c == '"':
			d.pos = i + 1
			if !utf8.Valid(out) {
				d.fail("request body is not UTF-8")
				return nil
			}
			return out
		case c < ' ':
			d.pos = i
			d.syntax()
			return nil
		case c != '\\':
			out = append(out, c)
			i++
		case i+1 < len(d.buf) && d.buf[i+1] == 'u':
			r, size := d.unicode(i)
			if size == 0 {
				d.pos = i
				d.syntax()
				return nil
			}
			out = utf8.AppendRune(out, r)
			i += size
		case i+1 < len(d.buf) && escapes[d.buf[i+1]] != 0:
			out = append(out, escapes[d.buf[i+1]])
			i += 2
		default:
			d.pos = i
			d.syntax()
			return nil
		}
	}
	d.pos = len(d.buf)
	d.syntax()
	return nil
}

// unicode reads one \u escape of four digits, or two that are a pair, and returns how long they are; 0
// when they are malformed.
func (d *decoder) unicode(i int) (rune, int) {
	r, ok := d.hex(i)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := d.hex(i + 6); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex reads the number of the escape at i.
func (d *decoder) hex(i int) (rune, bool) {
	if i+6 > len(d.buf) || d.buf[i] != '\\' || d.buf[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range d.buf[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
