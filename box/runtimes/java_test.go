package runtimes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var javaClasses struct {
	sync.Once
	dir string
}

// javaTask gives a function's directory with the handlers of testdata/java, compiled
// once against the interfaces that the runtime brings.
func javaTask(t testing.TB) string {
	t.Helper()
	javac := compilerOf(t, jarJava)
	javaClasses.Do(func() {
		sources, err := filepath.Glob("testdata/java/*.java")
		if err != nil {
			t.Fatal(err)
		}
		compiled := compile(t, javac, jarFile, sources...)
		dir, err := os.MkdirTemp(machine.dir, "task-")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(compiled)); err != nil {
			t.Fatal(err)
		}
		javaClasses.dir = dir
	})
	if javaClasses.dir == "" {
		t.Fatal("the handlers could not be compiled")
	}
	return javaClasses.dir
}

// eachJava runs a test with one identifier of every Java of this machine.
func eachJava(t *testing.T, test func(t *testing.T, lang *language, task string)) {
	t.Helper()
	seen := make(map[string]bool)
	all := languages(t, "java")
	task := javaTask(t)
	for _, lang := range all {
		if seen[lang.version] {
			continue
		}
		seen[lang.version] = true
		t.Run(lang.identifier, func(t *testing.T) { test(t, lang, task) })
	}
}

func handlerOf(name string) string { return "test.Handlers$" + name }

func TestAJavaHandlerEchoesItsEvent(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Echo"))
		for _, chunked := range []bool{false, true, false} {
			payload := `[{"a": [1, 2.5, null, true]}, "b €\n", -3e2, {}, 12345678901, 123456789012345678901234567890]`
			o := g.invoke(work{payload: payload, attempt: "attempt-1", chunked: chunked})
			if got, want := o.path, "/2018-06-01/runtime/invocation/"+runtimeID+"/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `[{"a":[1,2.5,null,true]},"b €\n",-300.0,{},12345678901,123456789012345678901234567890]`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-1"; got != want {
				t.Errorf("invocation id: got %q, want %q", got, want)
			}
			if got, want := o.headers.Get("Content-Type"), "application/json"; got != want {
				t.Errorf("content type: got %q, want %q", got, want)
			}
			if !o.pipelined {
				t.Error("the next question did not come with the answer")
			}
		}
		payload := `"` + strings.Repeat("0123456789abcdef", 6291456/16-1) + `"`
		for range 2 {
			if o := g.invoke(work{payload: payload}); o.body != payload {
				t.Fatalf("got %d bytes, want %d", len(o.body), len(payload))
			}
		}
		if got := g.stdout.String() + g.stderr.String(); got != "" {
			t.Errorf("wrote %q", got)
		}
	})
}

// TestJavaHandlersOfEveryKind calls each shape of a handler that AWS documents.
func TestJavaHandlersOfEveryKind(t *testing.T) {
	cases := []struct{ handler, payload, want string }{
		{"Stream", "any \x00\xff bytes", "any \x00\xff bytes"},
		{"Text", `"abc"`, `"cba"`},
		{"Text", `12`, `"21"`},
		{"Text", `null`, `"nothing"`},
		{"Numbers", `[1, "2", 3.0]`, `6`},
		{"Numbers", `7`, `7`},
		{"Nothing", `{"a": "b"}`, `null`},
		{"Derived", `[{"name": "n", "count": "4", "colour": "GREEN", "unknown": [{}]}]`, `{"colour":"GREEN","count":4,"name":"n"}`},
		{"WithDefaults", `{"name": "x"}`, `"default x"`},
		{"WithDefaults::handleRequest", `{"name": "x"}`, `"default x"`},
		{"Methods::plain", `{"name": "n"}`, `"item n"`},
		{"Methods::both", `{"name": "n"}`, `{"count":1024,"name":"n"}`},
		{"Methods::fixed", `41`, `42`},
		{"Methods::none", `{}`, `"none"`},
		{"Methods::only", `{}`, `"fn"`},
		{"Methods::silent", `{}`, `null`},
		{"Methods::streams", `x`, `x`},
		{"Methods::writes", `{}`, `1`},
		{"Methods::three", `{}`, `3`},
		{"Methods::many", `"a"`, `"two"`},
		{"Methods", `{}`, `"INTERFACE"`},
		{"Methods::handleRequest", `{}`, `"INTERFACE"`},
		{"Methods::handleRequestCustom", `{}`, `"CUSTOM"`},
	}
	eachJava(t, func(t *testing.T, lang *language, task string) {
		var g *guest
		started := ""
		for _, c := range cases {
			if started != c.handler {
				if g != nil {
					g.command.Process.Kill()
				}
				g, started = start(t, lang, task, handlerOf(c.handler)), c.handler
			}
			o := g.invoke(work{payload: c.payload})
			if got := sorted(o.body); got != c.want || !strings.HasSuffix(o.path, "/response") {
				t.Errorf("%s(%s): got %s %s, want %s", c.handler, c.payload, o.path, got, c.want)
			}
		}
	})
}

