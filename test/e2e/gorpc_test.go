package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAGoFunctionOfTheYearsBeforeTheRuntimeAPIRuns runs AWS's library of 2019 on go1.x,
// as it ran there: by net/rpc.
func TestAGoFunctionOfTheYearsBeforeTheRuntimeAPIRuns(t *testing.T) {
	s := start(t)
	c := s.client()
	program := string(built.GoProgram(t, filepath.Join("testdata", "gorpc")))
	if strings.Contains(program, "AWS_LAMBDA_RUNTIME_API") {
		t.Fatal("this library knows the Runtime API")
	}
	create(t, c, "old", "go1.x", "old", zipOf(t, file{Name: "old", Text: program, Mode: 0o755}), memory(128), timeout(30))
	const want = `{"arn":"arn:aws:lambda:eu-west-1:111111111111:function:old","execution":"AWS_Lambda_go1.x","id":36,"left":true,"name":"old","trace":true}`
	out := invoke(t, c, "old", `{"do":"look"}`)
	if string(out.Payload) != want || !strings.Contains(tail(out), "asked to look\n") {
		t.Errorf("got %s, want %s\n%s", out.Payload, want, tail(out))
	}
	thousand(t, c, "old", `{"do":"look"}`, want)
	for event, want := range map[string][2]string{
		`{"do":"fail"}`:  {"errorString", "asked to"},
		`{"do":"panic"}`: {"string", "asked to"},
	} {
		if kind, message := failure(t, c, "old", event); kind != want[0] || message != want[1] {
			t.Errorf("%s: got %s: %s", event, kind, message)
		}
	}
	if kind, message := failure(t, c, "old", `{"do":"exit"}`); kind != "Runtime.ExitError" || !strings.HasSuffix(message, "exit status 3") {
		t.Errorf("exit: got %s: %s", kind, message)
	}
	if got := answer(t, c, "old", `{"do":"look"}`); got != want {
		t.Errorf("after an exit: got %s", got)
	}
}
