package runtimes_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rubies gives the Rubies of this machine: those that a runtime identifier names, and
// the one on the search path, whatever its version.
func rubies(t testing.TB) []*language {
	t.Helper()
	machine.Do(func() { machine.languages, machine.err = findLanguages() })
	if machine.err != nil {
		t.Fatal(machine.err)
	}
	var found []*language
	for _, l := range machine.languages {
		if l.runtime.Family == "ruby" {
			found = append(found, l)
		}
	}
	if program, err := exec.LookPath("ruby"); err == nil {
		dir, err := filepath.Abs("ruby")
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "-e", "print RUBY_VERSION").Output()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, &language{
			identifier: "ruby on the search path", version: string(out),
			command: []string{program, dir + "/bootstrap.rb"}, runtimeDir: dir,
		})
	}
	if len(found) == 0 {
		t.Skip("needs an interpreter: this machine has no Ruby")
	}
	return found
}

func eachRuby(t *testing.T, test func(t *testing.T, lang *language)) {
	t.Helper()
	for _, lang := range rubies(t) {
		t.Run(lang.identifier, func(t *testing.T) {
			t.Parallel()
			test(t, lang)
		})
	}
}

const rubyEcho = "def handler(event:, context:)\n  event\nend\n"

func TestARubyHandlerEchoesItsEvent(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.rb", rubyEcho), "app.handler", "LANG=C", "LC_ALL=C")
		for _, chunked := range []bool{false, true, false} {
			o := g.invoke(work{payload: `[{"a": [1, 2.5, null, true]}, "b €\n", -3e2, {}, 12345678901234567890]`, attempt: "attempt-1", chunked: chunked})
			if got, want := o.path, "/2018-06-01/runtime/invocation/"+runtimeID+"/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `[{"a":[1,2.5,null,true]},"b €\n",-300.0,{},12345678901234567890]`; got != want {
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

func TestRubyHandlersOfEveryKind(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		dir := folder(t,
			"app.rb", rubyEcho+"require 'helper'\nmodule Api\n  class Users\n    def self.get(event:, context:)\n      [NAME, event, context.function_name]\n    end\n  end\nend\n"+
				"def counted(event:, context:)\n  @count = (@count || 0) + 1\nend\n"+
				"def raw(event:, context:)\n  require 'stringio'\n  StringIO.new(\"\\x00\\xff\".b)\nend\ndef none(event:, context:)\nend\n",
			"helper.rb", "NAME = 'ada'\n",
			"lib/deep.rb", "def handler(event:, context:)\n  'deep'\nend\n",
			"own.rb", "module AwsLambda\n  class Marshaller\n    def self.marshall_request(raw)\n      raw.body.reverse\n    end\n    def self.marshall_response(value)\n      [\"own:\" + value, 'text/plain']\n    end\n  end\nend\n"+rubyEcho)
		for _, c := range []struct{ handler, payload, want, kind string }{
			{"app.Api::Users.get", `{"a": 1}`, `["ada",{"a":1},"fn"]`, "application/json"},
			{"app.none", `{}`, `null`, "application/json"},
			{"app.raw", `{}`, "\x00\xff", "application/unknown"},
			{"lib/deep.handler", `{}`, `"deep"`, "application/json"},
			{"own.handler", `abc`, `own:cba`, "text/plain"},
		} {
			o := start(t, lang, dir, c.handler).invoke(work{payload: c.payload})
			if o.body != c.want || o.headers.Get("Content-Type") != c.kind {
				t.Errorf("%s: got %q of type %s, want %q", c.handler, o.body, o.headers.Get("Content-Type"), c.want)
			}
		}
		g := start(t, lang, dir, "app.counted")
		for _, want := range []string{"1", "2"} {
			if got := g.invoke(work{payload: `{}`}).body; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestARubyErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	recorded := recordings(t).Uncaught
	eachRuby(t, func(t *testing.T, lang *language) {
		dir := folder(t, "app.rb", "class Mine < StandardError; end\ndef handler(event:, context:)\n  inner(event)\nend\n\ndef inner(event)\n  raise Mine, 'own' if event['own']\n  raise \"Error: #{event['msg']}\"\nend\n")
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{"msg": "some_error_msg"}`, id: "r-1", attempt: "attempt-9"})
		compareMembers(t, o.body, recorded["ruby3.3"], "stackTrace")
		f := o.failure(t)
		if len(f.StackTrace) != 2 || !strings.HasPrefix(f.StackTrace[0], dir+"/app.rb:8:in ") || !strings.HasPrefix(f.StackTrace[1], dir+"/app.rb:3:in ") {
			t.Errorf("stack: %q", f.StackTrace)
		}
		if want := "Error raised from handler method\n{\r  \"errorMessage\": \"Error: some_error_msg\",\r  \"errorType\": \"Function<RuntimeError>\",\r"; !strings.HasPrefix(o.logged, want) || !strings.HasSuffix(o.logged, "\r}\n") {
			t.Errorf("logged %q", o.logged)
		}
		if got, want := o.path, "/2018-06-01/runtime/invocation/r-1/error"; got != want {
			t.Errorf("posted to %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "Function<UserException>"; got != want {
			t.Errorf("type header: got %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-9"; got != want {
			t.Errorf("invocation id: got %s, want %s", got, want)
		}
		if f := g.invoke(work{payload: `{"own": 1}`, id: "r-2"}).failure(t); f.ErrorType != "Function<Mine>" || f.ErrorMessage != "own" {
			t.Errorf("got %+v", f)
		}
		if f := g.invoke(work{payload: `{"own": `}).failure(t); f.ErrorType != "Runtime<JSON::ParserError>" {
			t.Errorf("an event that is no JSON: got %+v", f)
		}
	})
}

// TestRubyErrorsThatEndTheProcess checks which errors AWS's runtime does not survive.
func TestRubyErrorsThatEndTheProcess(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		for code, kind := range map[string]string{
			"nobody_knows_this": "Function<NameError>", "nil.nope": "Function<NoMethodError>", "exit 3": "Function<SystemExit>",
			"raise Exception, 'x'": "Function<Exception>", "def f; f; end; f": "Function<SystemStackError>",
		} {
			g := start(t, lang, folder(t, "app.rb", "def handler(event:, context:)\n  "+code+"\nend\n"), "app.handler")
			o := g.invoke(work{payload: `{}`})
			if f := o.failure(t); f.ErrorType != kind || !strings.HasSuffix(o.path, "/error") {
				t.Errorf("%s: got %s", code, o.body)
			}
			if got := o.headers.Get("Lambda-Runtime-Function-Error-Type"); got != kind {
				t.Errorf("%s: type header: got %s, want %s", code, got, kind)
			}
			if !strings.HasPrefix(o.logged, "Critical exception from handler\n{\r") {
				t.Errorf("%s: logged %q", code, o.logged)
			}
			if got := g.wait(); got != 255 {
				t.Errorf("%s: exit code: got %d, want 255", code, got)
			}
		}
		g := start(t, lang, folder(t, "app.rb", "def handler(event:, context:)\n  print 'last'\n  exit! 5\nend\n"), "app.handler")
		g.api.work <- work{id: "r-1", payload: `{}`}
		if got := g.wait(); got != 5 || g.stdout.String() != "last" {
			t.Errorf("exit!: got %d and %q", got, g.stdout.String())
		}
	})
}

func TestRubyWhatCannotBeLoadedIsAnInitError(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		for _, c := range []struct{ name, text, handler, kind, message string }{
			{"no file", "", "nothere.handler", "Init<LoadError>", "cannot load such file -- nothere"},
			{"no dependency", "require 'nope'\n", "app.handler", "Init<LoadError>", "cannot load such file -- nope"},
			{"no dot", "", "app", "Init<ArgumentError>", "Invalid handler app, must be of form FILENAME.METHOD"},
			{"syntax", "def handler(\n", "app.handler", "Init<SyntaxError>", ""},
			{"exception", "raise 'broken'\n", "app.handler", "Init<RuntimeError>", "broken"},
		} {
			g := start(t, lang, folder(t, "app.rb", c.text), c.handler)
			o := g.outcome()
			if got, want := o.path, "/2018-06-01/runtime/init/error"; got != want {
				t.Fatalf("%s: posted to %s, want %s", c.name, got, want)
			}
			if f := o.failure(t); f.ErrorType != c.kind || !strings.HasPrefix(f.ErrorMessage, c.message) {
				t.Errorf("%s: got %s", c.name, o.body)
			}
			if want := "Init error when loading handler " + c.handler + "\n{\r"; !strings.HasPrefix(o.logged, want) {
				t.Errorf("%s: logged %q, want %q", c.name, o.logged, want)
			}
			if got := g.wait(); got != 252 {
				t.Errorf("%s: exit code: got %d, want 252", c.name, got)
			}
		}
	})
}

const rubyLogs = `
logger = Logger.new($stdout)
LOGGER = logger
def handler(event:, context:)
  puts 'one', 'two €'
  print 'no end'
  LOGGER.info('logged')
  LOGGER.debug { 'hidden' }
  LOGGER.error(RuntimeError.new('bad'))
  $stderr.puts 'err'
  Logger.new('/dev/null').info('elsewhere')
end
`

func TestRubyLogsAsAWSDoes(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.rb", rubyLogs), "app.handler", "AWS_LAMBDA_LOG_LEVEL=INFO", "LC_ALL=C")
		o := g.invoke(work{payload: `{}`, id: "r-1"})
		lines := strings.Split(o.logged, "\n")
		if len(lines) < 5 || lines[0] != "one" || lines[1] != "two €" {
			t.Fatalf("logged %q, stderr %q, posted %s", o.logged, g.stderr, o.body)
		}
		if got := rubyLine(lines[2]); got != "no endI, [TIME #PID]  INFO r-1 -- : logged" {
			t.Errorf("got %q", got)
		}
		if got := rubyLine(lines[3]); got != "E, [TIME #PID] ERROR r-1 -- : bad (RuntimeError)" {
			t.Errorf("got %q", got)
		}
		if got := g.stderr.String(); got != "err\n" {
			t.Errorf("stderr: %q", got)
		}
		// A later version of Ruby has structured logs.
		early := folder(t, "early.rb", "verbose, $VERBOSE = $VERBOSE, nil\nRUBY_VERSION = '4.0.0'\n$VERBOSE = verbose\n")
		g = start(t, lang, folder(t, "app.rb", rubyLogs), "app.handler", "AWS_LAMBDA_LOG_FORMAT=JSON", "RUBYOPT=-r"+early+"/early.rb")
		lines = strings.Split(g.invoke(work{payload: `{}`, id: "r-1"}).logged, "\n")
		var entry map[string]any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[2], "no end")), &entry); err != nil {
			t.Fatalf("%q: %v", lines, err)
		}
		delete(entry, "timestamp")
		if got, want := asText(entry), `{"level":"INFO","message":"logged","requestId":"r-1"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// rubyLine puts words in the place of a line's time and process.
func rubyLine(line string) string {
	open, closing := strings.Index(line, "["), strings.Index(line, "]")
	if open < 0 || closing < open {
		return line
	}
	return line[:open] + "[TIME #PID]" + line[closing+1:]
}

func TestRubyFramesKeepTheBoundariesOfMessages(t *testing.T) {
	eachRuby(t, func(t *testing.T, lang *language) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		g := startWith(t, lang, folder(t, "app.rb", rubyLogs+"raise 'late' if ENV.key?('_LAMBDA_TELEMETRY_LOG_FD')\n"), "app.handler", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3")
		w.Close()
		if got := g.invoke(work{payload: `{}`, id: "r"}).logged; got != "no end" {
			t.Errorf("the standard output has %q", got)
		}
		if got, want := readFrame(t, r, 0xa55a0003), "one\ntwo €"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := rubyLine(readFrame(t, r, 0xa55a0003)), "I, [TIME #PID]  INFO r -- : logged\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestARubyContextIsTheRecordedOne(t *testing.T) {
	recorded := recordings(t).Introspection["ruby3.3"]
	eachRuby(t, func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.rb", `
def handler(event:, context:)
  {
    ctx: {
      aws_request_id: context.aws_request_id, function_name: context.function_name, function_version: context.function_version,
      invoked_function_arn: context.invoked_function_arn, log_group_name: context.log_group_name, log_stream_name: context.log_stream_name,
      memory_limit_in_mb: context.memory_limit_in_mb, remaining_time_in_millis: context.get_remaining_time_in_millis
    },
    environment: ENV.to_h,
    more: { tenant: context.tenant_id, client: context.client_context, identity: context.identity, trace: ENV['_X_AMZN_TRACE_ID'], deadline: context.deadline_ms.class }
  }
end
`), "app.handler")
		o := g.invoke(work{payload: `{}`, trace: "Root=1-2;Sampled=1", tenant: "blue", client: `{"custom": {"a": "b"}}`})
		var all struct {
			Context     map[string]any    `json:"ctx"`
			Environment map[string]string `json:"environment"`
			More        map[string]any    `json:"more"`
		}
		if err := json.Unmarshal([]byte(o.body), &all); err != nil {
			t.Fatalf("%s: %v", o.body, err)
		}
		compareMembers(t, asText(all.Context), recorded.Context, "aws_request_id", "function_name", "invoked_function_arn",
			"log_group_name", "log_stream_name", "remaining_time_in_millis")
		if left, _ := all.Context["remaining_time_in_millis"].(float64); left <= 0 || left > 60000 {
			t.Errorf("remaining time: %v", all.Context["remaining_time_in_millis"])
		}
		want := `{"client":{"custom":{"a":"b"}},"deadline":"Integer","identity":null,"tenant":"blue","trace":"Root=1-2;Sampled=1"}`
		if got := asText(all.More); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for name := range all.Environment {
			if _, ok := recorded.Environment[name]; !ok && name != "HOME" && name != "LC_ALL" {
				t.Errorf("the variable %s is not in the recording", name)
			}
		}
		if o = g.invoke(work{payload: `{}`}); strings.Contains(o.body, "Root=1-2") {
			t.Errorf("the trace of the invocation before is still there: %s", o.body)
		}
		g.api.hangUp()
		if got := g.wait(); got != 1 {
			t.Errorf("exit code after the end of the connection: got %d, want 1", got)
		}
	})
}
