package lambda

import (
	"net/http"
	"strings"
)

// maxLabels is the largest number of labels in a path of the API.
const maxLabels = 3

// labels holds the labels of a path in order, still escaped.
type labels [maxLabels]string

// node is one segment of the tree of paths: either literals or a label follow, never
// both, so that matching never goes back.
type node struct {
	literals []edge
	label    *node
	routes   []route
}

// edge leads to the segment with one exact text.
type edge struct {
	text string
	to   *node
}

// route is an operation at the end of a path. With a queryKey it is meant only when
// the query has exactly that value.
type route struct {
	method               string
	queryKey, queryValue string
	op                   int
}

// matched is what the tree says of a request: an operation, or why there is none.
type matched struct {
	op    int    // index into operations, or -1
	allow string // methods of a path that is known, when only the method is wrong
}

// match finds the operation of a request and fills in its labels. One trailing slash
// is as good as none: older clients send it.
func match(method, path, query string, l *labels) matched {
	n, rest, labels := &paths, path, 0
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), "/")
	for more := true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case segment == "":
			return matched{op: -1}
		case n.label != nil && labels < maxLabels:
			l[labels] = segment
			labels++
			n = n.label
		default:
			if n = n.literal(segment); n == nil {
				return matched{op: -1}
			}
		}
	}
	for i := range n.routes {
		r := &n.routes[i]
		if r.method == method && (r.queryKey == "" || queryHas(query, r.queryKey, r.queryValue)) {
			return matched{op: r.op}
		}
	}
	return matched{op: -1, allow: n.methods()}
}

// literal follows an edge, or returns nil.
func (n *node) literal(text string) *node {
	for i := range n.literals {
		if n.literals[i].text == text {
			return n.literals[i].to
		}
	}
	return nil
}

// methods lists the methods of a path, empty for a path that is only a beginning.
func (n *node) methods() string {
	var list []string
	for i, r := range n.routes {
		if i == 0 || n.routes[i-1].method != r.method {
			list = append(list, r.method)
		}
	}
	return strings.Join(list, ", ")
}

// err is the answer to a request that no operation takes.
func (m matched) err(r *http.Request) *Error {
	if m.allow == "" {
		return &Error{Code: UnknownOperationException, Message: "No operation matches " + r.Method + " " + r.URL.EscapedPath()}
	}
	return &Error{
		Code: UnknownOperationException, Status: http.StatusMethodNotAllowed,
		Message: "Method " + r.Method + " is not allowed for " + r.URL.EscapedPath() + "; allowed: " + m.allow,
	}
}
