package pattern

import (
	"encoding/json"
	"strings"
)

// Match reports whether a document is what the pattern asks for. The document must be
// valid JSON; of one that is not, nothing is promised but that Match returns. An element
// of a list must have all that is asked of members below it, not several together.
func (p *Pattern) Match(document []byte) bool {
	for _, r := range p.rules {
		s := scan{text: document, nodes: r.nodes}
		if s.value(r.root) {
			return true
		}
	}
	return false
}

// scan goes over a document once, along a rule.
type scan struct {
	text  []byte
	at    int
	nodes int
	depth int
	marks []mark // a stack: one group of as many as there are nodes for each open object
	keep  [64]mark
}

// mark is what is known of a node within one object.
type mark byte

const (
	untouched mark = iota
	held
	failed
)

// value goes over the next value and reports whether it is what the node asks for.
func (s *scan) value(n *node) bool {
	s.space()
	if s.at >= len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '{':
		return s.object(n)
	case '[':
		return s.list(n)
	}
	v := s.scalar(len(n.tests) > 0)
	return n.passes(v) && n.empty()
}

// passes reports whether one of the tests holds for a value, or there is none.
func (n *node) passes(v value) bool {
	for _, t := range n.tests {
		if t.holds(v) {
			return true
		}
	}
	return n.tests == nil
}

// empty reports whether a node asks for no members, or for none to be there.
func (n *node) empty() bool {
	for _, c := range n.children {
		if !c.absent {
			return false
		}
	}
	return true
}

// bare reports whether a node with an object as its value, which is no value to test,
// passes.
func (n *node) bare() bool {
	if n.tests == nil {
		return true
	}
	for _, t := range n.tests {
		if _, missing := t.(isMissing); missing {
			return true
		}
	}
	return false
}

// list goes over a list: one element must be what the node asks for. When it asks only
// for what is not there, none may have it; an empty list has nothing.
func (s *scan) list(n *node) bool {
	s.at++ // [
	if s.depth++; s.depth > maxDepth {
		s.at = len(s.text)
		return false
	}
	some, all, elements := false, true, 0
	for s.more(']') {
		if some && !n.negative {
			s.skip()
		} else {
			ok := s.value(n)
			some, all = some || ok, all && ok
		}
		elements++
	}
	s.depth--
	switch {
	case elements == 0:
		return n.absent
	case n.negative:
		return all
	}
	return some
}

// object goes over an object and marks what it has of the node's members.
func (s *scan) object(n *node) bool {
	s.at++ // {
	if s.depth++; s.depth > maxDepth {
		s.at = len(s.text)
		return false
	}
	if s.marks == nil {
		s.marks = s.keep[:0]
	}
	base := len(s.marks)
	for range s.nodes {
		s.marks = append(s.marks, untouched)
	}
	for s.more('}') {
		if s.text[s.at] != '"' {
			s.at = len(s.text)
			break
		}
		c := s.member(n)
		if s.space(); s.at < len(s.text) && s.text[s.at] == ':' {
			s.at++
		}
		if c == nil {
			s.space()
			s.skip()
			continue
		}
		if ok := s.value(c); ok {
			s.marks[base+c.index] = held
		} else if s.marks[base+c.index] == untouched {
			s.marks[base+c.index] = failed
		}
	}
	ok := n.bare() && n.complete(s.marks[base:])
	s.marks = s.marks[:base]
	s.depth--
	return ok
}

// complete reports whether an object with these marks has all members that a node asks
// for.
func (n *node) complete(marks []mark) bool {
	for _, c := range n.children {
		switch marks[c.index] {
		case held:
		case failed:
			return false
		default:
			if c.touched(marks) { // its members were named with dots
				if !c.bare() || !c.complete(marks) {
					return false
				}
			} else if !c.absent {
				return false
			}
		}
	}
	return true
}

func (n *node) touched(marks []mark) bool {
	for _, c := range n.children {
		if marks[c.index] != untouched || c.touched(marks) {
			return true
		}
	}
	return false
}

// member reads the name of a member and gives the node that it leads to, or nil. A name
// with dots means the same as the objects that they stand for.
func (s *scan) member(n *node) *node {
	name := s.quoted()
	if escaped(name) {
		var text string
		if json.Unmarshal(name, &text) != nil {
			return nil
		}
		return n.walk(text)
	}
	name = name[1 : len(name)-1]
	for i, known := range n.names {
		if known == string(name) {
			return n.children[i]
		}
	}
	for _, c := range name {
		if c == '.' {
			return n.walk(string(name))
		}
	}
	return nil
}

// walk follows a name with dots.
func (n *node) walk(name string) *node {
	for part := range strings.SplitSeq(name, ".") {
		if n = n.child(part); n == nil {
			return nil
		}
	}
	return n
}

// more goes over what separates elements and reports whether another one follows; the
// end is taken.
func (s *scan) more(end byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == ',' {
		s.at++
		s.space()
	}
	if s.at >= len(s.text) {
		return false
	}
	if s.text[s.at] == end {
		s.at++
		return false
	}
	return true
}

func (s *scan) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// scalar goes over a string, number or literal and gives it if it is wanted.
func (s *scan) scalar(wanted bool) value {
	if s.text[s.at] == '"' {
		q := s.quoted()
		switch {
		case !wanted:
			return value{}
		case !escaped(q):
			return value{isString, string(q[1 : len(q)-1])}
		}
		var text string
		if json.Unmarshal(q, &text) != nil {
			return value{}
		}
		return value{isString, text}
	}
	begin := s.at
	for s.at < len(s.text) && !strings.ContainsRune(",]}: \t\n\r", rune(s.text[s.at])) {
		s.at++
	}
	if s.at == begin { // not JSON
		s.at = len(s.text)
		return value{}
	}
	v := value{isLiteral, ""}
	if c := s.text[begin]; c == '-' || c >= '0' && c <= '9' {
		v.kind = isNumber
	}
	if wanted {
		v.text = string(s.text[begin:s.at])
	}
	return v
}

// quoted goes over a string and gives it with its quotes.
func (s *scan) quoted() []byte {
	begin := s.at
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.text[begin:s.at]
		}
	}
	s.at = len(s.text)
	return []byte(`""`) // not JSON
}

func escaped(q []byte) bool {
	for _, c := range q {
		if c == '\\' {
			return true
		}
	}
	return false
}

// skip goes over a value of which nothing is wanted, however deep it is.
func (s *scan) skip() {
	for open := 0; s.at < len(s.text); {
		switch s.text[s.at] {
		case '"':
			s.quoted()
		case '{', '[':
			open++
			s.at++
			continue
		case '}', ']':
			open--
			s.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			s.at++
			continue
		default:
			s.scalar(false)
		}
		if open <= 0 {
			return
		}
	}
}
