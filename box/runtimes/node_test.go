package runtimes_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestANodeHandlerEchoesItsEvent(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", "exports.handler = async (event) => event;\n")
		g := start(t, lang, dir, "app.handler")
		for range 3 {
			o := g.invoke(work{payload: `{"a":[1,2.5,null,true],"b":{"c":"dé"}}`, attempt: "attempt-1"})
			if got, want := o.path, "/2018-06-01/runtime/invocation/"+runtimeID+"/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `{"a":[1,2.5,null,true],"b":{"c":"dé"}}`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-1"; got != want {
				t.Errorf("invocation id: got %q, want %q", got, want)
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

// old reports whether the language has the callbacks that Node.js 24 dropped.
func (l *language) old() bool { return !l.atLeast(24, 0) }

// TestNodeProgrammingModels checks what each way to write a handler answers.
func TestNodeProgrammingModels(t *testing.T) {
	cases := []struct{ name, code, want, since24 string }{
		{"async", `async () => 1`, `1`, ``},
		{"promise", `() => new Promise((resolve) => setTimeout(() => resolve('late'), 20))`, `"late"`, ``},
		{"async undefined", `async () => {}`, `null`, ``},
		{"returned value", `() => 'x'`, `null`, `"x"`},
		{"callback", `(event, context, callback) => callback(null, {a: 1})`, `{"a":1}`, `-`},
		{"callback waits for the event loop", `(event, context, callback) => { const answer = []; setTimeout(() => answer.push('timer'), 20); callback(null, answer); }`, `["timer"]`, `-`},
		{"callback that does not wait", `(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; const answer = []; setTimeout(() => answer.push('timer'), 20); callback(null, answer); }`, `[]`, `-`},
		{"only the first callback counts", `(event, context, callback) => { callback(null, 1); callback(null, 2); context.succeed(3); }`, `1`, `-`},
		{"no callback called", `(event, context, callback) => { setTimeout(() => {}, 10); }`, `null`, `-`},
		{"succeed", `(event, context) => { context.succeed('s'); }`, `"s"`, `null!`},
		{"done", `(event, context) => { context.done(null, 'd'); }`, `"d"`, `null!`},
		{"a thenable", `() => ({ then(resolve) { resolve('t'); } })`, `"t"`, ``},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			g := start(t, lang, folder(t, "app.js", "exports.handler = "+c.code+";\n"), "app.handler")
			want := c.want
			if !lang.old() && c.since24 != "" {
				want = c.since24
			}
			switch want {
			case "-": // refused while loading
				f := g.outcome().failure(t)
				if f.ErrorType != "Runtime.CallbackHandlerDeprecated" || !strings.HasPrefix(f.ErrorMessage, "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ") {
					t.Errorf("%s: got %+v", c.name, f)
				}
			case "null!": // those methods are gone
				if f := g.invoke(work{payload: `{}`}).failure(t); f.ErrorType != "TypeError" {
					t.Errorf("%s: got %+v", c.name, f)
				}
			default:
				for range 2 {
					if got := g.invoke(work{payload: `{}`}).body; got != want {
						t.Errorf("%s: got %s, want %s", c.name, got, want)
					}
				}
			}
		}
	})
}

func TestNodeErrorsOfHandlers(t *testing.T) {
	cases := []struct{ name, code, kind, message string }{
		{"thrown", `async () => { throw new TypeError('no'); }`, "TypeError", "no"},
		{"thrown at once", `() => { throw new Error('now'); }`, "Error", "now"},
		{"own class", `async () => { class Mine extends Error { constructor(m) { super(m); this.name = 'Mine'; } } throw new Mine('own'); }`, "Mine", "own"},
		{"string", `async () => { throw 'text'; }`, "string", "text"},
		{"number", `async () => { throw 42; }`, "number", "42"},
		{"object", `async () => { throw {a: 1}; }`, "object", "[object Object]"},
		{"circle", `async () => { const a = {}; a.a = a; return a; }`, "Error", "Unable to stringify response body"},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			g := start(t, lang, folder(t, "app.js", "exports.handler = "+c.code+";\n"), "app.handler")
			for range 2 { // the process lives on
				o := g.invoke(work{payload: `{}`, id: "r-1"})
				f := o.failure(t)
				if f.ErrorType != c.kind || f.ErrorMessage != c.message || o.path != "/2018-06-01/runtime/invocation/r-1/error" {
					t.Errorf("%s: got %s %q at %s", c.name, f.ErrorType, f.ErrorMessage, o.path)
				}
				if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), c.kind; got != want {
					t.Errorf("%s: type header: got %s, want %s", c.name, got, want)
				}
			}
		}
	})
}

func TestANodeErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", "exports.handler = async () => { const e = new RangeError('too \"far\"\\nout'); e.code = 'E_FAR'; e.more = [1]; throw e; };\n")
		o := start(t, lang, dir, "app.handler").invoke(work{payload: `{}`, id: "r-1"})
		f := o.failure(t)
		if !strings.HasPrefix(o.body, `{"errorType":"RangeError","errorMessage":"too \"far\"\nout","trace":["RangeError: too \"far\"","out","    at `) {
			t.Errorf("got %s", o.body)
		}
		if got, want := f.Trace[2], "("+dir+"/app.js:1:"; !strings.Contains(got, want) && !strings.Contains(got, dir+"/app.js:1:") {
			t.Errorf("the trace does not begin with the function: %s", got)
		}
		want := "TIME\tr-1\tERROR\tInvoke Error \t{\"errorType\":\"RangeError\",\"errorMessage\":\"too \\\"far\\\"\\nout\",\"code\":\"E_FAR\",\"more\":[1],\"stack\":[\"RangeError: too \\\"far\\\"\",\"out\",\"    at "
		if got := timestamp.ReplaceAllString(o.logged, "TIME"); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("logged %q\nwant   %q", got, want)
		}
	})
}

func TestNodeWhatNobodyCaughtIsPostedAndEndsTheProcess(t *testing.T) {
	cases := []struct {
		name, code, kind, message, title string
		exit                             int
	}{
		{"rejection", `async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 10000)); }`,
			"Runtime.UnhandledPromiseRejection", "Error: lost", "Unhandled Promise Rejection", 128},
		{"rejection with text", `async () => { Promise.reject('words'); await new Promise((r) => setTimeout(r, 10000)); }`,
			"Runtime.UnhandledPromiseRejection", "words", "Unhandled Promise Rejection", 128},
		{"exception", `async () => { setTimeout(() => { throw new RangeError('thrown'); }, 1); await new Promise((r) => setTimeout(r, 10000)); }`,
			"RangeError", "thrown", "Uncaught Exception", 129},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			g := start(t, lang, folder(t, "app.js", "exports.handler = "+c.code+";\n"), "app.handler")
			o := g.invoke(work{payload: `{}`, id: "r-1", attempt: "a"})
			f := o.failure(t)
			if f.ErrorType != c.kind || f.ErrorMessage != c.message || o.path != "/2018-06-01/runtime/invocation/r-1/error" {
				t.Errorf("%s: got %s %q at %s", c.name, f.ErrorType, f.ErrorMessage, o.path)
			}
			if got, want := timestamp.ReplaceAllString(o.logged, "TIME"), "TIME\tr-1\tERROR\t"+c.title+" \t{\"errorType\":\""+c.kind+"\",\"errorMessage\":\""+c.message+"\""; !strings.HasPrefix(got, want) {
				t.Errorf("%s: logged %q, want %q", c.name, got, want)
			}
			if got := g.wait(); got != c.exit {
				t.Errorf("%s: exit code: got %d, want %d", c.name, got, c.exit)
			}
		}
	})
}

func TestNodeARejectionBetweenInvocationsEndsTheProcessAndBlamesNone(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async () => { setTimeout(() => Promise.reject(new Error('late')), 30); return 1; };\n"), "app.handler")
		if got := g.invoke(work{payload: `{}`}).body; got != "1" {
			t.Errorf("got %s, want 1", got)
		}
		if got := g.wait(); got != 128 {
			t.Errorf("exit code: got %d, want 128", got)
		}
		if !strings.Contains(g.stdout.String(), "Unhandled Promise Rejection") {
			t.Errorf("logged %q", g.stdout)
		}
	})
}

