package pattern

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// kind is what a value of a document is.
type kind byte

const (
	isString kind = iota
	isNumber
	isLiteral // true, false or null
)

// value is a value of a document that is no object and no list: the text of a string,
// or a number or literal as it is written.
type value struct {
	kind kind
	text string
}

// number gives a number; what is none, or too large to be one, has none.
func (v value) number() (float64, bool) {
	if v.kind != isNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return f, err == nil
}

// test is one element of a list of a pattern.
type test interface{ holds(v value) bool }

type (
	isExactly   value    // a string or a literal
	isEqualTo   float64  // a number, however it is written
	isThere     struct{} // anything
	isMissing   struct{} // nothing; never holds for a value
	hasPrefix   affix
	hasSuffix   affix
	isAnyCase   string
	isLike      []string // between the stars
	isBetween   struct{ low, high bound }
	isInNetwork struct{ netip.Prefix }
	isNone      []test // a value for which no test holds
)

type affix struct {
	of   string
	fold bool // upper and lower case are the same
}

type bound struct {
	at        float64
	inclusive bool
}

func (t isExactly) holds(v value) bool { return v == value(t) }

func (t isEqualTo) holds(v value) bool {
	f, ok := v.number()
	return ok && f == float64(t)
}

func (isThere) holds(value) bool { return true }

func (isMissing) holds(value) bool { return false }

func (t hasPrefix) holds(v value) bool {
	if v.kind != isString {
		return false
	}
	if !t.fold {
		return strings.HasPrefix(v.text, t.of)
	}
	return len(v.text) >= len(t.of) && strings.EqualFold(v.text[:len(t.of)], t.of)
}

func (t hasSuffix) holds(v value) bool {
	if v.kind != isString {
		return false
	}
	if !t.fold {
		return strings.HasSuffix(v.text, t.of)
	}
	return len(v.text) >= len(t.of) && strings.EqualFold(v.text[len(v.text)-len(t.of):], t.of)
}

func (t isAnyCase) holds(v value) bool {
	return v.kind == isString && strings.EqualFold(v.text, string(t))
}

// holds finds the parts one after the other, each as early as it can be: a star takes
// whatever is between, so that nothing is lost by that.
func (t isLike) holds(v value) bool {
	if v.kind != isString {
		return false
	}
	s, ok := strings.CutPrefix(v.text, t[0])
	if !ok || len(t) == 1 {
		return ok && s == ""
	}
	last := len(t) - 1
	for _, part := range t[1:last] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, t[last])
}

func (t isBetween) holds(v value) bool {
	f, ok := v.number()
	return ok && (f > t.low.at || t.low.inclusive && f == t.low.at) && (f < t.high.at || t.high.inclusive && f == t.high.at)
}

func (t isInNetwork) holds(v value) bool {
	if v.kind != isString {
		return false
	}
	a, err := netip.ParseAddr(v.text)
	return err == nil && a.Zone() == "" && t.Contains(a)
}

func (t isNone) holds(v value) bool {
	for _, not := range t {
		if not.holds(v) {
			return false
		}
	}
	return true
}

