package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// lifeExtensions gives the extension of each language by the name of its file, as the
// layer that brings it, with a runtime that has the language.
func lifeExtensions(t *testing.T, c *lambda.Client) map[string]struct{ layer, runtime string } {
	t.Helper()
	script := func(name, program string) string {
		text, err := os.ReadFile("testdata/lifeext/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return "#!/usr/bin/env " + program + "\n" + string(text)
	}
	py, js := needPython(t), needNode(t)
	out := map[string]struct{ layer, runtime string }{}
	for name, x := range map[string]struct{ text, runtime string }{
		"lifeext": {string(built.GoProgram(t, "testdata/lifeext")), py},
		"life.py": {script("life.py", "python3"), py},
		"life.js": {script("life.js", "node"), js},
	} {
		arn := layer(t, c, strings.ReplaceAll("ext-"+name, ".", "-"), zipOf(t, file{Name: "extensions/" + name, Text: x.text, Mode: 0o755}))
		out[name] = struct{ layer, runtime string }{arn, x.runtime}
	}
	return out
}

// graceful are functions that say when they are told to end.
var graceful = map[string]file{
	"python": {Name: "app.py", Text: "import signal, sys\ndef end(*_):\n    print('told to end', flush=True)\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, end)\ndef handler(event, context):\n    if event == 'slow':\n        import time; time.sleep(30)\n    return event\n"},
	"nodejs": {Name: "app.js", Text: "process.on('SIGTERM', () => { console.log('told to end'); process.exit(0); });\nexports.handler = async (event) => { if (event === 'slow') await new Promise((r) => setTimeout(r, 30000)); return event; };\n"},
}

func gracefulFor(runtime string) file {
	if strings.HasPrefix(runtime, "python") {
		return graceful["python"]
	}
	return graceful["nodejs"]
}

// renew changes a function, so that its environments end.
func renew(t *testing.T, c *lambda.Client, name string) {
	t.Helper()
	if _, err := c.UpdateFunctionConfiguration(within(t, time.Minute), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), Description: aws.String("another"), MemorySize: aws.Int32(512)}); err != nil {
		t.Fatal(err)
	}
}

// logOf gives the whole log of a function.
func logOf(t *testing.T, s *server, name string) string {
	t.Helper()
	code, out, talk := kiln(t, append(s.environ(), "KILN_ACCOUNT="+harness.Account, "KILN_REGION="+harness.Region), "logs", name)
	if code != 0 {
		t.Fatalf("kiln logs %s: %s", name, talk)
	}
	return out
}

// logged waits until the log of a function has a line.
func logged(t *testing.T, s *server, name, line string) {
	t.Helper()
	out := ""
	t.Cleanup(func() {
		if !strings.Contains(out, line) {
			t.Logf("the log of %s is\n%s", name, out)
		}
	})
	harness.Eventually(t, 20*time.Second, fmt.Sprintf("%q in the log of %s", line, name), func() bool {
		out = logOf(t, s, name)
		return strings.Contains(out, line)
	})
}

func TestExtensionsOfThreeLanguagesHearOfInvocationsAndOfTheEnd(t *testing.T) {
	s := start(t)
	c := s.client()
	for name, x := range lifeExtensions(t, c) {
		fn := "life-" + strings.ReplaceAll(name, ".", "-")
		create(t, c, fn, x.runtime, "app.handler", zipOf(t, gracefulFor(x.runtime)), layers(x.layer), memory(256), timeout(2))
		for _, payload := range []string{"1", `"two"`} {
			if got := answer(t, c, fn, payload); got != payload {
				t.Errorf("%s: got %s", name, got)
			}
		}
		// A timeout: everybody is told, and the next call is served.
		if kind, message := failure(t, c, fn, `"slow"`); kind != "Sandbox.Timedout" || !strings.Contains(message, "Task timed out after 2.00 seconds") {
			t.Errorf("%s: got %s %s", name, kind, message)
		}
		if got := answer(t, c, fn, "3"); got != "3" {
			t.Errorf("%s: got %s", name, got)
		}
		renew(t, c, fn)
		logged(t, s, fn, name+" hears SHUTDOWN spindown")
		out := logOf(t, s, fn)
		// The call behind the timeout may have got another environment meanwhile.
		for line, most := range map[string]int{
			"EXTENSION\tName: " + name + "\tState: Ready\tEvents: [INVOKE, SHUTDOWN]": 3,
			name + " hears INVOKE": 4, name + " hears SHUTDOWN timeout": 1, name + " hears SHUTDOWN spindown": 2, "told to end": 3,
		} {
			least := most
			if most == 3 || strings.HasSuffix(line, "spindown") {
				least--
			}
			if got := strings.Count(out, line); got < least || got > most {
				t.Errorf("%s: %q is %d times in the log, want %d to %d:\n%s", name, line, got, least, most, out)
			}
		}
	}
}

