package runtimes_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestAPythonHandlerEchoesItsEvent(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "def handler(event, context):\n    return event\n")
		g := start(t, lang, dir, "app.handler")
		for range 3 {
			o := g.invoke(work{payload: `{"a": [1, 2.5, null, true], "b": {"c": "d"}}`, attempt: "attempt-1"})
			if got, want := o.path, "/2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `{"a": [1, 2.5, null, true], "b": {"c": "d"}}`; got != want && lang.atLeast(3, 6) {
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

func TestAPythonErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", "def handler(event, context):\n    inner()\n\ndef inner():\n    raise ValueError('no \"good\"')\n")
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{}`, id: "r-1"})
		want := `{"errorMessage": "no \"good\"", "errorType": "ValueError", "requestId": "r-1", "stackTrace": ["  File \"` +
			dir + `/app.py\", line 2, in handler\n    inner()\n", "  File \"` + dir + `/app.py\", line 5, in inner\n    raise ValueError('no \"good\"')\n"]}`
		if o.body != want && lang.atLeast(3, 6) {
			t.Errorf("got  %s\nwant %s", o.body, want)
		}
		const nb = "\u00a0"
		line := "[ERROR] ValueError: no \"good\"\rTraceback (most recent call last):\r" +
			nb + nb + "File \"" + dir + "/app.py\", line 2, in handler\r" + nb + nb + nb + nb + "inner()\r" +
			nb + nb + "File \"" + dir + "/app.py\", line 5, in inner\r" + nb + nb + nb + nb + "raise ValueError('no \"good\"')\n"
		if o.logged != line {
			t.Errorf("logged %q\nwant   %q", o.logged, line)
		}
		if got, want := o.path, "/2018-06-01/runtime/invocation/r-1/error"; got != want {
			t.Errorf("posted to %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "ValueError"; got != want {
			t.Errorf("type header: got %s, want %s", got, want)
		}
		if got := g.invoke(work{payload: `{}`, id: "r-2"}).path; !strings.HasSuffix(got, "/r-2/error") {
			t.Errorf("the process did not live on: %s", got)
		}
	})
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

func TestPythonLoggingHasAWSHandlerOnTheRoot(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		dir := folder(t, "app.py", `
import logging
logging.warning("early")
log = logging.getLogger()
def handler(event, context):
    log.info("quiet")
    log.setLevel(logging.INFO)
    log.info("hello %s", "you")
    logging.getLogger("other").error(u"\u00e9")
    log.setLevel(logging.WARNING)
`)
		g := start(t, lang, dir, "app.handler")
		o := g.invoke(work{payload: `{}`, id: "r-1"})
		got := timestamp.ReplaceAllString(o.logged, "TIME")
		want := "[WARNING]\tTIME\t\tearly\n[INFO]\tTIME\tr-1\thello you\n[ERROR]\tTIME\tr-1\té\n"
		if got != want {
			t.Errorf("logged %q\nwant   %q", got, want)
		}
	})
}
