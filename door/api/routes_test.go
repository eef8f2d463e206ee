package api

import (
	"os"
	"strings"
	"testing"
)

// paths has requests for every row of the routing table.
var paths = map[string][]string{
	"{id}.lambda-url.{region}.…":  {"abc.lambda-url.eu-west-1.localhost:4566 /2015-03-31/functions", "ABC.Lambda-Url.eu-west-1.example.com /_kiln/v1/version", "abc.lambda-url.eu-west-1.localhost /"},
	"/_kiln/url/{id}/":            {"/_kiln/url/abc", "/_kiln/url/abc/", "/_kiln/url/abc/2015-03-31/functions", "/_kiln/url/..%2fv1/version"},
	"/healthz":                    {"/healthz"},
	"/readyz":                     {"/readyz"},
	"/_kiln/v1/version":           {"/_kiln/v1/version"},
	"/_kiln/v1/doctor":            {"/_kiln/v1/doctor"},
	"/_kiln/v1/runtimes":          {"/_kiln/v1/runtimes"},
	"/_kiln/v1/runtimes/{id}":     {"/_kiln/v1/runtimes/python3.12"},
	"/_kiln/v1/live/{name}":       {"/_kiln/v1/live/hello"},
	"/_kiln/v1/pulls/{name}":      {"/_kiln/v1/pulls/hello"},
	"/_kiln/v1/logs":              {"/_kiln/v1/logs"},
	"/_kiln/v1/environments":      {"/_kiln/v1/environments"},
	"/_kiln/v1/users":             {"/_kiln/v1/users"},
	"/_kiln/v1/users/{name}":      {"/_kiln/v1/users/ann", "/_kiln/v1/users/ann%40example.com/keys/AKIA"},
	"/_kiln/v1/packages/{sha256}": {"/_kiln/v1/packages/0123", "/_kiln/v1/packages/..%2f..%2fetc"},
	"/_kiln/":                     {"/_kiln/", "/_kiln/v2/version", "/_kiln/v1/runtimes/", "/_kiln/v1/packages/a/b", "/_kiln/v1/version/"},
	"/YYYY-MM-DD/":                {"/2015-03-31/functions", "/2015-03-31/functions/", "/2025-12-01/durable-executions/a%2Fb/stop", "/2026-07-09"},
	"/":                           {"/", "", "*", "/metrics", "/healthz/", "/2015-03-31x/functions", "/2015-3-31/functions", "/debug/pprof/", "/_kilnx", "//2015-03-31/functions", "/2015-03-3/functions", "/bucket/key"},
}

func TestTheRoutingTableSendsEachPathToItsOneRow(t *testing.T) {
	seen := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if seen[r.path] {
			t.Errorf("%s is in the table twice", r.path)
		}
		seen[r.path] = true
		if len(paths[r.path]) == 0 {
			t.Errorf("%s: no request of the test is for this row", r.path)
		}
		for _, p := range paths[r.path] {
			host, path, ok := strings.Cut(p, " ")
			if !ok {
				host, path = "localhost:4566", p
			}
			if got, _ := route(host, path); got != r {
				t.Errorf("%q goes to %s, want %s", p, got.path, r.path)
			}
		}
	}
	if len(paths) != len(rows) {
		t.Errorf("the test has %d rows, the table %d", len(paths), len(rows))
	}
	if _, label := route("", "/_kiln/v1/runtimes/nodejs22.x"); label != "nodejs22.x" {
		t.Errorf("label %q", label)
	}
}

func TestOnlyHealthTicketsAndFunctionURLsAreAnsweredWithoutAskingWho(t *testing.T) {
	for i := range rows {
		open := rows[i].web || strings.HasSuffix(rows[i].path, "z") || strings.Contains(rows[i].path, "/packages/")
		if rows[i].open != open {
			t.Errorf("%s: open is %v, want %v", rows[i].path, rows[i].open, open)
		}
	}
}

func TestEveryRouteOfKilnsOwnNeedsAPermission(t *testing.T) {
	for i := range rows {
		r := &rows[i]
		if r.open || r.path == "/" {
			continue
		}
		if r.service != "lambda" {
			t.Errorf("%s takes signatures for %q", r.path, r.service)
		}
		asks := strings.Contains(r.path, "/users") || r.path == "/_kiln/v1/version" || r.path == "/YYYY-MM-DD/" || r.path == "/_kiln/" // which ask themselves, or give nothing that is not everybody's
		if (r.subject == "") != asks {
			t.Errorf("%s: the subject of its permission is %q", r.path, r.subject)
		}
		if r.streams != (r.path == "/YYYY-MM-DD/") {
			t.Errorf("%s: who judges the body?", r.path)
		}
	}
}

func TestInsideThereIsThePublicAPIItsDownloadsAndFunctionURLs(t *testing.T) {
	for i := range rows {
		inside := rows[i].web || rows[i].path == "/YYYY-MM-DD/" || rows[i].path == "/" || strings.Contains(rows[i].path, "/packages/")
		if rows[i].inside != inside {
			t.Errorf("%s: inside is %v, want %v", rows[i].path, rows[i].inside, inside)
		}
	}
}

func TestEveryRouteIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/KILN_API.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if !strings.Contains(string(text), "### `"+rows[i].path+"`\n") {
			t.Errorf("docs/KILN_API.md has no section for %s", rows[i].path)
		}
		for _, m := range strings.Split(rows[i].methods, ", ") {
			_, section, _ := strings.Cut(string(text), "### `"+rows[i].path+"`\n")
			section, _, _ = strings.Cut(section, "\n##")
			if m != "" && m != "HEAD" && !strings.Contains(section, "`"+m+"`") {
				t.Errorf("docs/KILN_API.md does not say what %s does to %s", m, rows[i].path)
			}
		}
	}
}
