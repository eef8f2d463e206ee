package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// inJSON makes a function log objects from a level on.
func inJSON(application types.ApplicationLogLevel, system types.SystemLogLevel) settings {
	return func(in *lambda.CreateFunctionInput) {
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, ApplicationLogLevel: application, SystemLogLevel: system}
	}
}

const tappedPython = `
import logging, os
log = logging.getLogger()
def handler(event, context):
    log.info("of two\nlines")
    log.debug("hidden")
    print("as it is")
    return open("/tmp/events").read()
`

func TestAnExtensionReceivesEverythingThatIsSaid(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	ext := layer(t, c, "tap", zipOf(t, file{Name: "extensions/tapext", Text: string(built.GoProgram(t, "testdata/tapext")), Mode: 0o755}))
	create(t, c, "tapped", py, "app.handler", zipOf(t, file{Name: "app.py", Text: tappedPython}), layers(ext), memory(256), inJSON("INFO", "DEBUG"))

	tail := func(out *lambda.InvokeOutput) string {
		text := harness.Tail(out)
		for _, c := range []struct{ pattern, with string }{
			{`("(?:time|timestamp|start)": ?)"[^"]+"`, `$1"#"`}, {`"(durationMs|billedDurationMs|initDurationMs|maxMemoryUsedMB|producedBytes)":[0-9.]+`, `"$1":#`},
			{`"requestId": ?"[^"]+"`, `"requestId":"#"`}, {`,"tracing":\{[^}]*\}`, ``}, {`"functionArn":"[^"]+"`, `"functionArn":"#"`},
		} {
			text = regexp.MustCompile(c.pattern).ReplaceAllString(text, c.with)
		}
		return text
	}
	const (
		spans = `"spans":[{"name":"responseLatency","start":"#","durationMs":#},{"name":"responseDuration","start":"#","durationMs":#},{"name":"runtimeOverhead","start":"#","durationMs":#}]`
		over  = `"spans":[{"name":"extensionOverhead","start":"#","durationMs":#}]`
	)
	lines := func(init string) string {
		return strings.Join([]string{
			`{"time":"#","type":"platform.start","record":{"requestId":"#","functionArn":"#","version":"$LATEST"}}`,
			`{"timestamp": "#", "level": "INFO", "message": "of two\nlines", "logger": "root", "requestId":"#"}`,
			`as it is`,
			`{"time":"#","type":"platform.runtimeDone","record":{"requestId":"#","status":"success",` + spans + `,"metrics":{"durationMs":#,"producedBytes":#}}}`,
			`{"time":"#","type":"platform.report","record":{"requestId":"#","metrics":{"durationMs":#,"billedDurationMs":#,"memorySizeMB":256,"maxMemoryUsedMB":#` + init + `},` + over + `,"status":"success"}}`, ``,
		}, "\n")
	}
	first := harness.Invoke(t, c, "tapped", `{}`)
	if got, want := tail(first), lines(`,"initDurationMs":#`); first.FunctionError != nil || got != want {
		t.Fatalf("the log of the first invocation is\n%s\nwant\n%s\n%s", got, want, first.Payload)
	}
	harness.Answer(t, c, "tapped", `{}`)
	got, reports := keptEvents(t, c, "tapped")
	const init = `initStart, telemetrySubscription tapext Subscribed, extension subscribed "OK", extension tapext Ready, initRuntimeDone, initReport`
	const invocation = `, start, function "of two\nlines", function as it is, runtimeDone, report`
	// What the third one reads is what came before it, and perhaps some of its own.
	if all := strings.Join(got, ", "); !strings.HasPrefix(all, init+invocation+strings.TrimSuffix(invocation, ", report")) || reports > 2 {
		t.Errorf("the extension got\n%s", strings.Join(got, "\n"))
	}
}

