// Package pattern tells whether a JSON document is one that an event pattern asks for.
// Event patterns are those of event source mappings, of rules of an event bus and of
// subscriptions: an object whose lists name the values that a member may have.
//
// A Pattern never changes and has no state between two documents. The package knows
// nothing of where documents come from, and never reads more of one than it must: what
// a document says beside what is asked for is skipped, not decoded.
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRules bounds what the alternatives of $or multiply to.
const maxRules = 256

// maxDepth bounds how deep a pattern or the looked-at part of a document may go.
const maxDepth = 256

// Pattern is a compiled event pattern. It is safe for concurrent use.
type Pattern struct {
	rules []*rule // of which one must hold
}

// rule is a pattern without alternatives.
type rule struct {
	root  *node
	nodes int
}

// node is one member that a rule asks about. A node may have tests and members at once,
// since "a" and "a.b" can both be named.
type node struct {
	index    int // among the nodes of the rule
	names    []string
	children []*node
	tests    []test
	// absent is true when the rule holds for this node although nothing is there.
	absent bool
	// negative is true when it holds only then.
	negative bool
}

// ErrPattern is what every error of Compile is.
var ErrPattern = errors.New("invalid event pattern")

// Compile reads a pattern. An error is ErrPattern and says what is wrong with it.
func Compile(text []byte) (*Pattern, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	top, err := readValue(d, 0)
	if err != nil {
		return nil, wrong("it is not JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong("something follows the pattern")
	}
	o, ok := top.(object)
	if !ok {
		return nil, wrong("a pattern is an object")
	}
	rules, err := expand(o, nil)
	if err != nil {
		return nil, err
	}
	p := &Pattern{}
	for _, asks := range rules {
		r := &rule{root: &node{}, nodes: 1}
		for _, a := range asks {
			r.add(a)
		}
		r.root.settle()
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrPattern}, args...)...)
}

// object is a JSON object with its members in order.
type object []member

type member struct {
	name  string
	value any
}

// readValue reads one JSON value; objects keep all their members, so that one that is
// named twice can be refused.
func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name.(string), v}) // the decoder refuses other names
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// ask is one member with the tests of which one must hold.
type ask struct {
	path  []string
	tests []test
}

// expand gives the rules that an object means: each a list of what must hold together.
// Without $or there is one.
func expand(o object, path []string) ([][]ask, error) {
	if len(o) == 0 {
		return nil, wrong("an empty object asks for nothing")
	}
	rules := [][]ask{nil}
	seen := map[string]bool{}
	for _, m := range o {
		if seen[m.name] {
			return nil, wrong("%q is named twice", m.name)
		}
		seen[m.name] = true
		var more [][]ask
		var err error
		at := append(path[:len(path):len(path)], strings.Split(m.name, ".")...)
		switch v := m.value.(type) {
		case object:
			more, err = expand(v, at)
		case []any:
			if choices, ok := alternatives(m.name, v); ok {
				for _, c := range choices {
					var of [][]ask
					if of, err = expand(c, path); err != nil {
						break
					}
					more = append(more, of...)
				}
				break
			}
			var tests []test
			if tests, err = readTests(m.name, v); err == nil {
				more = [][]ask{{{at, tests}}}
			}
		default:
			err = wrong("%q is neither an object nor a list", m.name)
		}
		if err != nil {
			return nil, err
		}
		if rules, err = multiply(rules, more); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// alternatives gives the objects of a $or. One that is not a list of at least two
// objects is a member that happens to be named so.
func alternatives(name string, list []any) ([]object, bool) {
	if name != "$or" || len(list) < 2 {
		return nil, false
	}
	var out []object
	for _, v := range list {
		o, ok := v.(object)
		if !ok || len(o) == 1 && operators[o[0].name] != nil {
			return nil, false
		}
		out = append(out, o)
	}
	return out, true
}

// multiply gives every rule of one list together with every rule of another.
func multiply(x, y [][]ask) ([][]ask, error) {
	if len(x)*len(y) > maxRules {
		return nil, wrong("its alternatives make more than %d rules", maxRules)
	}
	var out [][]ask
	for _, a := range x {
		for _, b := range y {
			out = append(out, append(a[:len(a):len(a)], b...))
		}
	}
	return out, nil
}

// add puts what is asked of a member into the tree of a rule. What is asked of it twice,
// by an alternative and beside it, is one list: either may hold.
func (r *rule) add(a ask) {
	n := r.root
	for _, name := range a.path {
		next := n.child(name)
		if next == nil {
			next = &node{index: r.nodes}
			r.nodes++
			n.names, n.children = append(n.names, name), append(n.children, next)
		}
		n = next
	}
	n.tests = append(n.tests, a.tests...)
}

// child gives the node of a member, or nil.
func (n *node) child(name string) *node {
	for i, known := range n.names {
		if known == name {
			return n.children[i]
		}
	}
	return nil
}

// settle finds out which nodes hold without a value.
func (n *node) settle() {
	n.absent, n.negative = true, true
	if n.tests != nil {
		n.absent = false
		for _, t := range n.tests {
			_, missing := t.(isMissing)
			n.absent = n.absent || missing
			n.negative = n.negative && missing
		}
	}
	for _, c := range n.children {
		c.settle()
		n.absent = n.absent && c.absent
		n.negative = n.negative && c.negative
	}
}
