package logs

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// deepest is how deep conditions may be nested.
const deepest = 32

// condition is a question about the JSON of a message.
type condition func(document any) bool

// jsonPattern reads { condition }.
func jsonPattern(text string) (func(string) bool, error) {
	p := &parser{rest: text}
	if !p.take("{") {
		return nil, badPattern()
	}
	c, err := p.any(0)
	if err != nil {
		return nil, err
	}
	if !p.take("}") || p.skip() != "" {
		return nil, badPattern()
	}
	return func(message string) bool {
		begin := strings.TrimLeft(message, " \t\r\n")
		if begin == "" || begin[0] != '{' && begin[0] != '[' {
			return false
		}
		var document any
		return json.Unmarshal([]byte(message), &document) == nil && c(document)
	}, nil
}

// parser reads conditions from the left.
type parser struct{ rest string }

// skip leaves out spaces and gives what comes.
func (p *parser) skip() string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	return p.rest
}

// take takes a sign if it comes next.
func (p *parser) take(sign string) bool {
	rest, ok := strings.CutPrefix(p.skip(), sign)
	if ok {
		p.rest = rest
	}
	return ok
}

// word takes a word in capital letters if it comes next and ends there.
func (p *parser) word(w string) bool {
	rest, ok := strings.CutPrefix(p.skip(), w)
	if !ok || rest != "" && !strings.ContainsRune(" \t\r\n)}&|", rune(rest[0])) {
		return false
	}
	p.rest = rest
	return true
}

// any reads conditions of which one must be true, and all those of which all must.
func (p *parser) any(depth int) (condition, error) {
	return p.chain(depth, "||", p.all, func(a, b condition) condition {
		return func(d any) bool { return a(d) || b(d) }
	})
}

func (p *parser) all(depth int) (condition, error) {
	return p.chain(depth, "&&", p.one, func(a, b condition) condition {
		return func(d any) bool { return a(d) && b(d) }
	})
}

// chain reads conditions that a sign joins.
func (p *parser) chain(depth int, sign string, next func(int) (condition, error), join func(a, b condition) condition) (condition, error) {
	c, err := next(depth)
	for err == nil && p.take(sign) {
		var more condition
		if more, err = next(depth); err == nil {
			c = join(c, more)
		}
	}
	return c, err
}

// one reads a condition, or several in parentheses.
func (p *parser) one(depth int) (condition, error) {
	if depth > deepest {
		return nil, badPattern()
	}
	if p.take("(") {
		c, err := p.any(depth + 1)
		if err == nil && !p.take(")") {
			err = badPattern()
		}
		return c, err
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	negate := false
	switch {
	case p.word("IS"):
		not := p.word("NOT")
		var want any
		switch {
		case p.word("NULL"):
		case p.word("TRUE"):
			want = true
		case p.word("FALSE"):
			want = false
		default:
			return nil, badPattern()
		}
		return some(path, func(v any) bool { return (v == want) != not }), nil
	case p.word("NOT"):
		if !p.word("EXISTS") {
			return nil, badPattern()
		}
		return func(d any) bool { return len(path.in(d)) == 0 }, nil
	case p.word("EXISTS"):
		return some(path, func(any) bool { return true }), nil
	case p.take(">="):
		return p.number(path, func(v, n float64) bool { return v >= n })
	case p.take("<="):
		return p.number(path, func(v, n float64) bool { return v <= n })
	case p.take(">"):
		return p.number(path, func(v, n float64) bool { return v > n })
	case p.take("<"):
		return p.number(path, func(v, n float64) bool { return v < n })
	case p.take("!="):
		negate = true
	case p.take("="):
	default:
		return nil, badPattern()
	}
	equal, err := p.value()
	if err != nil {
		return nil, err
	}
	return some(path, func(v any) bool {
		is, comparable := equal(v)
		return comparable && is != negate
	}), nil
}

// some is true when one of the values at a path is as wanted.
func some(path path, wanted func(any) bool) condition {
	return func(d any) bool {
		for _, v := range path.in(d) {
			if wanted(v) {
				return true
			}
		}
		return false
	}
}

// number reads what numbers are compared with.
func (p *parser) number(path path, compare func(v, n float64) bool) (condition, error) {
	n, err := strconv.ParseFloat(p.bare(), 64)
	if err != nil {
		return nil, badPattern()
	}
	return some(path, func(v any) bool {
		f, ok := v.(float64)
		return ok && compare(f, n)
	}), nil
}

// value reads what values are compared with: a number, a text in which * stands for
// anything, or a regular expression. A value that is no text and no number cannot be
// compared.
func (p *parser) value() (func(v any) (is, comparable bool), error) {
	switch rest := p.skip(); {
	case rest == "":
		return nil, badPattern()
	case rest[0] == '"':
		text, tail, err := readQuoted(rest)
		if err != nil {
			return nil, err
		}
		p.rest = tail
		return textual(wildcard(text)), nil
	case rest[0] == '%':
		re, tail, err := readRegex(rest)
		if err != nil {
			return nil, err
		}
		p.rest = tail
		return textual(re.MatchString), nil
	}
	word := p.bare()
	if word == "" {
		return nil, badPattern()
	}
	is := textual(wildcard(word))
	n, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return is, nil
	}
	return func(v any) (bool, bool) {
		if f, ok := v.(float64); ok {
			return f == n, true
		}
		return is(v)
	}, nil
}

