package api

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"kiln/door/lambda"
)

// maxDepth is how deep the JSON of an event may be nested: what the parser of the
// service allows, and less than what overflows the stacks of the runtimes' own.
const maxDepth = 1000

// emptyEvent is what a function gets when the caller sent nothing.
var emptyEvent = []byte("{}")

// checkPayload reports what is wrong with an event that is not one JSON value in
// UTF-8, in the words of the service. It reads the bytes once and allocates nothing
// for a valid event.
func checkPayload(p []byte) error {
	c := payloadChecker{p: p}
	if text, at := c.check(); text != "" {
		line, column := position(p, at)
		return &lambda.Error{Code: lambda.InvalidRequestContentException, Message: fmt.Sprintf(
			"Could not parse request body into json: Could not parse payload into json: %s\n at [Source: "+redacted+"; line: %d, column: %d]",
			text, line, column)}
	}
	return nil
}

const (
	redacted    = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
	valueTokens = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	wantValue   = "expected a valid value " + valueTokens
)

// payloadChecker walks over a text. Which brackets are open is a bit each: 1 is an
// object.
type payloadChecker struct {
	p     []byte
	i     int
	depth int
	open  [(maxDepth + 63) / 64]uint64
}

// check gives what is wrong and at which byte the message points, or "".
func (c *payloadChecker) check() (text string, at int) {
	for {
		// A value must follow.
		c.space()
		if c.i >= len(c.p) {
			return c.unexpectedEnd()
		}
		switch b := c.p[c.i]; {
		case b == '{' || b == '[':
			if c.depth == maxDepth {
				return fmt.Sprintf("Document nesting depth (%d) exceeds the maximum allowed (%d)", maxDepth+1, maxDepth), c.i + 1
			}
			c.push(b == '{')
			c.i++
			c.space()
			if c.i < len(c.p) && (c.p[c.i] == '}' && b == '{' || c.p[c.i] == ']' && b == '[') {
				c.i++
				c.depth--
				break
			}
			if b == '{' {
				if text, at = c.name(); text != "" {
					return text, at
				}
			}
			continue
		case b == '"':
			if text, at = c.text(); text != "" {
				return text, at
			}
		case b == '-' || b >= '0' && b <= '9':
			if text, at = c.number(); text != "" {
				return text, at
			}
		default:
			if text, at = c.word(); text != "" {
				return text, at
			}
		}
		// A value is over: a comma leads to the next one, brackets may close.
		for {
			c.space()
			if c.depth == 0 {
				if c.i < len(c.p) {
					return c.unexpected("expected the end of the payload: only one JSON value is allowed")
				}
				return "", 0
			}
			if c.i >= len(c.p) {
				return c.unexpectedEnd()
			}
			object := c.inObject()
			b := c.p[c.i]
			if b == ',' {
				c.i++
				if object {
					if text, at = c.name(); text != "" {
						return text, at
					}
				}
				break
			}
			if object && b != '}' {
				return c.unexpected("was expecting comma to separate Object entries")
			}
			if !object && b != ']' {
				return c.unexpected("was expecting comma to separate Array entries")
			}
			c.i++
			c.depth--
		}
	}
}

// push notes an open bracket; there is room for it.
func (c *payloadChecker) push(object bool) {
	word, bit := c.depth/64, uint64(1)<<(c.depth%64)
	if object {
		c.open[word] |= bit
	} else {
		c.open[word] &^= bit
	}
	c.depth++
}

// inObject reports whether the innermost open bracket is an object's.
func (c *payloadChecker) inObject() bool {
	return c.open[(c.depth-1)/64]>>((c.depth-1)%64)&1 == 1
}