func TestNodeAPromiseThatNeverSettles(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async (event) => { if (event) await new Promise(() => {}); return 'ok'; };\n"), "app.handler")
		f := g.invoke(work{payload: `1`}).failure(t)
		if f.ErrorType != "Runtime.NodeJsExit" || !strings.HasPrefix(f.ErrorMessage, "The Lambda runtime client detected an unexpected Node.js exit code.") {
			t.Errorf("got %+v", f)
		}
		if got := g.invoke(work{payload: `0`}).body; got != `"ok"` {
			t.Errorf("the process did not live on: %s", got)
		}
	})
}

func TestNodeWhatCannotBeLoadedIsAnInitError(t *testing.T) {
	cases := []struct{ name, file, text, handler, kind, message string }{
		{"no module", "", "", "nothere.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nothere'\nRequire stack:\n- RUNTIME/kiln/load.js\n- RUNTIME/bootstrap.js"},
		{"no dependency", "app.js", "require('lodahs');", "app.handler", "Runtime.ImportModuleError",
			"Error: Cannot find module 'lodahs'\nRequire stack:\n- TASK/app.js\n- RUNTIME/kiln/load.js\n- RUNTIME/bootstrap.js"},
		{"no handler", "app.js", "exports.other = 1;", "app.handler", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"},
		{"no function", "app.js", "exports.handler = 1;", "app.handler", "Runtime.HandlerNotFound", "app.handler is not a function"},
		{"no dot", "", "", "app", "Runtime.MalformedHandlerName", "Bad handler"},
		{"way up", "", "", "../app.handler", "Runtime.MalformedHandlerName",
			"'../app.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."},
		{"syntax", "app.js", "exports.handler = async ( => {};", "app.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token"},
		{"exception", "app.js", "throw new RangeError('init');", "app.handler", "RangeError", "init"},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
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
			f := o.failure(t)
			want := strings.NewReplacer("RUNTIME", lang.runtimeDir, "TASK", dir).Replace(c.message)
			if !lang.atLeast(12, 0) { // require stacks came with Node.js 12
				want, _, _ = strings.Cut(want, "\nRequire stack")
			}
			matches := f.ErrorMessage == want || c.name == "syntax" && strings.HasPrefix(f.ErrorMessage, want)
			if f.ErrorType != c.kind || !matches {
				t.Errorf("%s: got %s %q, want %s %q", c.name, f.ErrorType, f.ErrorMessage, c.kind, want)
			}
			if got := o.headers.Get("Lambda-Runtime-Function-Error-Type"); got != c.kind {
				t.Errorf("%s: type header: got %s, want %s", c.name, got, c.kind)
			}
			if got := timestamp.ReplaceAllString(o.logged, "TIME"); !strings.HasPrefix(got, "TIME\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\""+c.kind+"\"") {
				t.Errorf("%s: logged %q", c.name, got)
			}
			if got := g.wait(); got != 129 {
				t.Errorf("%s: exit code: got %d, want 129", c.name, got)
			}
		}
	})
}

func TestNodeFindsHandlersOfEveryKindOfFile(t *testing.T) {
	cases := []struct {
		name, handler string
		since         [2]int
		files         []string
	}{
		{"folder", "src/api/app.handler", [2]int{}, []string{"src/api/app.js", "exports.handler = async () => 'ok';"}},
		{"nested export", "app.a.b.handler", [2]int{}, []string{"app.js", "exports.a = {b: {handler: async () => 'ok'}};"}},
		{"cjs", "app.handler", [2]int{}, []string{"app.cjs", "exports.handler = async () => 'ok';"}},
		{"index of a folder", "lib.handler", [2]int{}, []string{"lib/index.js", "exports.handler = async () => 'ok';"}},
		{"dependency", "app.handler", [2]int{}, []string{
			"app.js", "const dep = require('dep'); exports.handler = async () => dep.say();",
			"node_modules/dep/package.json", `{"name": "dep", "main": "lib/main.js"}`,
			"node_modules/dep/lib/main.js", "exports.say = () => 'ok';"}},
		{"mjs", "app.handler", [2]int{14, 0}, []string{"app.mjs", "export const handler = async () => 'ok';"}},
		{"type module", "app.handler", [2]int{14, 0}, []string{
			"app.js", "import { say } from 'dep'; import { readFileSync } from 'fs'; export const handler = async () => readFileSync ? say() : 0;",
			"package.json", `{"type": "module"}`,
			"node_modules/dep/package.json", `{"name": "dep", "type": "module", "exports": "./main.js"}`,
			"node_modules/dep/main.js", "export const say = () => 'ok';"}},
		{"top-level await", "src/app.handler", [2]int{16, 0}, []string{
			"src/app.mjs", "const word = await new Promise((r) => setTimeout(() => r('ok'), 20)); export const handler = async () => word;"}},
		{"odd names", "a b#c/app.handler", [2]int{14, 0}, []string{"a b#c/app.mjs", "export const handler = async () => 'ok';"}},
		{"typescript", "app.handler", [2]int{24, 0}, []string{"app.ts", "const word: string = 'ok'; exports.handler = async (): Promise<string> => word;"}},
	}
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, c := range cases {
			if !lang.atLeast(c.since[0], c.since[1]) {
				continue
			}
			o := start(t, lang, folder(t, c.files...), c.handler).invoke(work{payload: `{}`})
			if o.body != `"ok"` {
				t.Errorf("%s: got %s", c.name, o.body)
			}
		}
	})
}