// keptEvents calls a function that answers with what its extension kept, and gives the
// events with what is told by them, and how many reports there are.
func keptEvents(t *testing.T, c *lambda.Client, name string) (got []string, reports int) {
	t.Helper()
	var text string
	if err := json.Unmarshal([]byte(harness.Answer(t, c, name, `{}`)), &text); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var e struct {
			Type   string
			Record any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		entry := strings.TrimPrefix(e.Type, "platform.")
		switch record := e.Record.(type) {
		case string:
			entry += " " + textTime.ReplaceAllString(record, "TIME")
		case map[string]any:
			if message, ok := record["message"]; ok {
				entry += fmt.Sprintf(" %q", message)
			}
			if name, ok := record["name"]; ok {
				entry += fmt.Sprint(" ", name, " ", record["state"])
			}
		}
		if got = append(got, entry); e.Type == "platform.report" {
			reports++
		}
	}
	return got, reports
}

// textTime is the time and the request's id of a line of text.
var textTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z\t[0-9a-f-]{36}`)

func TestExtensionsOfOtherLanguagesReceiveTelemetry(t *testing.T) {
	s := start(t)
	c := s.client()
	for _, lang := range []struct {
		name, runtime, program, source, function, file string
		// What the extension gets of the init, and of each invocation.
		init, invocation string
	}{
		{
			"py", needPython(t), "/var/lang/bin/" + needPython(t), "logs.py",
			"import logging\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n    logging.info('of two\\nlines')\n    return open('/tmp/events').read()\n", "app.py",
			"logsSubscription logs.py Subscribed, extension logs.py Ready", ", start, function [INFO]\tTIME\tof two\nlines, runtimeDone, end, report",
		},
		{
			"js", needNode(t), "/var/lang/bin/node", "telemetry.js",
			"exports.handler = async () => { console.log('of two\\nlines'); return require('fs').readFileSync('/tmp/events', 'utf8'); };\n", "app.js",
			"initStart, telemetrySubscription telemetry.js Subscribed, extension telemetry.js Ready, initRuntimeDone, initReport", ", start, function TIME\tINFO\tof two\nlines, runtimeDone, report",
		},
	} {
		t.Run(lang.name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/tapext/" + lang.source)
			if err != nil {
				t.Fatal(err)
			}
			ext := layer(t, c, "tap-"+lang.name, zipOf(t, file{Name: "extensions/" + lang.source, Text: "#!" + lang.program + "\n" + string(text), Mode: 0o755}))
			create(t, c, lang.name, lang.runtime, "app.handler", zipOf(t, file{Name: lang.file, Text: lang.function}), layers(ext), memory(256))
			for range 2 {
				harness.Answer(t, c, lang.name, `{}`)
			}
			got, reports := keptEvents(t, c, lang.name)
			last := lang.invocation[:strings.LastIndex(lang.invocation, ", runtimeDone")+len(", runtimeDone")]
			if all := strings.Join(got, ", "); !strings.HasPrefix(all, lang.init+lang.invocation+last) || reports > 2 {
				t.Errorf("the extension got\n%s\nwant\n%s", all, lang.init+lang.invocation+last)
			}
		})
	}
}

const floodPython = `
import os
def handler(event, context):
    for n in range(20000):
        print("line", n)
    for _ in range(200):
        if os.path.exists("/tmp/late"):
            return open("/tmp/late").read()
        __import__("time").sleep(0.02)
`

func TestAReceiverThatIsSlowOrGoneHoldsNoFunction(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	ext := layer(t, c, "tap", zipOf(t, file{Name: "extensions/tapext", Text: string(built.GoProgram(t, "testdata/tapext")), Mode: 0o755}))
	for _, bad := range []string{"slow", "gone"} {
		create(t, c, bad, py, "app.handler", zipOf(t, file{Name: "app.py", Text: floodPython}), layers(ext), memory(256),
			func(in *lambda.CreateFunctionInput) {
				in.Environment = &types.Environment{Variables: map[string]string{"RECEIVER": bad}}
			})
		for range 5 { // of at most 30 seconds each
			const want = `"403 {\"errorMessage\":\"Telemetry API subscription is closed already\",\"errorType\":\"Telemetry.SubscriptionClosed\"}"`
			if got := harness.Answer(t, c, bad, `{}`); got != want {
				t.Errorf("%s: got %s, want %s", bad, got, want)
			}
		}
	}
}
