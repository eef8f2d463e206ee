package runtimes_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPythonLoggingHasAWSHandlerOnTheRoot(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
import logging
logging.warning("early")
log = logging.getLogger()
assert type(log.handlers[0]).__name__ == "LambdaLoggerHandler", log.handlers
assert len(log.handlers) == 1
logging.basicConfig(level=logging.DEBUG)
def handler(event, context):
    log.info("quiet")
    log.setLevel(logging.INFO)
    log.info("hello %s", "you")
    logging.getLogger("other").error(u"\u00e9")
    log.setLevel(logging.WARNING)
    context.log("plain")
`)
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{}`, id: "r-1"})
		got := timestamp.ReplaceAllString(o.logged, "TIME")
		want := "[WARNING]\tTIME\t\tearly\n[INFO]\tTIME\tr-1\thello you\n[ERROR]\tTIME\tr-1\té\nplain"
		if got != want {
			t.Errorf("logged %q\nwant   %q", got, want)
		}
	})
}

func TestPythonTheLevelOfTheFunctionIsSetOnTheRoot(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "import logging\ndef handler(event, context):\n    logging.debug('d')\n    logging.info('i')\n")
		g := start(t, lang, dir, "app.handler", "AWS_LAMBDA_LOG_LEVEL=INFO")
		if got, want := timestamp.ReplaceAllString(g.invoke(work{payload: `{}`, id: "r"}).logged, "TIME"), "[INFO]\tTIME\tr\ti\n"; got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}

func TestPythonEveryPrintIsInThePipeBeforeTheAnswer(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
from __future__ import print_function
import sys
def handler(event, context):
    print("multi\nline")
    print("another\rline", 1)
    print(u"\u00e9\u20ac")
    sys.stderr.write("to stderr")
    sys.stdout.write("no newline")
`)
		g := start(t, lang, dir, "app.handler")
		for i := range 20 {
			g.stdout.reset()
			o := g.invoke(work{payload: `{}`})
			if got, want := o.logged, "multi\nline\nanother\rline 1\né€\nno newline"; got != want {
				t.Fatalf("%d: printed %q, want %q", i, got, want)
			}
		}
		if got := g.stderr.String(); got != strings.Repeat("to stderr", 20) {
			t.Errorf("stderr: %q", got)
		}
	})
}

func TestPythonFramesKeepTheBoundariesOfMessages(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "import logging\ndef handler(event, context):\n    logging.error('two\\nlines')\n    raise KeyError('k')\n")
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
		for _, want := range []string{"[ERROR]\tTIME\tr\ttwo\nlines\n", "[ERROR] KeyError: 'k'\nTraceback (most recent call last):\n" +
			nb + nb + "File \"" + dir + "/app.py\", line 4, in handler\n" + nb + nb + nb + nb + "raise KeyError('k')"} {
			if got := timestamp.ReplaceAllString(readFrame(t, r, 0xa55a0017), "TIME"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// readFrame reads one frame of the telemetry descriptor.
func readFrame(t *testing.T, from io.Reader, kind uint32) string {
	t.Helper()
	head := make([]byte, 16)
	if _, err := io.ReadFull(from, head); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(head); got != kind {
		t.Errorf("frame type: got %x, want %x", got, kind)
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(head[8:])))
	if age := time.Since(at); age < 0 || age > testTimeout {
		t.Errorf("the frame's time is %s", at)
	}
	text := make([]byte, binary.BigEndian.Uint32(head[4:]))
	if _, err := io.ReadFull(from, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPythonALargePayloadGoesThereAndBack(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    return event\n"), "app.handler")
		payload := `"` + strings.Repeat("0123456789abcdef", 6291456/16-1) + `"`
		for range 2 {
			if o := g.invoke(work{payload: payload}); o.body != payload {
				t.Fatalf("got %d bytes, want %d", len(o.body), len(payload))
			}
		}
	})
}

func TestPythonReadsAnAnswerInChunks(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    return event\n"), "app.handler")
		for range 2 {
			if got, want := g.invoke(work{payload: `["some text in chunks"]`, chunked: true}).body, `["some text in chunks"]`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestPythonARefusedAnswerDoesNotEndTheRuntime(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    return event\n"), "app.handler")
		g.api.status = "413 Request Entity Too Large"
		for _, payload := range []string{"1", "2", "3"} {
			if got := g.invoke(work{payload: payload}).body; got != payload {
				t.Errorf("got %s, want %s", got, payload)
			}
		}
	})
}

func TestPythonEndsWhenTheRuntimeAPIDoes(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    return event\n"), "app.handler")
		g.invoke(work{payload: "1"})
		g.api.hangUp()
		if got := g.wait(); got != 1 {
			t.Errorf("exit code: got %d, want 1", got)
		}
	})
}

func TestPythonTheContextIsWhole(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
import os
def handler(event, context):
    c = context.client_context
    return [
        context.aws_request_id, context.function_name, context.function_version,
        context.invoked_function_arn, context.memory_limit_in_mb, context.log_group_name,
        context.log_stream_name, context.tenant_id, context.identity.cognito_identity_id,
        c and [c.custom, c.env, c.client and c.client.app_title],
        os.environ.get("_X_AMZN_TRACE_ID"),
        0 < context.get_remaining_time_in_millis() <= 5000,
        "function_name=fn" in repr(context),
    ]
`)
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{
			payload: `{}`, id: "r-1", arn: "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
			trace: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1", tenant: "blue",
			client:   `{"custom": {"k": "v"}, "env": {"e": 1}, "client": {"app_title": "T"}}`,
			deadline: time.Now().Add(5 * time.Second),
		})
		want := `["r-1", "fn", "$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:fn:live", "1024", "/aws/lambda/fn", ` +
			`"2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef", "blue", null, [{"k": "v"}, {"e": 1}, "T"], ` +
			`"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1", true, true]`
		if o.body != want {
			t.Errorf("got  %s\nwant %s", o.body, want)
		}
		o = g.invoke(work{payload: `{}`, id: "r-2", deadline: time.Now().Add(-time.Second)})
		if got, want := o.body, `null, null, null, null, false, true]`; !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want an end of %s", got, want)
		}
		f := g.invoke(work{payload: `{}`, client: `{"custom"`}).failure(t)
		if f.ErrorType != "Runtime.LambdaContextUnmarshalError" || !strings.HasPrefix(f.ErrorMessage, "Unable to parse Client Context JSON: ") {
			t.Errorf("got %+v", f)
		}
	})
}