func TestNodeConsoleLinesAreAWSLines(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", `
console.log('early');
exports.handler = async () => {
  console.log('hello %s', 'you', {a: 1});
  console.info('two\nlines');
  console.warn('w');
  console.error('e', 'é');
  console.debug('d');
  console.trace('t');
  process.stdout.write('raw\n');
  process.stderr.write('err\n');
  console.log('last');
};
`)
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{}`, id: "r-1"})
		want := "TIME\tundefined\tINFO\tearly\n" +
			"TIME\tr-1\tINFO\thello you { a: 1 }\nTIME\tr-1\tINFO\ttwo\rlines\nTIME\tr-1\tWARN\tw\n" +
			"TIME\tr-1\tERROR\te é\nTIME\tr-1\tDEBUG\td\nTIME\tr-1\tTRACE\tt\nraw\nTIME\tr-1\tINFO\tlast\n"
		if got := timestamp.ReplaceAllString(o.logged, "TIME"); got != want {
			t.Errorf("logged %q\nwant   %q", got, want)
		}
		if got := g.stderr.String(); got != "err\n" {
			t.Errorf("stderr: %q", got)
		}
	})
}

func TestNodeTheLevelOfTheFunctionFiltersTheConsole(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", "exports.handler = async () => { console.log('i'); console.warn('w'); };\n")
		o := start(t, lang, dir, "app.handler", "AWS_LAMBDA_LOG_LEVEL=WARN").invoke(work{payload: `{}`, id: "r"})
		if got, want := timestamp.ReplaceAllString(o.logged, "TIME"), "TIME\tr\tWARN\tw\n"; got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}

func TestNodeFramesKeepTheBoundariesOfMessages(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", "exports.handler = async () => { console.error('two\\nlines'); };\n")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		g := startWith(t, lang, dir, "app.handler", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3")
		w.Close()
		if got := g.invoke(work{payload: `{}`, id: "r"}).logged; got != "" {
			t.Errorf("the standard output has %q", got)
		}
		if got, want := timestamp.ReplaceAllString(readFrame(t, r, 0xa55a0017), "TIME"), "TIME\tr\tERROR\ttwo\nlines\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestNodeTheContextIsWhole(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", `
exports.handler = async (event, context) => [
  context.awsRequestId, context.functionName, context.functionVersion, context.invokedFunctionArn,
  context.memoryLimitInMB, context.logGroupName, context.logStreamName, context.tenantId,
  context.clientContext, context.identity === undefined, process.env._X_AMZN_TRACE_ID,
  context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 5000,
];
`)
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{
			payload: `{}`, id: "r-1", arn: "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
			trace: "Root=1-2-3", tenant: "blue", client: `{"custom":{"k":"v"}}`, deadline: time.Now().Add(5 * time.Second),
		})
		want := `["r-1","fn","$LATEST","arn:aws:lambda:us-east-1:123456789012:function:fn:live","1024","/aws/lambda/fn",` +
			`"2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef","blue",{"custom":{"k":"v"}},true,"Root=1-2-3",true]`
		if o.body != want {
			t.Errorf("got  %s\nwant %s", o.body, want)
		}
		if got := g.invoke(work{payload: `{}`, id: "r-2"}).body; !strings.Contains(got, `"r-2"`) || strings.Contains(got, "Root=") {
			t.Errorf("the second one has the first one's: %s", got)
		}
	})
}

