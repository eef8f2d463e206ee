package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// install runs a package manager three times at most: a registry may hiccup.
func install(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	var out []byte
	var err error
	for range 3 {
		cmd := exec.CommandContext(within(t, 5*time.Minute), name, args...)
		cmd.Dir = dir
		if out, err = cmd.CombinedOutput(); err == nil {
			return
		}
	}
	t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
}

// thousand calls a function a second and a 1,000th time: what holds at first must
// hold on.
func thousand(t testing.TB, c *lambda.Client, name, payload, want string) {
	t.Helper()
	if got := answer(t, c, name, payload); got != want {
		t.Fatalf("%s, second call: got %.200s, want %.200s", name, got, want)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 125 {
				out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(payload)})
				if err != nil || out.FunctionError != nil || string(out.Payload) != want {
					t.Errorf("%s: %v %.200s", name, err, payloadOf(out))
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestAPythonFunctionMakesAThumbnailWithPillowFromItsWheel(t *testing.T) {
	s := start(t)
	py := needPython(t)
	dir := t.TempDir()
	version := strings.TrimPrefix(py, "python")
	install(t, dir, pythonAbs(t), "-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:", "--python-version", version, "--implementation", "cp", "--target", dir, "pillow==12.0.0")
	if err := os.WriteFile(filepath.Join(dir, "thumb.py"), []byte(`
import base64, io
from PIL import Image

def handler(event, context):
    picture = Image.open(io.BytesIO(base64.b64decode(event["png"])))
    picture.thumbnail((16, 16))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return {"size": picture.size, "png": base64.b64encode(out.getvalue()).decode()}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	create(t, c, "thumb", py, "thumb.handler", zipDir(t, dir), memory(256))
	event := `{"png":"` + base64.StdEncoding.EncodeToString(png(t, 64, 32)) + `"}`
	got := answer(t, c, "thumb", event)
	var a struct {
		Size []int
		PNG  string
	}
	if err := json.Unmarshal([]byte(got), &a); err != nil || len(a.Size) != 2 || a.Size[0] != 16 || a.Size[1] != 8 || !strings.HasPrefix(a.PNG, "iVBOR") {
		t.Fatalf("got %s, %v", got, err)
	}
	thousand(t, c, "thumb", event, got)
}

func TestAnESModuleOfNodeUsesAnNPMDependency(t *testing.T) {
	s := start(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json": `{"name":"fn","version":"1.0.0","type":"module"}`,
		"index.mjs":    "import isNumber from 'is-number';\nexport const handler = async (event, context) => { console.log('seen', event.value); return { number: isNumber(event.value), name: context.functionName }; };\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runtime := needNode(t)
	install(t, dir, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "is-number@7.0.0")
	c := s.client()
	create(t, c, "esm", runtime, "index.handler", zipDir(t, dir))
	out := invoke(t, c, "esm", `{"value":"12"}`)
	if string(out.Payload) != `{"number":true,"name":"esm"}` || out.FunctionError != nil {
		t.Fatalf("got %s\n%s", out.Payload, tail(out))
	}
	if log := tail(out); !strings.Contains(log, "\tINFO\tseen 12") {
		t.Errorf("console.log is not in the log as AWS writes it:\n%s", log)
	}
	thousand(t, c, "esm", `{"value":"12"}`, `{"number":true,"name":"esm"}`)
}

// TestCompiledFunctionsUseAWSsLibraries runs Go, and Rust too where there is the time to
// compile it.
func TestCompiledFunctionsUseAWSsLibraries(t *testing.T) {
	s := start(t)
	c := s.client()
	create(t, c, "gofn", "provided.al2023", "bootstrap", goFunction(t, "gofn"))
	want := `{"arn":"arn:aws:lambda:eu-west-1:111111111111:function:gofn","deadline":true,"function":"gofn","hello":"WORLD","root":"/var/task"}`
	out := invoke(t, c, "gofn", `{"name":"world"}`)
	if string(out.Payload) != want {
		t.Fatalf("got %s\nwant %s\n%s", out.Payload, want, tail(out))
	}
	if !strings.Contains(tail(out), "hello from Go\n") {
		t.Errorf("log: %s", tail(out))
	}
	if kind, message := failure(t, c, "gofn", `{"fail":true}`); kind != "errorString" || message != "on purpose" {
		t.Errorf("an error of the handler: %s %s", kind, message)
	}
	if kind, message := failure(t, c, "gofn", `{"panic":true}`); kind != "string" || message != "on purpose" {
		t.Errorf("a panic of the handler: %s %s", kind, message)
	}
	thousand(t, c, "gofn", `{"name":"world"}`, want)
	if os.Getenv("KILN_TEST_FULL") == "1" {
		rust(t, c)
	}
}

// rust runs a function that AWS's own crate serves.
func rust(t testing.TB, c *lambda.Client) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rustfn") // cargo writes beside its sources
	if err := os.CopyFS(dir, os.DirFS("testdata/rustfn")); err != nil {
		t.Fatal(err)
	}
	install(t, dir, "cargo", "build", "--release", "--quiet")
	program, err := os.ReadFile(filepath.Join(dir, "target", "release", "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	create(t, c, "rustfn", "provided.al2023", "bootstrap", zipOf(t, file{Name: "bootstrap", Text: string(program), Mode: 0o755}))
	want := `{"arn":"arn:aws:lambda:eu-west-1:111111111111:function:rustfn","deadline":true,"function":"rustfn","hello":"WORLD","id":36}`
	out := invoke(t, c, "rustfn", `{"name":"world"}`)
	if string(out.Payload) != want || !strings.Contains(tail(out), `seen "world"`) {
		t.Fatalf("got %s\nwant %s\n%s", out.Payload, want, tail(out))
	}
	if kind, message := failure(t, c, "rustfn", `{"fail":true}`); kind == "" || message != "on purpose" {
		t.Errorf("an error of the handler: %s %s", kind, message)
	}
	thousand(t, c, "rustfn", `{"name":"world"}`, want)
}

func TestAShellScriptIsACustomRuntime(t *testing.T) {
	s := start(t)
	c := s.client()
	script := `#!/bin/bash
set -eu
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  event=$(curl -sS -D /tmp/headers "$api/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '\r' | cut -d' ' -f2)
  echo "handling $id"
  curl -sS -X POST "$api/$id/response" -d "{\"echo\":$event}" >/dev/null
done
`
	create(t, c, "shell", "provided.al2023", "whatever", zipOf(t, file{Name: "bootstrap", Text: script, Mode: 0o755}))
	out := invoke(t, c, "shell", `{"a":1}`)
	if string(out.Payload) != `{"echo":{"a":1}}` || !strings.Contains(tail(out), "handling ") {
		t.Fatalf("got %s\n%s", out.Payload, tail(out))
	}
	if got := answer(t, c, "shell", `[]`); got != `{"echo":[]}` {
		t.Errorf("second call: %s", got)
	}
}

func TestTwoHundredFirstCallsOfAColdFunctionAreAllAnswered(t *testing.T) {
	s := start(t)
	c := s.client()
	create(t, c, "burst", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "import os, time\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    time.sleep(0.05)\n    return [event['n'], os.environ['AWS_LAMBDA_LOG_STREAM_NAME'], count]\n"}), memory(128))
	type result struct {
		N      int
		Stream string
		Count  int
	}
	results := make([]result, 200)
	var wg sync.WaitGroup
	for n := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			payload, _ := json.Marshal(map[string]int{"n": n})
			out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("burst"), Payload: payload}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
			if err != nil || out.FunctionError != nil {
				t.Errorf("call %d: %v %s", n, err, payloadOf(out))
				return
			}
			var parts []any
			if err := json.Unmarshal(out.Payload, &parts); err != nil || len(parts) != 3 {
				t.Errorf("call %d: %v %s", n, err, out.Payload)
				return
			}
			results[n] = result{int(parts[0].(float64)), parts[1].(string), int(parts[2].(float64))}
		}()
	}
	wg.Wait()
	last := map[string]int{}
	calls := map[string]int{}
	for n, r := range results {
		if r.N != n {
			t.Errorf("call %d got the answer of call %d", n, r.N)
		}
		calls[r.Stream]++
		last[r.Stream] = max(last[r.Stream], r.Count)
	}
	for stream, n := range calls {
		if last[stream] != n {
			t.Errorf("environment %s answered %d calls and counted %d", stream, n, last[stream])
		}
	}
	t.Logf("200 calls ran in %d environments", len(calls))
}

func pythonAbs(t testing.TB) string {
	p, err := filepath.Abs(pythonClient(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
