package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kiln/door/lambda"
)

// row is one line of the routing table.
type row struct {
	// path is how the row is written in docs/KILN_API.md.
	path    string
	methods string                                    // "GET, POST"; "" leaves the judgement to the handler
	open    bool                                      // answered whoever asks: the identity is not read
	inside  bool                                      // answered to execution environments too
	web     bool                                      // the site of a function: pages of other sites may ask, and an id of the caller's says nothing
	host    func(host string) (label string, ok bool) // nil: match decides
	match   func(path string) (label string, ok bool)
	serve   func(*Server, http.ResponseWriter, *http.Request, *call)

	// Where signatures are checked:
	service string // that the signature must be for; "" is any that is on this port
	streams bool   // the body is judged by whoever reads it
	subject string // what a policy must allow to get or change, as in kiln:GetLogs; "" leaves it to the handler
	shared  bool   // it belongs to the server, and not to the account that asks
}

// refuse answers a request that was not let in, in the form that its clients read.
func (r *row) refuse(w http.ResponseWriter, c *call, err error) {
	if r.service == "" {
		writeForeignError(w, c, err)
		return
	}
	lambda.WriteError(w, err)
}

// rows is the routing table of the port, after the Host list and the guard against
// other sites' pages: the first row that matches serves. The last one matches all.
// Execution environments see the public API and nothing else of it.
var rows = []row{
	{path: "{id}.lambda-url.{region}.…", open: true, inside: true, web: true, host: urlHost, serve: (*Server).byHost},
	{path: "/healthz", methods: "GET, HEAD", open: true, match: exactly("/healthz"), serve: (*Server).healthy},
	{path: "/readyz", methods: "GET, HEAD", open: true, match: exactly("/readyz"), serve: (*Server).ready},

	{path: "/_kiln/v1/version", service: "lambda", methods: "GET, HEAD", match: exactly("/_kiln/v1/version"), serve: (*Server).version},
	{path: "/_kiln/v1/doctor", service: "lambda", subject: "Server", shared: true, methods: "GET, HEAD", match: exactly("/_kiln/v1/doctor"), serve: (*Server).doctor},
	{path: "/_kiln/v1/runtimes", service: "lambda", subject: "Runtimes", methods: "GET, HEAD", match: exactly("/_kiln/v1/runtimes"), serve: (*Server).listRuntimes},
	{path: "/_kiln/v1/runtimes/{id}", service: "lambda", subject: "Runtimes", shared: true, methods: "POST, DELETE", match: below("/_kiln/v1/runtimes/"), serve: (*Server).changeRuntime},
	{path: "/_kiln/v1/logs", service: "lambda", subject: "Logs", methods: "GET, HEAD", match: exactly("/_kiln/v1/logs"), serve: (*Server).logs},
	{path: "/_kiln/v1/environments", service: "lambda", subject: "Environments", shared: true, methods: "GET, HEAD", match: exactly("/_kiln/v1/environments"), serve: (*Server).environments},
	{path: "/_kiln/v1/live/{name}", service: "lambda", subject: "Functions", methods: "POST, PUT", match: below("/_kiln/v1/live/"), serve: (*Server).live},
	{path: "/_kiln/v1/pulls/{name}", service: "lambda", subject: "Functions", methods: "GET, HEAD", match: below("/_kiln/v1/pulls/"), serve: (*Server).pull},
	{path: "/_kiln/v1/users", service: "lambda", methods: "GET, HEAD, POST", match: exactly("/_kiln/v1/users"), serve: (*Server).users},
	{path: "/_kiln/v1/users/{name}", service: "lambda", methods: "GET, HEAD, POST, PUT, DELETE", match: beneath("/_kiln/v1/users/"), serve: (*Server).user},
	{path: "/_kiln/v1/packages/{sha256}", methods: "GET, HEAD", open: true, inside: true, match: below("/_kiln/v1/packages/"), serve: (*Server).download},
	{path: "/_kiln/url/{id}/", open: true, inside: true, web: true, match: urlPath, serve: (*Server).byPath},
	{path: "/_kiln/", service: "lambda", match: under("/_kiln/"), serve: (*Server).noSuchPath},

	{path: "/YYYY-MM-DD/", service: "lambda", streams: true, inside: true, match: dated, serve: (*Server).lambdaAPI},
	{path: "/", inside: true, match: under("/"), serve: (*Server).unserved},
}

// route gives the row that takes a host and a path. A path that does not begin with a slash
// ("*" of OPTIONS) is the last row's.
func route(host, path string) (*row, string) {
	for i := range rows {
		subject, match := path, rows[i].match
		if rows[i].host != nil {
			subject, match = host, rows[i].host
		}
		if label, ok := match(subject); ok {
			return &rows[i], label
		}
	}
	return &rows[len(rows)-1], ""
}

// allows reports whether the row takes a method.
func (r *row) allows(method string) bool {
	return r.methods == "" || slices.Contains(strings.Split(r.methods, ", "), method)
}

// exactly matches one path.
func exactly(want string) func(string) (string, bool) {
	return func(path string) (string, bool) { return "", path == want }
}

// under matches every path with a prefix.
func under(prefix string) func(string) (string, bool) {
	return func(path string) (string, bool) { return "", strings.HasPrefix(path, prefix) }
}

// below matches a prefix and one more segment, which is the label. Escapes are left
// in it: what the rows call by a label has none.
func below(prefix string) func(string) (string, bool) {
	return func(path string) (string, bool) {
		label, ok := strings.CutPrefix(path, prefix)
		return label, ok && label != "" && !strings.Contains(label, "/")
	}
}

// beneath matches a prefix and everything behind it, which is the label.
func beneath(prefix string) func(string) (string, bool) {
	return func(path string) (string, bool) {
		label, ok := strings.CutPrefix(path, prefix)
		if label, err := url.PathUnescape(label); ok && err == nil && label != "" {
			return label, true
		}
		return "", false
	}
}

// dated matches the paths of the Lambda API, which begin with a date.
func dated(path string) (string, bool) {
	if len(path) < 11 || path[0] != '/' || len(path) > 11 && path[11] != '/' {
		return "", false
	}
	for i, c := range []byte(path[1:11]) {
		if i == 4 || i == 7 {
			if c != '-' {
				return "", false
			}
		} else if c < '0' || c > '9' {
			return "", false
		}
	}
	return "", true
}

// lambdaAPI hands a request to the operations.
func (s *Server) lambdaAPI(w http.ResponseWriter, r *http.Request, c *call) {
	s.lambda.ServeHTTP(w, r.WithContext(c.with(r.Context())))
}