// readTests reads the list of a member.
func readTests(name string, list []any) ([]test, error) {
	if len(list) == 0 {
		return nil, wrong("the list of %q is empty", name)
	}
	var out []test
	for _, v := range list {
		t, err := readTest(v)
		if err != nil {
			return nil, wrong("%q: %w", name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

func readTest(v any) (test, error) {
	switch v := v.(type) {
	case object:
		if len(v) != 1 {
			return nil, wrong("an operator is an object with one member")
		}
		read := operators[v[0].name]
		if read == nil {
			return nil, wrong("there is no operator %q", v[0].name)
		}
		return read(v[0].value)
	case []any:
		return nil, wrong("a list cannot be in a list")
	}
	return readLiteral(v)
}

// readLiteral reads a value that is asked for as it is.
func readLiteral(v any) (test, error) {
	switch v := v.(type) {
	case string:
		return isExactly{isString, v}, nil
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, wrong("the number %s is too large", v)
		}
		return isEqualTo(f), nil
	case bool:
		return isExactly{isLiteral, strconv.FormatBool(v)}, nil
	}
	return isExactly{isLiteral, "null"}, nil
}

// operators reads what stands behind the name of each.
var operators = map[string]func(any) (test, error){
	"exists": readExists, "numeric": readNumeric, "cidr": readNetwork, "anything-but": readAnythingBut,
	"prefix": func(v any) (test, error) {
		s, err := readAffix(v)
		return hasPrefix(s), err
	},
	"suffix": func(v any) (test, error) {
		s, err := readAffix(v)
		return hasSuffix(s), err
	},
	"equals-ignore-case": func(v any) (test, error) {
		s, err := readString(v)
		return isAnyCase(s), err
	},
	"wildcard": func(v any) (test, error) {
		s, err := readString(v)
		if err != nil {
			return nil, err
		}
		return readWildcard(s)
	},
}

// anythingBut are the operators that anything-but turns round.
var anythingBut = map[string]func(string) (test, error){
	"prefix":             func(s string) (test, error) { return hasPrefix{of: s}, notEmpty(s) },
	"suffix":             func(s string) (test, error) { return hasSuffix{of: s}, notEmpty(s) },
	"equals-ignore-case": func(s string) (test, error) { return isAnyCase(s), nil },
	"wildcard":           readWildcard,
}

func notEmpty(s string) error {
	if s == "" {
		return wrong("the empty string would leave nothing")
	}
	return nil
}

func readString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", wrong("a string is expected")
	}
	return s, nil
}

func readExists(v any) (test, error) {
	switch v {
	case true:
		return isThere{}, nil
	case false:
		return isMissing{}, nil
	}
	return nil, wrong("exists is true or false")
}

// readAffix reads what prefix and suffix take: a string, or one that is compared without
// regard to case.
func readAffix(v any) (affix, error) {
	if o, ok := v.(object); ok && len(o) == 1 && o[0].name == "equals-ignore-case" {
		s, err := readString(o[0].value)
		return affix{s, true}, err
	}
	s, err := readString(v)
	return affix{s, false}, err
}

func readNetwork(v any) (test, error) {
	s, err := readString(v)
	if err != nil {
		return nil, err
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, wrong("%q is not a network", s)
	}
	return isInNetwork{p.Masked()}, nil
}

// readWildcard cuts a text at its stars. A backslash makes a star or a backslash an
// ordinary character.
func readWildcard(s string) (test, error) {
	var parts isLike
	var part strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
			if i == len(s) || s[i] != '*' && s[i] != '\\' {
				return nil, wrong("a backslash stands before * or another one only")
			}
			part.WriteByte(s[i])
		case c == '*' && i > 0 && s[i-1] == '*' && len(parts) > 0 && part.Len() == 0:
			return nil, wrong("two stars follow each other")
		case c == '*':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String()), nil
}

// readNumeric reads one comparison, or two that make a range.
func readNumeric(v any) (test, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, wrong("numeric takes a list of one or two comparisons")
	}
	b := isBetween{bound{math.Inf(-1), true}, bound{math.Inf(1), true}}
	for i := 0; i < len(list); i += 2 {
		op, isOp := list[i].(string)
		n, isNumber := list[i+1].(json.Number)
		f, err := n.Float64()
		if !isOp || !isNumber || err != nil {
			return nil, wrong("a comparison is an operator and a number")
		}
		switch {
		case op == "=" && len(list) == 2:
			return isEqualTo(f), nil
		case (op == ">" || op == ">=") && i == 0:
			b.low = bound{f, op == ">="}
		case (op == "<" || op == "<=") && (i == 2 || len(list) == 2):
			b.high = bound{f, op == "<="}
		default:
			return nil, wrong("%q cannot stand here: a range goes from > or >= to < or <=", op)
		}
	}
	if b.low.at >= b.high.at {
		return nil, wrong("the bottom of a range is below its top")
	}
	return b, nil
}

// readAnythingBut reads what a value must not be: a string, numbers or strings in a
// list, or an operator with a string or strings.
func readAnythingBut(v any) (test, error) {
	read := readLiteral
	if o, ok := v.(object); ok {
		if len(o) != 1 || anythingBut[o[0].name] == nil {
			return nil, wrong("anything-but does not take this operator")
		}
		turned := anythingBut[o[0].name]
		v = o[0].value
		read = func(v any) (test, error) {
			s, err := readString(v)
			if err != nil {
				return nil, err
			}
			return turned(s)
		}
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, wrong("anything-but takes a list that is not empty")
	}
	var out isNone
	texts, numbers := 0, 0
	for _, v := range list {
		switch v.(type) {
		case string:
			texts++
		case json.Number:
			numbers++
		}
		if texts+numbers == 0 || texts > 0 && numbers > 0 || len(out)+1 != texts+numbers {
			return nil, wrong("anything-but takes strings or numbers")
		}
		t, err := read(v)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