// space steps over white space as JSON defines it.
func (c *payloadChecker) space() {
	for c.i < len(c.p) {
		switch c.p[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

// name reads a member's name and the colon behind it.
func (c *payloadChecker) name() (string, int) {
	c.space()
	if c.i >= len(c.p) {
		return c.unexpectedEnd()
	}
	if c.p[c.i] != '"' {
		return c.unexpected("was expecting double-quote to start field name")
	}
	if text, at := c.text(); text != "" {
		return text, at
	}
	c.space()
	if c.i >= len(c.p) {
		return c.unexpectedEnd()
	}
	if c.p[c.i] != ':' {
		return c.unexpected("was expecting a colon to separate field name and value")
	}
	c.i++
	return "", 0
}

// text reads a string. Escapes of lone surrogates are JSON and pass.
func (c *payloadChecker) text() (string, int) {
	p, i := c.p, c.i+1
	for i < len(p) {
		b := p[i]
		switch {
		case b == '"':
			c.i = i + 1
			return "", 0
		case b == '\\':
			n := escape(p[i+1:])
			if n == 0 {
				if i+1 >= len(p) {
					return "Unexpected end-of-input in character escape sequence", len(p)
				}
				return "Unrecognized character escape " + describe(p[i+1:]), i + 1
			}
			i += 1 + n
		case b < 0x20:
			return fmt.Sprintf("Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash to be included in string value", b), i + 1
		case b < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError && n == 1 {
				return invalidUTF8(p, i)
			}
			i += n
		}
	}
	return "Unexpected end-of-input: was expecting closing quote for a string value", len(p)
}

// escape gives the length of a valid escape without its backslash, or 0.
func escape(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	switch p[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(p) < 5 {
			return 0
		}
		for _, b := range p[1:5] {
			if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// number reads a number as JSON defines it.
func (c *payloadChecker) number() (string, int) {
	p := c.p
	digits := func() bool {
		begin := c.i
		for c.i < len(p) && p[c.i] >= '0' && p[c.i] <= '9' {
			c.i++
		}
		return c.i > begin
	}
	if p[c.i] == '-' {
		c.i++
	}
	switch {
	case c.i < len(p) && p[c.i] == '0':
		if c.i++; c.i < len(p) && p[c.i] >= '0' && p[c.i] <= '9' {
			return "Invalid numeric value: Leading zeroes not allowed", c.i
		}
	case !digits():
		return c.badNumber("expected digit (0-9) to follow minus sign, for valid numeric value")
	}
	if c.i < len(p) && p[c.i] == '.' {
		if c.i++; !digits() {
			return c.badNumber("Decimal point not followed by a digit")
		}
	}
	if c.i < len(p) && (p[c.i] == 'e' || p[c.i] == 'E') {
		c.i++
		if c.i < len(p) && (p[c.i] == '+' || p[c.i] == '-') {
			c.i++
		}
		if !digits() {
			return c.badNumber("Exponent indicator not followed by a digit")
		}
	}
	return "", 0
}

// badNumber says what a number lacks at the byte at hand.
func (c *payloadChecker) badNumber(why string) (string, int) {
	if c.i >= len(c.p) {
		return c.unexpectedEnd()
	}
	return "Unexpected character (" + describe(c.p[c.i:]) + ") in numeric value: " + why, c.i
}

// word reads null, true or false.
func (c *payloadChecker) word() (string, int) {
	end := c.i
	for end < len(c.p) && isWord(c.p[end]) {
		end++
	}
	switch w := c.p[c.i:end]; {
	case string(w) == "null", string(w) == "true", string(w) == "false":
		c.i = end
		return "", 0
	case string(w) == "NaN", string(w) == "Infinity", string(w) == "INF":
		return "Non-standard token '" + string(w) + "': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow", end
	case len(w) > 0:
		return "Unrecognized token '" + clip(string(w)) + "': was expecting " + valueTokens, min(end+1, len(c.p))
	}
	return c.unexpected(wantValue)
}

// isWord reports whether a byte belongs to a word, as the service's parser cuts them.
func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '$'
}

// unexpected names the byte at hand.
func (c *payloadChecker) unexpected(why string) (string, int) {
	return "Unexpected character (" + describe(c.p[c.i:]) + "): " + why, c.i
}

// unexpectedEnd says what was still open.
func (c *payloadChecker) unexpectedEnd() (string, int) {
	switch {
	case c.depth == 0:
		return "Unexpected end-of-input: no JSON value", len(c.p)
	case c.inObject():
		return "Unexpected end-of-input: expected close marker for Object" + c.began(), len(c.p)
	}
	return "Unexpected end-of-input: expected close marker for Array" + c.began(), len(c.p)
}

// began says where the innermost bracket is that is still open. All before the end is
// known to be right, so that the text is read again for its brackets only.
func (c *payloadChecker) began() string {
	var open []int
	for i := 0; i < len(c.p); i++ {
		switch c.p[i] {
		case '{', '[':
			open = append(open, i)
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			for i++; c.p[i] != '"'; i++ {
				if c.p[i] == '\\' {
					i++
				}
			}
		}
	}
	line, column := position(c.p, open[len(open)-1])
	return fmt.Sprintf(" (start marker at [Source: "+redacted+"; line: %d, column: %d])", line, column)
}

// describe shows the character that p begins with.
func describe(p []byte) string {
	if p[0] < 0x20 || p[0] >= 0x7f && p[0] < 0xa0 {
		return fmt.Sprintf("(CTRL-CHAR, code %d)", p[0])
	}
	if p[0] < utf8.RuneSelf {
		return fmt.Sprintf("'%c' (code %d)", p[0], p[0])
	}
	r, n := utf8.DecodeRune(p)
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("code %d", p[0])
	}
	return fmt.Sprintf("'%c' (code %d / 0x%x)", r, r, r)
}

// invalidUTF8 names the byte of a string that is not UTF-8; the message points
// behind it.
func invalidUTF8(p []byte, i int) (string, int) {
	for j := i + 1; j < i+follow(p[i]); j++ {
		if j == len(p) {
			return "Unexpected end-of-input in a UTF-8 character", j
		}
		if p[j]&0xc0 != 0x80 {
			return fmt.Sprintf("Invalid UTF-8 middle byte 0x%02x", p[j]), j + 1
		}
	}
	return fmt.Sprintf("Invalid UTF-8 start byte 0x%02x", p[i]), i + 1
}

// follow gives the length of the UTF-8 character that a byte begins, 1 when none does.
func follow(b byte) int {
	switch {
	case b > 0xf4:
		return 1
	case b >= 0xf0:
		return 4
	case b >= 0xe0:
		return 3
	case b >= 0xc2:
		return 2
	}
	return 1
}

// position counts lines and columns from 1, in bytes.
func position(p []byte, at int) (line, column int) {
	before := strings.ReplaceAll(string(p[:at]), "\r\n", "\n")
	line = 1 + strings.Count(before, "\n") + strings.Count(before, "\r")
	return line, len(before) - strings.LastIndexAny(before, "\r\n")
}