func TestPythonLoadsNothingThatAFunctionDoesNotNeed(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "import sys\ndef handler(event, context):\n    return [sorted(sys.modules), sys.path, sys.argv, sys.flags.no_site]\n")
		o := start(t, lang, dir, "app.handler").invoke(work{payload: `{}`})
		for _, name := range []string{"json", "re", "socket", "logging", "traceback", "http", "importlib.util", "typing", "collections"} {
			if strings.Contains(o.body, `"`+name+`"`) {
				t.Errorf("%s was imported", name)
			}
		}
		layers := fmt.Sprintf(`"/opt/python/lib/python%s/site-packages", "/opt/python"`, lang.version)
		if want := `[["` + dir + `", ` + layers + `, "` + lang.runtimeDir + `", `; !strings.Contains(o.body, want[2:]) {
			t.Errorf("the path does not begin with %s: %s", want, o.body)
		}
		if want := layers + `], ["` + lang.runtimeDir + `/bootstrap.py"], 1]`; !strings.HasSuffix(o.body, want) {
			t.Errorf("got %s, want an end of %s", o.body, want)
		}
		if strings.Contains(o.body, "site-packages\", \""+lang.command[0]) {
			t.Errorf("installed packages are on the path: %s", o.body)
		}
	})
}

func TestPythonASignalWhileWaitingIsNoError(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
import signal
seen = []
def note(number, frame):
    seen.append(number)
    print("caught")
signal.signal(signal.SIGUSR1, note)
def handler(event, context):
    return len(seen)
`)
		g := start(t, lang, dir, "app.handler")
		g.invoke(work{payload: `{}`})
		if err := g.command.Process.Signal(sigusr1); err != nil {
			t.Fatal(err)
		}
		g.until(func() bool { return g.stdout.String() == "caught\n" })
		if got := g.invoke(work{payload: `{}`}).body; got != "1" {
			t.Errorf("got %s, want 1", got)
		}
	})
}

func TestPythonAFunctionThatClosesItsOutputIsStillAnswered(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "import sys\nclass Odd(object):\n    def write(self, text): raise ValueError('closed')\ndef handler(event, context):\n    sys.stdout = Odd()\n    return 1\n")
		g := start(t, lang, dir, "app.handler")
		if got := g.invoke(work{payload: `{}`}).body; got != "1" {
			t.Errorf("got %s, want 1", got)
		}
	})
}

// TestPythonAnUncaughtExceptionAsRecorded checks the members of the answer against
// what AWS sent.
func TestPythonAnUncaughtExceptionAsRecorded(t *testing.T) {
	recorded := recordings(t)
	each(t, "python", func(t *testing.T, lang *language) {
		want, ok := recorded.Uncaught[lang.identifier]
		if !ok {
			return // no recording of this one
		}
		dir := folder(t, "handler.py", "def handler(event, context):\n    raise Exception('Failed: ' + event['error_msg'])\n")
		o := start(t, lang, dir, "handler.handler").invoke(work{payload: `{"error_msg": "some_error_msg"}`, id: "<uuid:2>"})
		compareMembers(t, o.body, want, "stackTrace")
	})
}

// TestPythonTheContextAsRecorded checks what a function that lists its context finds.
func TestPythonTheContextAsRecorded(t *testing.T) {
	recorded := recordings(t)
	each(t, "python", func(t *testing.T, lang *language) {
		want, ok := recorded.Introspection[lang.identifier]
		if !ok {
			return // no recording of this one
		}
		dir := folder(t, "handler.py", `
def handler(event, context):
    return {
        "function_name": context.function_name,
        "function_version": context.function_version,
        "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "aws_request_id": context.aws_request_id,
        "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name,
        "remaining_time_in_millis": context.get_remaining_time_in_millis(),
    }
`)
		o := start(t, lang, dir, "handler.handler").invoke(work{payload: `{}`, id: "<uuid:2>",
			arn: "arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>"})
		compareMembers(t, o.body, want.Context, "function_name", "log_group_name", "log_stream_name", "remaining_time_in_millis")
	})
}

func TestEveryPythonThatIsHereServesItsOwnVersionOnly(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "import sys\ndef handler(event, context):\n    return '%d.%d' % sys.version_info[:2]\n")
		got := start(t, lang, dir, "app.handler").invoke(work{payload: `{}`}).body
		if want := `"` + lang.version + `"`; got != want || !slices.Contains([]string{"python" + lang.version}, lang.identifier) {
			t.Errorf("%s runs %s", lang.identifier, got)
		}
	})
}

func TestPythonNoProgramThatTheFunctionStartsHasTheConnection(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
import subprocess
def handler(event, context):
    listed = subprocess.Popen(["/bin/ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).communicate()[0]
    return "socket:" in listed.decode()
`)
		if got := start(t, lang, dir, "app.handler").invoke(work{payload: `{}`}).body; got != "false" {
			t.Errorf("got %s, want false", got)
		}
	})
}
