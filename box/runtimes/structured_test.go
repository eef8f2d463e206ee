package runtimes_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// entries gives logged lines as objects without their times, each of which must be one
// of RFC 3339 with parts of a second. A line that is no object stays text.
func entries(t *testing.T, logged string) []string {
	t.Helper()
	var out []string
	for _, line := range strings.Split(strings.TrimSuffix(logged, "\n"), "\n") {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			out = append(out, line)
			continue
		}
		at, _ := entry["timestamp"].(string)
		if when, err := time.Parse(time.RFC3339, at); err != nil || time.Since(when) > testTimeout || !strings.HasSuffix(at, "Z") || !strings.Contains(at, ".") {
			t.Errorf("the time of %s is %q", line, at)
		}
		delete(entry, "timestamp")
		for _, name := range []string{"stackTrace", "location"} {
			if _, there := entry[name]; there {
				entry[name] = "there"
			}
		}
		if m, ok := entry["message"].(map[string]any); ok && m["stackTrace"] != nil {
			m["stackTrace"] = "there"
		}
		out = append(out, asText(entry))
	}
	return out
}

func wantEntries(t *testing.T, logged string, want ...string) {
	t.Helper()
	got := entries(t, logged)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// withID takes the request's id out of an error where AWS has none.
func withID(lang *language, entry string) string {
	if lang.identifier == "python3.8" {
		return strings.NewReplacer(`"requestId":"r",`, "", `"requestId":"r-1",`, "").Replace(entry)
	}
	return entry
}

const pythonStructured = `
import logging
log = logging.getLogger("app")
log.info("early")
def handler(event, context):
    log.debug("hidden")
    log.info("hello %s\n", "you", extra={"order": 17, "object": 1j})
    logging.warning(u"\u00e9")
    print("as it is")
    try:
        {}["k"]
    except KeyError:
        log.exception("oh")
    raise ValueError("bad")
`

func TestPythonLogsObjectsWhereTheFormatIsJSON(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", pythonStructured), "app.handler", "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
		logged := g.invoke(work{payload: `{}`, id: "r-1", tenant: "blue"}).logged
		if old := lang.identifier; old == "python2.7" || old == "python3.6" || old == "python3.7" {
			if !strings.Contains(logged, "[INFO]\t") {
				t.Errorf("AWS has no structured logs of %s; got %s", old, logged)
			}
			return
		}
		wantEntries(t, logged,
			`{"level":"INFO","logger":"app","message":"early"}`,
			`{"level":"INFO","logger":"app","message":"hello you\n","object":"1j","order":17,"requestId":"r-1","tenantId":"blue"}`,
			`{"level":"WARNING","logger":"root","message":"é","requestId":"r-1","tenantId":"blue"}`,
			`as it is`,
			`{"errorMessage":"'k'","errorType":"KeyError","level":"ERROR","location":"there","logger":"app","message":"oh","requestId":"r-1","stackTrace":"there","tenantId":"blue"}`,
			withID(lang, `{"errorMessage":"bad","errorType":"ValueError","log_level":"ERROR","requestId":"r-1","stackTrace":"there"}`))
	})
}

func TestPythonObjectsAreFramesOfJSON(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		if old := lang.identifier; old == "python2.7" || old == "python3.6" || old == "python3.7" {
			return
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		dir := folder(t, "app.py", "import logging\ndef handler(event, context):\n    logging.warning('two\\nlines')\n    raise KeyError('k')\n")
		g := startWith(t, lang, dir, "app.handler", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3", "AWS_LAMBDA_LOG_FORMAT=JSON")
		w.Close()
		if got := g.invoke(work{payload: `{}`, id: "r"}).logged; got != "" {
			t.Errorf("the standard output has %q", got)
		}
		wantEntries(t, readFrame(t, r, 0xa55a0012), `{"level":"WARNING","logger":"root","message":"two\nlines","requestId":"r"}`)
		wantEntries(t, readFrame(t, r, 0xa55a0016), withID(lang, `{"errorMessage":"'k'","errorType":"KeyError","log_level":"ERROR","requestId":"r","stackTrace":"there"}`))
	})
}

const nodeStructured = `
console.log('early');
exports.handler = async () => {
  console.debug('hidden');
  console.log('two\nlines', { a: 1 });
  console.info({ order: 17, cause: Object.assign(new TypeError("inner"), { stack: "TypeError: inner" }) });
  console.warn(JSON.stringify({ level: 'ERROR' }));
  const far = new RangeError("far"); far.stack = "RangeError: far"; console.error("failed:", far);
  const loop = {}; loop.self = loop;
  console.log(loop);
  process.stdout.write('as it is\n');
  throw new SyntaxError('bad');
};
`

