package runtimes_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// streamed makes a streaming handler of the body of an async function.
func streamed(body string) string {
	return "exports.handler = awslambda.streamifyResponse(async (event, out, context) => {" + body + "});\n"
}

// late gives the error in the trailers of a streamed answer.
func (o *outcome) late(t *testing.T) (errorType, message string) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(o.trailers.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ ErrorType, ErrorMessage string }
	if len(text) > 0 {
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
	}
	if got := o.trailers.Get("Lambda-Runtime-Function-Error-Type"); got != f.ErrorType {
		t.Errorf("the trailers have type %q, their body %q", got, f.ErrorType)
	}
	return f.ErrorType, f.ErrorMessage
}

func TestNodeStreamsAnAnswer(t *testing.T) {
	cases := []struct{ name, code, body, contentType string }{
		{"pieces", `out.write('one '); await new Promise((r) => setTimeout(r, 5)); out.write(Buffer.from('two')); out.end();`, "one two", "application/octet-stream"},
		{"end with a piece", `out.end('all');`, "all", "application/octet-stream"},
		{"media type", `out.setContentType('text/html'); out.end('<p>');`, "<p>", "text/html"},
		{"an object", `out.write({a: 1}); out.end({b: 2});`, `{"a":1}{"b":2}`, "application/octet-stream"},
		{"nothing", `out.end();`, "", "application/octet-stream"},
		{"a pipeline", `const { Readable, pipeline } = require('stream'); await new Promise((ok, no) => { const r = new Readable({read() {}}); r.push('a'); r.push('b'); r.push(null); pipeline(r, out, (e) => e ? no(e) : ok()); });`, "ab", "application/octet-stream"},
		{"an end after the handler", `setTimeout(() => out.end('late'), 20); out.write('early ');`, "early late", "application/octet-stream"},
		{"an HTTP answer", `out = awslambda.HttpResponseStream.from(out, {statusCode: 201, headers: {'x-a': 'b'}}); out.write('body'); out.end();`,
			`{"statusCode":201,"headers":{"x-a":"b"}}` + strings.Repeat("\x00", 8) + "body", "application/vnd.awslambda.http-integration-response"},
		{"an HTTP answer without a body", `awslambda.HttpResponseStream.from(out, {statusCode: 204}).end();`,
			`{"statusCode":204}` + strings.Repeat("\x00", 8), "application/vnd.awslambda.http-integration-response"},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			g := start(t, lang, folder(t, "app.js", streamed(c.code)), "app.handler")
			for range 2 {
				o := g.invoke(work{payload: `{}`, id: "r-1", attempt: "a-1"})
				if o.path != "/2018-06-01/runtime/invocation/r-1/response" || o.body != c.body || o.headers.Get("Content-Type") != c.contentType {
					t.Errorf("%s: got %q of %s at %s", c.name, o.body, o.headers.Get("Content-Type"), o.path)
				}
				if o.headers.Get("Lambda-Runtime-Function-Response-Mode") != "streaming" || o.headers.Get("Lambda-Runtime-Invocation-Id") != "a-1" {
					t.Errorf("%s: got headers %v", c.name, o.headers)
				}
				if kind, _ := o.late(t); kind != "" {
					t.Errorf("%s: ended with a %s", c.name, kind)
				}
			}
			if got := g.stdout.String() + g.stderr.String(); got != "" {
				t.Errorf("%s: wrote %q", c.name, got)
			}
		}
	})
}

func TestNodeStreamsALargeAnswer(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		code := `const piece = Buffer.alloc(50000, 'x'); for (let i = 0; i < 400; i++) { if (!out.write(piece)) { await new Promise((r) => out.once('drain', r)); } } out.end();`
		o := start(t, lang, folder(t, "app.js", streamed(code)), "app.handler").invoke(work{payload: `{}`})
		if len(o.body) != 20_000_000 {
			t.Errorf("got %d bytes", len(o.body))
		}
	})
}

func TestNodeTheHighWaterMarkOfAStreamIsTheFunctions(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		code := "exports.handler = awslambda.streamifyResponse(async (event, out) => { out.end(String(out.writableHighWaterMark)); }, {highWaterMark: 12345});\n"
		if o := start(t, lang, folder(t, "app.js", code), "app.handler").invoke(work{payload: `{}`}); o.body != "12345" {
			t.Errorf("got %s", o.body)
		}
	})
}

