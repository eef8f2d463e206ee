package main

import (
	"fmt"
	"sort"
	"strings"
)

// node is one segment of the tree of paths.
type node struct {
	literal map[string]*node
	label   *node
	routes  []route
}

// route is an operation at the end of a path; query must be present as written.
type route struct {
	method, query, op string
}

// add puts an operation into the tree. A place that would be both a literal and a
// label is refused: then matching never has to go back.
func (n *node) add(op *operation) error {
	path, query, _ := strings.Cut(op.HTTP.URI, "?")
	for _, seg := range strings.Split(strings.Trim(path, "/"), "/") {
		if strings.HasPrefix(seg, "{") {
			if strings.HasSuffix(seg, "+}") {
				return fmt.Errorf("%s: greedy label %s", op.Name, seg)
			}
			if n.label == nil {
				n.label = &node{literal: map[string]*node{}}
			}
			if len(n.literal) > 0 {
				return fmt.Errorf("%s: %s stands beside a literal", op.Name, seg)
			}
			n = n.label
			continue
		}
		if n.label != nil {
			return fmt.Errorf("%s: %s stands beside a label", op.Name, seg)
		}
		next := n.literal[seg]
		if next == nil {
			next = &node{literal: map[string]*node{}}
			n.literal[seg] = next
		}
		n = next
	}
	for _, r := range n.routes {
		if r.method == op.HTTP.Method && r.query == query {
			return fmt.Errorf("%s and %s share one route", r.op, op.Name)
		}
	}
	n.routes = append(n.routes, route{op.HTTP.Method, query, op.Name})
	return nil
}

// print writes the tree as a composite literal. Routes with a query come first.
func (n *node) print(f *file) {
	if len(n.literal) > 0 {
		names := make([]string, 0, len(n.literal))
		for name := range n.literal {
			names = append(names, name)
		}
		sort.Strings(names)
		f.p("literals: []edge{")
		for _, name := range names {
			f.p("{%q, &node{", name)
			n.literal[name].print(f)
			f.p("}},")
		}
		f.p("},")
	}
	if n.label != nil {
		f.p("label: &node{")
		n.label.print(f)
		f.p("},")
	}
	if len(n.routes) == 0 {
		return
	}
	sort.Slice(n.routes, func(i, j int) bool {
		a, b := n.routes[i], n.routes[j]
		if a.method != b.method {
			return a.method < b.method
		}
		return a.query > b.query
	})
	f.p("routes: []route{")
	for _, r := range n.routes {
		key, value, _ := strings.Cut(r.query, "=")
		f.p("{method: %q, queryKey: %q, queryValue: %q, op: op%s},", r.method, key, value, r.op)
	}
	f.p("},")
}

// emitRoutes writes the tree of all paths.
func emitRoutes(m *api, f *file) error {
	root := &node{literal: map[string]*node{}}
	for _, op := range m.operations() {
		if err := root.add(op); err != nil {
			return err
		}
	}
	f.p("// paths is the tree of all paths of the API, a segment a level.")
	f.p("var paths = node{")
	root.print(f)
	f.p("}")
	return nil
}

// labels returns the names of the labels of a path in order.
func labels(uri string) (names []string) {
	path, _, _ := strings.Cut(uri, "?")
	for _, seg := range strings.Split(path, "/") {
		if strings.HasPrefix(seg, "{") {
			names = append(names, strings.Trim(seg, "{}"))
		}
	}
	return names
}
