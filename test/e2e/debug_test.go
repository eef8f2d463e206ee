package e2e_test

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

var debugAddress = regexp.MustCompile(`DEBUG A debugger may connect to (127\.0\.0\.1:\d+)`)

func TestTheInspectorOfNodeIsReachedAndTheTimeoutWaitsForIt(t *testing.T) {
	s := start(t)
	c, js := s.client(), needNode(t)
	code := zipOf(t, file{Name: "app.js", Text: "exports.handler = async (event) => { await new Promise((r) => setTimeout(r, event)); return event; };\n"})
	create(t, c, "debugged", js, "app.handler", code, timeout(1), func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"kiln:debug": "on"} })
	if got := answer(t, c, "debugged", "1"); got != "1" {
		t.Errorf("got %s", got)
	}
	address := debugAddress.FindStringSubmatch(logOf(t, s, "debugged"))
	if address == nil {
		t.Fatalf("no address in the log:\n%s", logOf(t, s, "debugged"))
	}
	response, err := http.Get("http://" + address[1] + "/json/version")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(text), `"Browser": "node.js/`) {
		t.Errorf("the inspector answers %s, %v", text, err)
	}
	http.DefaultClient.CloseIdleConnections() // which would be attached
	attached, err := net.Dial("tcp", address[1])
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Close()
	if got := answer(t, c, "debugged", "2500"); got != "2500" {
		t.Errorf("got %s", got)
	}
	if err := attached.Close(); err != nil {
		t.Error(err)
	}
	if kind, _ := failure(t, c, "debugged", "2500"); kind != "Sandbox.Timedout" {
		t.Errorf("got %s", kind)
	}
	// Nobody else has such an address.
	create(t, c, "plain", js, "app.handler", code, timeout(3))
	answer(t, c, "plain", "1")
	logged(t, s, "plain", "REPORT RequestId")
	if log := logOf(t, s, "plain"); debugAddress.MatchString(log) {
		t.Errorf("got log\n%s", log)
	}
}