func TestNodeErrorsOfStreamingHandlers(t *testing.T) {
	cases := []struct {
		name, code, body, kind, message string
		begun                           bool
	}{
		{"before the first byte", `throw new TypeError('no');`, "", "TypeError", "no", false},
		{"after it", `out.write('part'); await new Promise((r) => setTimeout(r, 5)); throw new RangeError('far');`, "part", "RangeError", "far", true},
		{"no end", `out.write('part');`, "part", "Error", "Response stream is not finished.", true},
		{"no byte and no end", ``, "", "Error", "Response stream is not finished.", false},
		{"media type too late", `out.write('part'); await new Promise((r) => setTimeout(r, 5)); out.setContentType('text/x');`, "part", "Runtime.InvalidStreamingOperation", "Cannot set content-type, too late.", true},
		{"a source that fails", `const { Readable, pipeline } = require('stream'); out.write('part'); await new Promise((r) => setTimeout(r, 5)); await new Promise((ok, no) => { const r = new Readable({read() { this.destroy(new Error('dry')); }}); pipeline(r, out, (e) => e ? no(e) : ok()); });`, "part", "Error", "dry", true},
		{"a promise that never settles", `out.write('part'); await new Promise(() => {});`, "part", "Runtime.NodeJsExit", "", true},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			g := start(t, lang, folder(t, "app.js", streamed(c.code)), "app.handler")
			for range 2 { // the process lives on
				o := g.invoke(work{payload: `{}`, id: "r-1"})
				if !c.begun {
					if f := o.failure(t); f.ErrorType != c.kind || f.ErrorMessage != c.message || o.path != "/2018-06-01/runtime/invocation/r-1/error" {
						t.Errorf("%s: got %s %q at %s", c.name, f.ErrorType, f.ErrorMessage, o.path)
					}
					continue
				}
				kind, message := o.late(t)
				if o.body != c.body || kind != c.kind || c.message != "" && message != c.message {
					t.Errorf("%s: got %q, %s %q", c.name, o.body, kind, message)
				}
				if !strings.Contains(g.stdout.String(), "Invoke Error") {
					t.Errorf("%s: logged %q", c.name, g.stdout.String())
				}
			}
		}
		o := start(t, lang, folder(t, "app.js", "exports.handler = awslambda.streamifyResponse((event, out) => { out.end('x'); });\n"), "app.handler").invoke(work{payload: `{}`})
		if o.path == "" || lang.old() && o.body == "" {
			t.Errorf("got %q at %s", o.body, o.path)
		}
		g := start(t, lang, folder(t, "app.js", "exports.handler = async () => {}; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';\n"), "app.handler")
		if f := g.outcome().failure(t); f.ErrorType != "Runtime.MalformedStreamingHandler" {
			t.Errorf("got %+v", f)
		}
	})
}

func TestNodeWhatNobodyCaughtBreaksAStreamOffAndEndsTheProcess(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", streamed(`out.write('part'); setTimeout(() => { throw new RangeError('thrown'); }, 10); await new Promise((r) => setTimeout(r, 10000));`)), "app.handler")
		o := g.invoke(work{payload: `{}`})
		if kind, message := o.late(t); o.body != "part" || kind != "RangeError" || message != "thrown" {
			t.Errorf("got %q, %s %q", o.body, kind, message)
		}
		if code := g.wait(); code != 129 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestNodeAStreamingHandlerMayDoMoreAfterItsAnswer(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", streamed(`out.end('x'); await new Promise((r) => setTimeout(r, 50)); console.log('after ' + (event.n)); return 1;`)), "app.handler")
		for _, payload := range []string{`{"n":1}`, `{"n":2}`} {
			if o := g.invoke(work{payload: payload}); o.body != "x" {
				t.Errorf("got %q", o.body)
			}
		}
		if got := g.stdout.String(); lang.old() && (!strings.Contains(got, "after 1") || !strings.Contains(got, "Streaming handlers ignore return values.")) {
			t.Errorf("logged %q before the second answer", got)
		}
	})
}