// bare reads a value without quotation marks.
func (p *parser) bare() string {
	rest := p.skip()
	end := strings.IndexAny(rest, " \t\r\n(){}&|=<>!\"")
	if end < 0 {
		end = len(rest)
	}
	p.rest = rest[end:]
	return rest[:end]
}

// textual compares texts, and numbers as they are written.
func textual(is func(string) bool) func(any) (bool, bool) {
	return func(v any) (bool, bool) {
		switch v := v.(type) {
		case string:
			return is(v), true
		case float64:
			return is(strconv.FormatFloat(v, 'f', -1, 64)), true
		}
		return false, false
	}
}

// wildcard gives the test of a text in which * stands for anything.
func wildcard(text string) func(string) bool {
	if !strings.Contains(text, "*") {
		return func(v string) bool { return v == text }
	}
	parts := strings.Split(text, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	re := regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`)
	return re.MatchString
}

// path says where a value is: each step is a name, a place in an array, or all of it.
type path []step

type step struct {
	name  string
	index int // of an array; -1: all of them
	array bool
}

// path reads $.a.b[0], $.['a.b'] or $.a[*].
func (p *parser) path() (path, error) {
	if !p.take("$") {
		return nil, badPattern()
	}
	var out path
	for {
		switch {
		case strings.HasPrefix(p.rest, "['"), strings.HasPrefix(p.rest, ".['"):
			name, rest, ok := strings.Cut(strings.TrimPrefix(p.rest, ".")[2:], "']")
			if !ok || name == "" {
				return nil, badPattern()
			}
			out, p.rest = append(out, step{name: name}), rest
		case strings.HasPrefix(p.rest, "["):
			text, rest, ok := strings.Cut(p.rest[1:], "]")
			s := step{array: true, index: -1}
			if text != "*" {
				n, err := strconv.ParseUint(text, 10, 16)
				if err != nil {
					return nil, badPattern()
				}
				s.index = int(n)
			}
			if !ok {
				return nil, badPattern()
			}
			out, p.rest = append(out, s), rest
		case strings.HasPrefix(p.rest, "."):
			rest := p.rest[1:]
			end := strings.IndexAny(rest, " \t\r\n.[(){}&|=<>!\"")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, badPattern()
			}
			out, p.rest = append(out, step{name: rest[:end]}), rest[end:]
		case len(out) == 0:
			return nil, badPattern()
		default:
			return out, nil
		}
	}
}

// in gives the values that a path leads to.
func (p path) in(document any) []any {
	values := []any{document}
	for _, s := range p {
		var next []any
		for _, v := range values {
			if list, ok := v.([]any); ok && s.array {
				if s.index < 0 {
					next = append(next, list...)
				} else if s.index < len(list) {
					next = append(next, list[s.index])
				}
				continue
			}
			object, ok := v.(map[string]any)
			if inner, there := object[s.name]; ok && there && !s.array {
				next = append(next, inner)
			}
		}
		values = next
	}
	return values
}
