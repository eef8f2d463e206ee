package runtimes_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const (
	nb        = "\u00a0" // the no-break space of traces
	runtimeID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
)

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

// failure is the error that a bootstrap posted.
type failure struct {
	ErrorMessage string
	ErrorType    string
	RequestID    *string `json:"requestId"`
	StackTrace   []string
	Trace        []string
}

func (o outcome) failure(t *testing.T) failure {
	t.Helper()
	var f failure
	if err := json.Unmarshal([]byte(o.body), &f); err != nil {
		t.Fatalf("%s: %v", o.body, err)
	}
	return f
}

func TestAPythonHandlerEchoesItsEvent(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "def handler(event, context):\n    return event\n")
		g := start(t, lang, dir, "app.handler")
		for range 3 {
			o := g.invoke(work{payload: `[{"a": [1, 2.5, null, true]}, "b", -3e2, {}]`, attempt: "attempt-1"})
			if got, want := o.path, "/2018-06-01/runtime/invocation/"+runtimeID+"/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `[{"a": [1, 2.5, null, true]}, "b", -300.0, {}]`; got != want {
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
		if got := g.stdout.String() + g.stderr.String(); got != "" {
			t.Errorf("wrote %q", got)
		}
	})
}

func TestAPythonErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "def handler(event, context):\n    inner()\n\ndef inner():\n    raise ValueError('no \"good\"\\nat all')\n")
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{}`, id: "r-1", attempt: "attempt-9"})
		f := o.failure(t)
		if f.ErrorType != "ValueError" || f.ErrorMessage != "no \"good\"\nat all" {
			t.Errorf("got %s", o.body)
		}
		if got, want := f.RequestID != nil, lang.atLeast(3, 9); got != want || want && *f.RequestID != "r-1" {
			t.Errorf("request id: got %v in %s", got, o.body)
		}
		stack := "  File \"" + dir + "/app.py\", line 2, in handler\n    inner()\n|" +
			"  File \"" + dir + "/app.py\", line 5, in inner\n    raise ValueError('no \"good\"\\nat all')\n"
		if got := strings.Join(f.StackTrace, "|"); got != stack {
			t.Errorf("stack: got %q, want %q", got, stack)
		}
		line := "[ERROR] ValueError: no \"good\"\rat all\rTraceback (most recent call last):\r" +
			nb + nb + "File \"" + dir + "/app.py\", line 2, in handler\r" + nb + nb + nb + nb + "inner()\r" +
			nb + nb + "File \"" + dir + "/app.py\", line 5, in inner\r" + nb + nb + nb + nb + "raise ValueError('no \"good\"\\nat all')\n"
		if o.logged != line {
			t.Errorf("logged %q\nwant   %q", o.logged, line)
		}
		if got, want := o.path, "/2018-06-01/runtime/invocation/r-1/error"; got != want {
			t.Errorf("posted to %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "ValueError"; got != want {
			t.Errorf("type header: got %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-9"; got != want {
			t.Errorf("invocation id: got %s, want %s", got, want)
		}
		if got := g.invoke(work{payload: `{}`, id: "r-2"}).path; !strings.HasSuffix(got, "/r-2/error") {
			t.Errorf("the process did not live on: %s", got)
		}
	})
}

// TestPythonWhatCannotBeLoadedIsAnInitError checks the texts of AWS, byte by byte.
func TestPythonWhatCannotBeLoadedIsAnInitError(t *testing.T) {
	cases := []struct {
		name, file, text, handler, kind, message string
		old                                      string // message of Python 2
	}{
		{name: "no module", handler: "nothere.handler", kind: "Runtime.ImportModuleError",
			message: "Unable to import module 'nothere': No module named 'nothere'",
			old:     "Unable to import module 'nothere': No module named nothere"},
		{name: "no dependency", file: "app.py", text: "import requestz\n", handler: "app.handler", kind: "Runtime.ImportModuleError",
			message: "Unable to import module 'app': No module named 'requestz'",
			old:     "Unable to import module 'app': No module named requestz"},
		{name: "no name in a module", file: "app.py", text: "from json import nope\n", handler: "app.handler", kind: "Runtime.ImportModuleError",
			message: "Unable to import module 'app': cannot import name 'nope'",
			old:     "Unable to import module 'app': cannot import name nope"},
		{name: "no handler", file: "app.py", text: "x = 1\n", handler: "app.handler", kind: "Runtime.HandlerNotFound",
			message: "Handler 'handler' missing on module 'app'"},
		{name: "no dot", file: "app.py", text: "x = 1\n", handler: "app", kind: "Runtime.MalformedHandlerName",
			message: "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
			old:     "Bad handler 'app': need more than 1 value to unpack"},
		{name: "nothing", handler: "", kind: "Runtime.MalformedHandlerName",
			message: "Bad handler '': not enough values to unpack (expected 2, got 1)",
			old:     "Bad handler '': need more than 1 value to unpack"},
		{name: "built in", handler: "sys.exit", kind: "Runtime.BuiltInModuleConflict",
			message: "Cannot use built-in module sys as a handler module"},
		{name: "exception", file: "app.py", text: "1/0\n", handler: "app.handler", kind: "ZeroDivisionError",
			message: "division by zero", old: "integer division or modulo by zero"},
	}
	each(t, "python", func(t *testing.T, lang *language) {
		for _, c := range cases {
			dir := folder(t)
			if c.file != "" {
				dir = folder(t, c.file, c.text)
			}
			g := start(t, lang, dir, c.handler)
			o := g.outcome()
			if got, want := o.path, "/2018-06-01/runtime/init/error"; got != want {
				t.Fatalf("%s: posted to %s, want %s", c.name, got, want)
			}
			want := c.message
			if c.old != "" && !lang.atLeast(3, 0) {
				want = c.old
			}
			f := o.failure(t)
			// Since 3.8 Python says from where a name could not be imported.
			if got, _, _ := strings.Cut(f.ErrorMessage, " from 'json'"); got != want || f.ErrorType != c.kind {
				t.Errorf("%s: got %s %q, want %s %q", c.name, f.ErrorType, f.ErrorMessage, c.kind, want)
			}
			if got := o.headers.Get("Lambda-Runtime-Function-Error-Type"); got != c.kind {
				t.Errorf("%s: type header: got %s, want %s", c.name, got, c.kind)
			}
			if got, want := o.logged, "[ERROR] "+c.kind+": "+f.ErrorMessage+"\rTraceback (most recent call last):"; !strings.HasPrefix(got, want) {
				t.Errorf("%s: logged %q, want %q", c.name, got, want)
			}
			if got := g.wait(); got != 1 {
				t.Errorf("%s: exit code: got %d, want 1", c.name, got)
			}
		}
	})
}

func TestPythonASyntaxErrorNamesFileAndLine(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "def handler(event, context):\n    return event ]\n")
		g := start(t, lang, dir, "app.handler")
		f := g.outcome().failure(t)
		if f.ErrorType != "Runtime.UserCodeSyntaxError" || !strings.HasPrefix(f.ErrorMessage, "Syntax error in module 'app': ") ||
			!strings.HasSuffix(f.ErrorMessage, " (app.py, line 2)") {
			t.Errorf("got %s %q", f.ErrorType, f.ErrorMessage)
		}
		// Since 3.8 the text of the line comes without its end.
		if got, want := strings.TrimSuffix(strings.Join(f.StackTrace, "|"), "\n"), "  File \""+dir+"/app.py\" Line 2\n        return event ]"; got != want {
			t.Errorf("stack: got %q, want %q", got, want)
		}
	})
}

func TestPythonAnExitWhileLoadingPostsNothing(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "print('bye')\nraise SystemExit(7)\n"), "app.handler")
		if got := g.wait(); got != 7 {
			t.Errorf("exit code: got %d, want 7", got)
		}
		if got, want := g.stdout.String(), "bye\n"; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	})
}

func TestPythonAnExitInTheHandlerEndsTheProcess(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		for call, want := range map[string]int{"sys.exit(3)": 3, "exit(4)": 4, "quit()": 0, "os._exit(5)": 5} {
			g := start(t, lang, folder(t, "app.py", "import os, sys\ndef handler(event, context):\n    print('last')\n    "+call+"\n"), "app.handler")
			g.api.work <- work{id: "r-1", payload: `{}`}
			if got := g.wait(); got != want {
				t.Errorf("%s: exit code: got %d, want %d: %s", call, got, want, g.stderr)
			}
			if got := g.stdout.String(); got != "last\n" {
				t.Errorf("%s: printed %q", call, got)
			}
		}
	})
}

func TestPythonHandlersInFoldersAndPackages(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t,
			"api/__init__.py", "",
			"api/users.py", "from .names import NAME\ndef get(event, context):\n    return NAME\n",
			"api/names.py", "NAME = 'ada'\n")
		for _, handler := range []string{"api/users.get", "api.users.get"} {
			g := start(t, lang, dir, handler)
			if got, want := g.invoke(work{payload: `{}`}).body, `"ada"`; got != want {
				t.Errorf("%s: got %s, want %s", handler, got, want)
			}
		}
	})
}

func TestAPythonAnswerIsWrittenAsAWSWritesIt(t *testing.T) {
	type expectation struct{ code, want, kind, old string }
	cases := []expectation{
		{code: `None`, want: `null`},
		{code: `{1: "a"}`, want: `{"1": "a"}`},
		{code: `[1.0, float("nan"), float("inf")]`, want: `[1.0, NaN, Infinity]`},
		{code: `u"\u20ac\u2028"`, want: "\"\\u20ac\\u2028\""},
		{code: `(1, [2])`, want: `[1, [2]]`},
		{code: `1 << 70`, want: `1180591620717411303424`},
		{code: `[decimal.Decimal("1.10"), decimal.Decimal("NaN")]`, want: `[1.10, NaN]`, old: `[1.1, NaN]`},
		{code: `point(1, {"b": point(2, 3)})`, want: `{"x": 1, "y": {"b": {"x": 2, "y": 3}}}`, old: `[1, {"b": [2, 3]}]`},
		{code: `set([1])`, want: "Unable to marshal response: Object of type set is not JSON serializable", kind: "Runtime.MarshalError",
			old: "Unable to marshal response: set([1]) is not JSON serializable"},
		{code: `circle()`, want: "Unable to marshal response: Circular reference detected", kind: "Runtime.MarshalError"},
	}
	each(t, "python", func(t *testing.T, lang *language) {
		for _, c := range cases {
			dir := folder(t, "app.py", "import collections, decimal\npoint = collections.namedtuple('point', 'x y')\n"+
				"def circle():\n    c = []\n    c.append(c)\n    return c\n"+
				"def handler(event, context):\n    return "+c.code+"\n")
			o := start(t, lang, dir, "app.handler").invoke(work{payload: `{}`})
			want := c.want
			switch {
			case c.old != "" && c.kind == "" && !lang.atLeast(3, 8), c.old != "" && c.kind != "" && !lang.atLeast(3, 0):
				want = c.old
			case lang.atLeast(3, 12):
				want = strings.NewReplacer(`\u20ac`, "\u20ac", `\u2028`, "\u2028").Replace(want)
			}
			got := o.body
			if c.kind != "" {
				f := o.failure(t)
				got = f.ErrorMessage
				if f.ErrorType != c.kind || len(f.StackTrace) != 0 {
					t.Errorf("%s: got %s", c.code, o.body)
				}
			}
			if got != want {
				t.Errorf("%s: got %s, want %s", c.code, got, want)
			}
		}
	})
}

func TestPythonBytesAreAnAnswerOfTheirOwn(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		if !lang.atLeast(3, 0) {
			return // there text and bytes are one
		}
		dir := folder(t, "app.py", "def handler(event, context):\n    return b'\\x00\\xff' if event else {'a': b'x\\xc3\\xa9'}\n")
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `1`})
		if o.body != "\x00\xff" || o.headers.Get("Content-Type") != "application/unknown" {
			t.Errorf("got %q of type %s", o.body, o.headers.Get("Content-Type"))
		}
		o = g.invoke(work{payload: `0`})
		want := `{"a": "x\u00e9"}`
		if lang.atLeast(3, 12) {
			want = `{"a": "xé"}`
		}
		if lang.atLeast(3, 8) {
			if o.body != want {
				t.Errorf("bytes inside: got %s, want %s", o.body, want)
			}
		} else if f := o.failure(t); f.ErrorType != "Runtime.MarshalError" {
			t.Errorf("bytes inside: got %s", o.body)
		}
	})
}

func TestPythonAnEventThatIsNotJSON(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    return event\n"), "app.handler")
		for _, payload := range []string{`{"a":`, `nope`, `{} {}`, "\"\xff\""} {
			f := g.invoke(work{payload: payload}).failure(t)
			if f.ErrorType != "Runtime.UnmarshalError" || !strings.HasPrefix(f.ErrorMessage, "Unable to unmarshal input: ") {
				t.Errorf("%s: got %s %q", payload, f.ErrorType, f.ErrorMessage)
			}
			if lang.atLeast(3, 0) && payload == "nope" && f.ErrorMessage != "Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)" {
				t.Errorf("%s: got %q", payload, f.ErrorMessage)
			}
		}
		if got := g.invoke(work{payload: " \n{\"a\": 1}\t"}).body; got != `{"a": 1}` {
			t.Errorf("after them: got %s", got)
		}
	})
}