// sorted gives an object of JSON with its members in order; other text as it is.
func sorted(body string) string {
	var object map[string]any
	if json.Unmarshal([]byte(body), &object) != nil {
		return body
	}
	return asText(object)
}

func TestAJavaObjectIsBoundAsAWSDoes(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Orders"))
		o := g.invoke(work{payload: `{"customer": "ada", "items": [{"name": "a", "count": 2, "colour": "BLUE"}], "stock": {"RED": [1], "GREEN": []},
			"urgent": "true", "note": "hi", "placed": 1700000000000, "rates": [1, 2.5], "total": 10.10, "skipped": "no",
			"box": {"content": {"count": 4}}, "due": [2024, 2, 29], "at": 1700000000.5, "raw": "AP8=", "tags": ["x", "x"],
			"counts": {"GREEN": 3}, "letter": "q", "none": null, "nobody": {"knows": [1, {"this": null}]}}`})
		want := `{"box":5,"first":"Item","order":{"it":{"URL":"http://ada","at":1700000000.500000000,"box":{"content":{"count":4}},` +
			`"counts":{"GREEN":3},"customer":"ada","due":[2024,2,29],"items":[{"count":2,"name":"a"}],"letter":"q","note":"hi",` +
			`"placed":1700000000000,"rates":[1.0,2.5],"raw":"AP8=","stock":{"GREEN":[],"RED":[1]},"tags":["x"],"total":10.10,"urgent":true}},"stock":"Long"}`
		var got, expected any
		if err := json.Unmarshal([]byte(o.body), &got); err != nil {
			t.Fatalf("%s: %v", o.body, err)
		}
		if err := json.Unmarshal([]byte(want), &expected); err != nil {
			t.Fatal(err)
		}
		if asText(got) != asText(expected) {
			t.Errorf("got  %s\nwant %s", asText(got), asText(expected))
		}
		for _, exact := range []string{`"total":10.10`, `"at":1700000000.500000000`} {
			if !strings.Contains(o.body, exact) {
				t.Errorf("%s is not in %s", exact, o.body)
			}
		}
		for payload, cause := range map[string]string{
			`{"items": [{"count": "many"}]}`: `Cannot read "many" as int (through test.Handlers$Item["count"]) (through test.Handlers$Order["items"])`,
			`[1, 2]`:                         "Cannot read 1 as test.Handlers$Order",
			`{"items": `:                     "unexpected end of the text at position 10 (through test.Handlers$Order[\"items\"])",
			`{} x`:                           "unexpected text after the value at position 3",
			`{"total": 1e}`:                  "'1e' is no number at position 12 (through test.Handlers$Order[\"total\"])",
		} {
			o := g.invoke(work{payload: payload})
			var f struct {
				ErrorMessage, ErrorType string
				Cause                   struct{ ErrorMessage, ErrorType string }
			}
			if err := json.Unmarshal([]byte(o.body), &f); err != nil {
				t.Fatal(err)
			}
			if f.ErrorMessage != "An error occurred during JSON parsing" || f.ErrorType != "java.lang.RuntimeException" || f.Cause.ErrorMessage != cause {
				t.Errorf("%s: got %s, want the cause %s", payload, o.body, cause)
			}
		}
	})
}

func TestAJavaErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	want := recordings(t).Uncaught
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Throws"))
		o := g.invoke(work{payload: `{"msg": "some_error_msg"}`, id: "r-1", attempt: "attempt-9"})
		if recorded, ok := want[lang.identifier]; ok {
			compareMembers(t, o.body, recorded, "stackTrace")
		} else {
			t.Errorf("nothing was recorded for %s", lang.identifier)
		}
		f := o.failure(t)
		// The method, and the one behind it that the compiler made for the interface.
		if len(f.StackTrace) != 2 || !strings.HasPrefix(f.StackTrace[0], "test.Handlers$Throws.handleRequest(Handlers.java:") {
			t.Errorf("stack: %q", f.StackTrace)
		}
		log := "Error: some_error_msg: java.lang.RuntimeException\rjava.lang.RuntimeException: Error: some_error_msg\r\tat " + strings.Join(f.StackTrace, "\r\tat ") + "\r\n"
		if o.logged != log {
			t.Errorf("logged %q\nwant   %q", o.logged, log)
		}
		if got, want := o.path, "/2018-06-01/runtime/invocation/r-1/error"; got != want {
			t.Errorf("posted to %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.UserException"; got != want {
			t.Errorf("type header: got %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-9"; got != want {
			t.Errorf("invocation id: got %s, want %s", got, want)
		}
		o = g.invoke(work{payload: `{}`, id: "r-2"})
		var nested struct {
			ErrorType, ErrorMessage string
			Cause                   failure
		}
		if err := json.Unmarshal([]byte(o.body), &nested); err != nil {
			t.Fatal(err)
		}
		if nested.ErrorType != "java.lang.IllegalStateException" || nested.ErrorMessage != `java.io.IOException: no "good"` ||
			nested.Cause.ErrorType != "java.io.IOException" || nested.Cause.ErrorMessage != `no "good"` || len(nested.Cause.StackTrace) != 2 {
			t.Errorf("got %s", o.body)
		}
	})
}

// TestAJavaHandlerThatIsNotThereFailsItsInvocations checks AWS's texts; the process
// lives on as it does there.
func TestAJavaHandlerThatIsNotThereFailsItsInvocations(t *testing.T) {
	const none = "<none>"
	cases := []struct{ handler, message, kind string }{
		{"test.Nowhere", "Class not found: test.Nowhere", "java.lang.ClassNotFoundException"},
		{"test.Nowhere::handle", "Class not found: test.Nowhere", "java.lang.ClassNotFoundException"},
		{"::x", "Invalid handler: `::x'", none},
		{"", "Invalid handler: `'", none},
		{"test.Handlers::nope", "No public method named nope with appropriate method signature found on class test.Handlers", none},
		{handlerOf("Methods::wrong"), "No public method named wrong with appropriate method signature found on class test.Handlers$Methods", none},
		{"test.Handlers", "Class does not implement an appropriate handler interface: test.Handlers", none},
		{handlerOf("Closed"), "Class test.Handlers$Closed has no public zero-argument constructor", "java.lang.Exception"},
		{handlerOf("Raw"), "Class test.Handlers$Raw does not implement RequestHandler with concrete type parameters: parameter T has no upper bound.", none},
	}
	eachJava(t, func(t *testing.T, lang *language, task string) {
		for _, c := range cases {
			g := start(t, lang, task, c.handler)
			for range 2 {
				o := g.invoke(work{payload: `{}`})
				want := map[string]any{"errorMessage": c.message}
				if c.kind != none {
					want["errorType"] = c.kind
				}
				if got := sorted(o.body); got != asText(want) || !strings.HasSuffix(o.path, "/error") {
					t.Errorf("%s: got %s, want %s", c.handler, got, asText(want))
				}
				if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.BadFunctionCode"; got != want {
					t.Errorf("%s: type header: got %s, want %s", c.handler, got, want)
				}
				if !strings.HasPrefix(o.logged, c.message) {
					t.Errorf("%s: logged %q", c.handler, o.logged)
				}
			}
			g.command.Process.Kill()
		}
	})
}

func TestAJavaClassThatCannotBeLoadedIsAnInitError(t *testing.T) {
	cases := []struct{ handler, message, kind string }{
		{"Broken::handle", "Error loading class test.Handlers$Broken", "java.lang.ExceptionInInitializerError"},
		{"Unmade", "not today", "java.lang.IllegalArgumentException"},
	}
	eachJava(t, func(t *testing.T, lang *language, task string) {
		for _, c := range cases {
			g := start(t, lang, task, handlerOf(c.handler))
			o := g.outcome()
			if got, want := o.path, "/2018-06-01/runtime/init/error"; got != want {
				t.Fatalf("%s: posted to %s, want %s", c.handler, got, want)
			}
			if f := o.failure(t); f.ErrorMessage != c.message || f.ErrorType != c.kind {
				t.Errorf("%s: got %s", c.handler, o.body)
			}
			if !strings.HasPrefix(o.logged, c.message+": "+c.kind+"\r"+c.kind) {
				t.Errorf("%s: logged %q", c.handler, o.logged)
			}
			if got := g.wait(); got != 1 {
				t.Errorf("%s: exit code: got %d, want 1", c.handler, got)
			}
		}
	})
}