func TestAnExtensionThatDiesOrForgetsCostsItsInvocationAndNoOther(t *testing.T) {
	s := start(t)
	c := s.client()
	for name, x := range lifeExtensions(t, c) {
		for plot, p := range map[string]struct{ answer, init, report string }{
			"die before register": {`"a"`, `Error Type: Extension\.Crash`, ``},
			"init/error":          {`"a"`, `Error Type: Extension\.InitError`, ``},
			"die in invoke":       {`Error: exit status 4`, ``, `Error Type: Extension\.Crash`},
			"exit/error":          {`Error: Plot\.Twist`, ``, `Error Type: Extension\.ExitError`},
			"never next":          {`"a"`, ``, `Status: timeout`},
		} {
			// The language matters little: all of it is for who has the time.
			if name != "lifeext" && plot != "exit/error" && os.Getenv("KILN_TEST_FULL") == "" {
				continue
			}
			fn := regexp.MustCompile(`[^a-z]`).ReplaceAllString(name+plot, "-")
			create(t, c, fn, x.runtime, "app.handler", zipOf(t, gracefulFor(x.runtime)), layers(x.layer), memory(256), timeout(2), variables(map[string]string{"PLOT": plot}))
			out := invoke(t, c, fn, `"a"`)
			// An answer that was given before the extension died is the caller's.
			died := p.report != "" && plot != "never next"
			if !regexp.MustCompile(p.answer).Match(out.Payload) && !(died && string(out.Payload) == `"a"`) {
				t.Errorf("%s: got %s", fn, out.Payload)
			}
			if got := answer(t, c, fn, `"b"`); got != `"b"` {
				t.Errorf("%s: the next one got %s", fn, got)
			}
			log := logOf(t, s, fn)
			if p.init != "" && !regexp.MustCompile(`INIT_REPORT .*\tPhase: init\tStatus: error\t`+p.init).MatchString(log) {
				t.Errorf("%s: no failed init in\n%s", fn, log)
			}
			if p.report != "" && !regexp.MustCompile(`REPORT .*\t`+p.report).MatchString(log) {
				t.Errorf("%s: no report of it in\n%s", fn, log)
			}
		}
	}
}

func TestSIGTERMComesToWhoeverAskedForItAndToNobodyElse(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	code := zipOf(t, graceful["python"])
	create(t, c, "told", py, "app.handler", code, func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"kiln:sigterm": "on"} })
	create(t, c, "untold", py, "app.handler", code)
	for _, fn := range []string{"untold", "told"} {
		if got := answer(t, c, fn, "1"); got != "1" {
			t.Errorf("got %s", got)
		}
	}
	renew(t, c, "untold")
	renew(t, c, "told")
	logged(t, s, "told", "told to end")
	harness.Eventually(t, 20*time.Second, "the end of both environments", func() bool {
		left, err := s.Environments()
		return err == nil && len(left) == 0
	})
	if out := logOf(t, s, "untold"); strings.Contains(out, "told to end") || !strings.Contains(out, "REPORT") {
		t.Errorf("a function that asked for nothing was told to end:\n%s", out)
	}
	// And at the end of the server.
	if got := answer(t, c, "told", "2"); got != "2" {
		t.Errorf("got %s", got)
	}
	data := s.Data
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = startIn(t, data)
	out := logOf(t, s, "told")
	if got := strings.Count(out, "told to end"); got != 2 {
		t.Errorf("it was told to end %d times, want 2:\n%s", got, out)
	}
}
