package gorpc_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiln/box/runtimes/gorpc"
)

// TestMain is the bridge when a test starts this program so.
func TestMain(m *testing.M) {
	if program := os.Getenv("TEST_FUNCTION"); program != "" {
		os.Exit(gorpc.Run(program))
	}
	os.Exit(m.Run())
}

// posted is one outcome.
type posted struct{ path, kind, attempt, body string }

// runtimeAPI is a Runtime API with the given events.
func runtimeAPI(t *testing.T, events ...string) (address string, outcomes chan posted) {
	t.Helper()
	outcomes = make(chan posted, 16)
	next := make(chan string, len(events))
	for _, e := range events {
		next <- e
	}
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				body = []byte(err.Error())
			}
			outcomes <- posted{strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime"), r.Header.Get("Lambda-Runtime-Function-Error-Type"), r.Header.Get("Lambda-Runtime-Invocation-Id"), string(body)}
			w.WriteHeader(http.StatusAccepted)
			return
		}
		select {
		case event := <-next:
			for name, value := range map[string]string{
				"Aws-Request-Id": "r-1", "Deadline-Ms": strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10), "Invoked-Function-Arn": "arn:x", "Trace-Id": "Root=1",
				"Invocation-Id": "attempt-1", "Cognito-Identity": `{"cognitoIdentityId":"who","cognitoIdentityPoolId":"pool"}`, "Client-Context": `{"custom":1}`,
			} {
				w.Header().Set("Lambda-Runtime-"+name, value)
			}
			fmt.Fprint(w, event)
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(over); s.Close() })
	return s.Listener.Addr().String(), outcomes
}

// bridge starts a function behind the bridge.
func bridge(t *testing.T, address, program string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(append(os.Environ(), "TEST_FUNCTION="+program, "AWS_LAMBDA_RUNTIME_API="+address), env...)
	c.Stdout, c.Stderr, c.WaitDelay = &said, &said, time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &said
}

// function builds the function.
func function(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "main")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./testdata/function").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func TestAFunctionThatKnowsOnlyRPCIsServedThroughTheBridge(t *testing.T) {
	program := function(t)
	address, outcomes := runtimeAPI(t, `{"a":1}`, `"fail"`, `[2]`, `"panic"`)
	c, said := bridge(t, address, program)
	answer := func(event string) posted {
		return posted{"/invocation/r-1/response", "", "attempt-1", `{"event":` + event + `,"id":"r-1","arn":"arn:x","trace":"Root=1","identity":"who/pool","client":"{\"custom\":1}","time":true}`}
	}
	for _, want := range []posted{
		answer(`{"a":1}`),
		{"/invocation/r-1/error", "errorString", "attempt-1", `{"errorMessage":"asked to","errorType":"errorString"}`},
		answer(`[2]`),
		{"/invocation/r-1/error", "string", "attempt-1", `{"errorMessage":"asked to","errorType":"string","stackTrace":[{"path":"main.go","line":7,"label":"main"}]}`},
	} {
		select {
		case got := <-outcomes:
			if got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing came: %s", said)
		}
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 1 { // after a panic nothing goes on
		t.Errorf("ended with %v\n%s", err, said)
	}
}

func TestTheBridgeEndsAsTheFunctionEnds(t *testing.T) {
	program := function(t)
	for event, want := range map[string]string{`"exit"`: "exit status 3", `"kill"`: "signal: killed"} {
		address, outcomes := runtimeAPI(t, event)
		c, said := bridge(t, address, program)
		if err := c.Wait(); err == nil || err.Error() != want || len(outcomes) > 0 {
			t.Errorf("%s: got %v, want %s\n%s", event, err, want, said)
		}
	}
	address, outcomes := runtimeAPI(t)
	c, said := bridge(t, address, program, "FAIL_EARLY=1")
	if err := c.Wait(); err == nil || err.Error() != "exit status 5" || len(outcomes) > 0 || said.String() != "not today\n" {
		t.Errorf("before it listened: got %v\n%s", err, said)
	}
	// The end while it waits for an invocation, by the signal that the bridge hands on.
	address, outcomes = runtimeAPI(t, `1`)
	c, said = bridge(t, address, program)
	select {
	case <-outcomes:
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing came: %s", said)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("a signal did not end it")
	}
}

func TestAFunctionThatKnowsTheRuntimeAPIIsStartedAsItIs(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$AWS_LAMBDA_RUNTIME_API $$\"; exit 4\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, said := bridge(t, "127.0.0.1:1", script)
	if err := c.Wait(); err == nil || err.Error() != "exit status 4" || said.String() != fmt.Sprintf("127.0.0.1:1 %d\n", c.Process.Pid) {
		t.Errorf("got %v, %s", err, said)
	}
	// The name lies across the pieces in which a program is read.
	large := filepath.Join(dir, "large")
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	text := append(append(shell, make([]byte, (4<<20)-len(shell)-5)...), "AWS_LAMBDA_RUNTIME_API"...)
	if err := os.WriteFile(large, text, 0o755); err != nil {
		t.Fatal(err)
	}
	c, said = bridge(t, "127.0.0.1:1", large, "ENV=/dev/null")
	if err := c.Wait(); err != nil { // a shell without anything to do
		t.Errorf("got %v, %s", err, said)
	}
}

func TestAProgramThatCannotBeStartedIsSaidAsAWSSaysIt(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for program, why := range map[string]string{filepath.Join(dir, "nowhere"): "no such file or directory", text: "exec format error", dir: "is a directory"} {
		address, outcomes := runtimeAPI(t)
		c, said := bridge(t, address, program)
		err := c.Wait()
		message := "fork/exec " + program + ": " + why
		want := posted{"/init/error", "PathError", "", `{"errorMessage":"` + message + `","errorType":"PathError"}`}
		if got := <-outcomes; got != want || c.ProcessState.ExitCode() != 1 || said.String() != message+": PathError\n" {
			t.Errorf("%v: got %+v, want %+v\n%s", err, got, want, said)
		}
	}
}