func TestJavaEndsAsTheFunctionEndsIt(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Throws::leave"))
		g.api.work <- work{id: "r-1", payload: `7`}
		if got := g.wait(); got != 7 {
			t.Errorf("exit code: got %d, want 7", got)
		}
		if got := g.stdout.String(); got != "last" {
			t.Errorf("printed %q", got)
		}
		// A machine without memory is in no state to go on.
		g = start(t, lang, task, handlerOf("Throws::memory"), "JAVA_TOOL_OPTIONS=-Xmx64m")
		o := g.invoke(work{payload: `""`})
		if f := o.failure(t); f.ErrorType != "java.lang.OutOfMemoryError" || f.ErrorMessage != "Java heap space" {
			t.Errorf("got %s", o.body)
		}
		if got := g.wait(); got != 0 {
			t.Errorf("exit code: got %d, want 0", got)
		}
		// A connection that is gone ends the process.
		g = start(t, lang, task, handlerOf("Echo"))
		g.invoke(work{payload: `{}`})
		g.api.hangUp()
		if got := g.wait(); got != 1 {
			t.Errorf("exit code after the end of the connection: got %d, want 1", got)
		}
	})
}

func TestJavaWhatCannotBeWrittenIsAnError(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Throws::circle"))
		f := g.invoke(work{payload: `""`}).failure(t)
		if f.ErrorMessage != "An error occurred during JSON serialization of response" || f.ErrorType != "java.lang.RuntimeException" {
			t.Errorf("got %+v", f)
		}
		g = start(t, lang, task, handlerOf("Throws::checked"))
		f = g.invoke(work{payload: `""`}).failure(t)
		if f.ErrorMessage != "java.lang.Exception" || f.ErrorType != "java.lang.Exception" || slices.ContainsFunc(f.StackTrace, func(s string) bool { return strings.Contains(s, "kiln.lambda") }) {
			t.Errorf("an error without message: got %+v", f)
		}
	})
}

func TestJavaLogsInTheOrderThatWasPrinted(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, handlerOf("Logs"), "AWS_LAMBDA_LOG_LEVEL=INFO", "LANG=C", "LC_ALL=C")
		o := g.invoke(work{payload: `"€"`, id: "r-1"})
		want := "loading €\nout\nplain\rof two lines\n[WARN] shown\nbytes\nby the runtime\nno end"
		if o.logged != want {
			t.Errorf("logged %q, want %q", o.logged, want)
		}
		if got := g.stderr.String(); got != "err\n" {
			t.Errorf("stderr: %q", got)
		}
		if o.body != `"€"` {
			t.Errorf("got %s", o.body)
		}
		g = start(t, lang, task, handlerOf("Logs"), "AWS_LAMBDA_LOG_LEVEL=INFO", "AWS_LAMBDA_LOG_FORMAT=JSON")
		o = g.invoke(work{payload: `""`, id: "r-1", tenant: "blue"})
		lines := strings.Split(o.logged, "\n")
		got := timestamp.ReplaceAllString(lines[2], "TIME")
		if want := `{"timestamp":"TIME","message":"plain\nof two lines","level":"UNDEFINED","AWSRequestId":"r-1","tenantId":"blue"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		got = timestamp.ReplaceAllString(lines[3], "TIME")
		if want := `{"timestamp":"TIME","message":"shown","level":"WARN","AWSRequestId":"r-1","tenantId":"blue"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestJavaFramesKeepTheBoundariesOfMessages(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		for format, kinds := range map[string][2]uint32{"Text": {0xa55a0003, 0xa55a0013}, "JSON": {0xa55a0001, 0xa55a0011}} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			g := startWith(t, lang, task, handlerOf("Logs"), []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3", "AWS_LAMBDA_LOG_FORMAT="+format)
			w.Close()
			if got := g.invoke(work{payload: `""`, id: "r"}).logged; got != "loading €\nout\nno end" {
				t.Errorf("the standard output has %q", got)
			}
			first, second := readFrame(t, r, kinds[0]), readFrame(t, r, kinds[1])
			if format == "Text" && (first != "plain\nof two lines" || second != "[WARN] shown") {
				t.Errorf("got %q and %q", first, second)
			}
			if format == "JSON" && (!strings.Contains(first, `"message":"plain\nof two lines"`) || !strings.Contains(second, `"level":"WARN"`)) {
				t.Errorf("got %q and %q", first, second)
			}
		}
	})
}