func TestNodeLogsObjectsWhereTheFormatIsJSON(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", nodeStructured), "app.handler", "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
		logged := g.invoke(work{payload: `{}`, id: "r-1", tenant: "blue"}).logged
		if old := lang.identifier; old == "nodejs10.x" || old == "nodejs12.x" || old == "nodejs14.x" {
			if !strings.Contains(logged, "\tr-1\tINFO\t") {
				t.Errorf("AWS has no structured logs of %s; got %s", old, logged)
			}
			return
		}
		wantEntries(t, logged,
			`{"level":"INFO","message":"early"}`,
			`{"level":"INFO","message":"two\nlines { a: 1 }","requestId":"r-1","tenantId":"blue"}`,
			`{"level":"INFO","message":{"cause":{"errorMessage":"inner","errorType":"TypeError","stackTrace":["TypeError: inner"]},"order":17},"requestId":"r-1","tenantId":"blue"}`,
			`{"level":"WARN","message":"{\"level\":\"ERROR\"}","requestId":"r-1","tenantId":"blue"}`,
			`{"errorMessage":"far","errorType":"RangeError","level":"ERROR","message":"failed: [RangeError: far]","requestId":"r-1","stackTrace":"there","tenantId":"blue"}`,
			`{"level":"INFO","message":"\u003cref *1\u003e { self: [Circular *1] }","requestId":"r-1","tenantId":"blue"}`,
			`as it is`,
			`{"level":"ERROR","message":{"errorMessage":"bad","errorType":"SyntaxError","stackTrace":"there"},"requestId":"r-1","tenantId":"blue"}`)
	})
}

func TestNodeObjectsAreFramesOfJSON(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		if old := lang.identifier; old == "nodejs10.x" || old == "nodejs12.x" || old == "nodejs14.x" {
			return
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		dir := folder(t, "app.js", "exports.handler = async () => { console.error('two\\nlines'); };\n")
		g := startWith(t, lang, dir, "app.handler", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3", "AWS_LAMBDA_LOG_FORMAT=JSON")
		w.Close()
		if got := g.invoke(work{payload: `{}`, id: "r"}).logged; got != "" {
			t.Errorf("the standard output has %q", got)
		}
		wantEntries(t, readFrame(t, r, 0xa55a0016), `{"level":"ERROR","message":"two\nlines","requestId":"r"}`)
	})
}

func TestRubyErrorsAreObjectsWhereTheFormatIsJSON(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		later := folder(t, "early.rb", "verbose, $VERBOSE = $VERBOSE, nil\nRUBY_VERSION = '4.0.0'\n$VERBOSE = verbose\n") // AWS has them since then
		g := start(t, lang, folder(t, "app.rb", "def handler(event:, context:)\n  raise 'bad'\nend\n"), "app.handler", "AWS_LAMBDA_LOG_FORMAT=JSON", "RUBYOPT=-r"+later+"/early.rb")
		wantEntries(t, g.invoke(work{payload: `{}`, id: "r-1"}).logged,
			`{"errorMessage":"bad","errorType":"Function\u003cRuntimeError\u003e","level":"ERROR","message":"Error raised from handler method","requestId":"r-1","stackTrace":"there"}`)
	})
}

func TestPythonWritesWholeFramesIntoAPipeThatDoesNotWait(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		dir := folder(t, "app.py", `
import fcntl, logging, os
def handler(event, context):
    fcntl.fcntl(3, fcntl.F_SETFL, fcntl.fcntl(3, fcntl.F_GETFL) | os.O_NONBLOCK)
    logging.error("x" * 300000)
    return "done"
`)
		g := startWith(t, lang, dir, "app.handler", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3")
		w.Close()
		read := make(chan []byte, 1)
		go func() {
			b := make([]byte, 400000)
			n, _ := io.ReadAtLeast(r, b, 300016) // the test sees what is missing
			read <- b[:n]
		}()
		if o := g.invoke(work{payload: `{}`, id: "r"}); o.body != `"done"` {
			t.Errorf("got %s", o.body)
		}
		if got := <-read; bytes.Count(got, []byte("x")) != 300000 {
			t.Errorf("got %d bytes", len(got))
		}
	})
}
