package e2e_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// The short names of what the harness has.

const role = harness.Role

type (
	file     = harness.File
	settings = harness.Settings
)

func zipOf(t testing.TB, files ...file) []byte       { t.Helper(); return harness.Zip(t, files...) }
func zipDir(t testing.TB, dir string) []byte         { t.Helper(); return harness.ZipDir(t, dir) }
func memory(mb int32) settings                       { return harness.Memory(mb) }
func timeout(s int32) settings                       { return harness.Timeout(s) }
func variables(kv map[string]string) settings        { return harness.Variables(kv) }
func tail(out *lambda.InvokeOutput) string           { return harness.Tail(out) }
func payloadOf(out *lambda.InvokeOutput) string      { return harness.PayloadOf(out) }
func apiError(t testing.TB, err error) (_, _ string) { t.Helper(); return harness.APIError(t, err) }

// create makes a function and waits with the SDK's own waiter until it is active.
func create(t testing.TB, c *lambda.Client, name, runtime, handler string, code []byte, set ...settings) {
	t.Helper()
	harness.Create(t, c, name, runtime, handler, code, set...)
}

// invoke calls a function and returns its whole answer.
func invoke(t testing.TB, c *lambda.Client, name, payload string) *lambda.InvokeOutput {
	t.Helper()
	return harness.Invoke(t, c, name, payload)
}

// answer calls a function that must succeed and gives its payload.
func answer(t testing.TB, c *lambda.Client, name, payload string) string {
	t.Helper()
	return harness.Answer(t, c, name, payload)
}

// failure calls a function that must fail and gives its error.
func failure(t testing.TB, c *lambda.Client, name, payload string) (kind, message string) {
	t.Helper()
	return harness.Failure(t, c, name, payload)
}

// python is the identifier of an interpreter that this machine has.
var python = sync.OnceValue(func() string { return built.Ready("python3.13", "python3.12", "python3.11", "python3.10", "python3.9") })

// node is the same for Node.js.
var node = sync.OnceValue(func() string { return built.Ready("nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x") })

func needPython(t testing.TB) string {
	t.Helper()
	needRoot(t)
	if python() == "" {
		t.Fatal("no Python runtime is ready on this machine; make test installs python3")
	}
	return python()
}

func needNode(t testing.TB) string {
	t.Helper()
	needRoot(t)
	if node() == "" {
		t.Fatal("no Node.js runtime is ready on this machine; make test installs nodejs")
	}
	return node()
}

// goFunction builds a Go program of testdata once and packs it as bootstrap.
func goFunction(t testing.TB, dir string) []byte {
	t.Helper()
	return zipOf(t, file{Name: "bootstrap", Text: string(built.GoProgram(t, filepath.Join("testdata", dir))), Mode: 0o755})
}