func TestAJavaContextIsTheRecordedOne(t *testing.T) {
	recorded := recordings(t).Introspection
	eachJava(t, func(t *testing.T, lang *language, task string) {
		want, ok := recorded[lang.identifier]
		if !ok {
			t.Fatalf("nothing was recorded for %s", lang.identifier)
		}
		g := start(t, lang, task, handlerOf("Introspection"))
		o := g.invoke(work{payload: `{}`, trace: "Root=1-2;Sampled=1", tenant: "blue",
			client: `{"client": {"app_title": "t"}, "custom": {"a": "b", "n": {"x": 1}}, "env": {"platform": "Android"}}`})
		var all struct {
			Context     map[string]any    `json:"ctx"`
			Environment map[string]string `json:"environment"`
			More        map[string]any    `json:"more"`
		}
		if err := json.Unmarshal([]byte(o.body), &all); err != nil {
			t.Fatalf("%s: %v", o.body, err)
		}
		compareMembers(t, asText(all.Context), want.Context, "aws_request_id", "function_name", "invoked_function_arn",
			"log_group_name", "log_stream_name", "remaining_time_in_millis")
		if left, _ := all.Context["remaining_time_in_millis"].(float64); left <= 0 || left > 60000 {
			t.Errorf("remaining time: %v", all.Context["remaining_time_in_millis"])
		}
		more := map[string]any{
			"app": "t", "custom": map[string]any{"a": "b", "n": `{"x":1}`}, "encoding": "UTF-8", "env": map[string]any{"platform": "Android"},
			"property": "Root=1-2;Sampled=1", "tenant": "blue", "trace": "Root=1-2;Sampled=1",
		}
		if _, ok := want.Environment["_X_AMZN_TRACE_ID"]; ok {
			more["variable"] = "Root=1-2;Sampled=1"
		}
		if got := asText(all.More); got != asText(more) {
			t.Errorf("got %s, want %s", got, asText(more))
		}
		for name := range all.Environment {
			if _, ok := want.Environment[name]; !ok && name != "HOME" {
				t.Errorf("the variable %s is not in the recording", name)
			}
		}
		o = g.invoke(work{payload: `{}`})
		if strings.Contains(o.body, "Root=1-2") || strings.Contains(o.body, `"custom"`) {
			t.Errorf("what came with the invocation before is still there: %s", o.body)
		}
	})
}

func TestJavaTakesJarsOfTheLibFolderInTheOrderOfTheirNames(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "a place"), os.DirFS(task)); err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(dir, "a place")
		if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"b.jar", "a.jar", "c.txt"} {
			write(t, filepath.Join(dir, "lib", name), string(pack(t, folder(t, "note.txt", name), "")))
		}
		write(t, filepath.Join(dir, "note.txt"), "own")
		o := start(t, lang, dir, handlerOf("Resources")).invoke(work{payload: `"note.txt"`})
		var places []string
		if err := json.Unmarshal([]byte(o.body), &places); err != nil {
			t.Fatalf("%s: %v", o.body, err)
		}
		if len(places) != 3 || !strings.HasSuffix(places[0], "/a%20place/note.txt") || !strings.HasSuffix(places[1], "/lib/a.jar!/note.txt") || !strings.HasSuffix(places[2], "/lib/b.jar!/note.txt") {
			t.Errorf("got %q", places)
		}
	})
}

func TestAJavaFunctionMayBringItsOwnSerializer(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(task)); err != nil {
			t.Fatal(err)
		}
		service := filepath.Join(dir, "META-INF/services/com.amazonaws.services.lambda.runtime.CustomPojoSerializer")
		if err := os.MkdirAll(filepath.Dir(service), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, service, "test.Own\n")
		o := start(t, lang, dir, handlerOf("Text")).invoke(work{payload: `"x"`})
		if want := "own:gnirtS.gnal.avaj sa daer"; o.body != want {
			t.Errorf("got %s, want %s", o.body, want)
		}
	})
}