func TestNodeTheContextAsRecorded(t *testing.T) {
	recorded := recordings(t)
	each(t, "nodejs", func(t *testing.T, lang *language) {
		want, ok := recorded.Introspection[lang.identifier]
		if !ok {
			return // no recording of this one
		}
		dir := folder(t, "index.js", `
exports.handler = async (event, context) => ({
  function_name: context.functionName, function_version: context.functionVersion,
  invoked_function_arn: context.invokedFunctionArn, memory_limit_in_mb: context.memory_limit_in_mb,
  aws_request_id: context.awsRequestId, log_group_name: context.logGroupName,
  log_stream_name: context.logStreamName, remaining_time_in_millis: context.getRemainingTimeInMillis(),
});
`)
		o := start(t, lang, dir, "index.handler").invoke(work{payload: `{}`, id: "<uuid:2>",
			arn: "arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>"})
		compareMembers(t, o.body, want.Context, "function_name", "log_group_name", "log_stream_name", "remaining_time_in_millis")
		raised := folder(t, "index.js", "exports.handler = async (event) => { throw new Error('Error: ' + event.error_msg); };\n")
		o = start(t, lang, raised, "index.handler").invoke(work{payload: `{"error_msg": "some_error_msg"}`})
		compareMembers(t, o.body, recorded.Uncaught[lang.identifier], "trace")
	})
}

func TestNodeALargePayloadGoesThereAndBack(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async (event) => event;\n"), "app.handler")
		payload := `"` + strings.Repeat("0123456789abcdé", 6291456/16-1) + `"`
		for range 2 {
			if o := g.invoke(work{payload: payload}); o.body != payload {
				t.Fatalf("got %d bytes, want %d", len(o.body), len(payload))
			}
		}
	})
}

func TestNodeReadsAnAnswerInChunks(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async (event) => event;\n"), "app.handler")
		for range 2 {
			if got, want := g.invoke(work{payload: `["some text in chunks"]`, chunked: true}).body, `["some text in chunks"]`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestNodeARefusedAnswerDoesNotEndTheRuntime(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async (event) => event;\n"), "app.handler")
		g.api.status = "413 Request Entity Too Large"
		for _, payload := range []string{"1", "2", "3"} {
			if got := g.invoke(work{payload: payload}).body; got != payload {
				t.Errorf("got %s, want %s", got, payload)
			}
		}
	})
}

func TestNodeEndsWhenTheRuntimeAPIDoes(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.js", "exports.handler = async (event) => event;\n"), "app.handler")
		g.invoke(work{payload: "1"})
		g.api.hangUp()
		if got := g.wait(); got != 1 {
			t.Errorf("exit code: got %d, want 1", got)
		}
	})
}

func TestNodeAnExitInTheHandlerEndsTheProcess(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		for _, code := range []int{0, 3} {
			g := start(t, lang, folder(t, "app.js", fmt.Sprintf("exports.handler = async () => { console.log('last'); process.exit(%d); };\n", code)), "app.handler")
			g.api.work <- work{id: "r-1", payload: `{}`}
			if got := g.wait(); got != code {
				t.Errorf("exit code: got %d, want %d", got, code)
			}
			if got := g.stdout.String(); !strings.HasSuffix(got, "\tr-1\tINFO\tlast\n") {
				t.Errorf("printed %q", got)
			}
		}
	})
}

func TestNodeAModuleThatNeverLoadsEndsTheProcess(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		if !lang.atLeast(16, 0) {
			return // modules cannot wait there
		}
		g := start(t, lang, folder(t, "app.mjs", "await new Promise(() => {}); export const handler = async () => 1;\n"), "app.handler")
		if got := g.wait(); got != 13 {
			t.Errorf("exit code: got %d, want 13: %s", got, g.stdout)
		}
		if got, want := g.stderr.String(), "Warning: Detected unsettled top-level await\n"; got != want {
			t.Errorf("stderr: got %q, want %q", got, want)
		}
	})
}
