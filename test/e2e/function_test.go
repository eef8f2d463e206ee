package e2e_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const role = "arn:aws:iam::111111111111:role/any"

// file is one entry of a package.
type file struct {
	Name string
	Text string
	Mode fs.FileMode
}

// zipOf packs files.
func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		h.SetMode(mode)
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write([]byte(f.Text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipDir packs a directory as it is.
func zipDir(t testing.TB, dir string) []byte {
	t.Helper()
	var files []file
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		files = append(files, file{name, string(text), info.Mode().Perm() | 0o444})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return zipOf(t, files...)
}

// settings of a function that differ from the usual ones.
type settings func(*lambda.CreateFunctionInput)

func memory(mb int32) settings {
	return func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(mb) }
}

func timeout(s int32) settings {
	return func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(s) }
}

func variables(kv map[string]string) settings {
	return func(in *lambda.CreateFunctionInput) { in.Environment = &types.Environment{Variables: kv} }
}

// create makes a function and waits with the SDK's own waiter until it is active.
func create(t testing.TB, c *lambda.Client, name, runtime, handler string, code []byte, set ...settings) {
	t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Runtime: types.Runtime(runtime), Handler: aws.String(handler), Role: aws.String(role),
		Code: &types.FunctionCode{ZipFile: code}, Timeout: aws.Int32(30),
	}
	for _, s := range set {
		s(in)
	}
	ctx := within(t, 2*time.Minute)
	if _, err := c.CreateFunction(ctx, in); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(name)}, time.Minute); err != nil {
		t.Fatalf("wait for %s: %v", name, err)
	}
}

// invoke calls a function and returns its whole answer.
func invoke(t testing.TB, c *lambda.Client, name, payload string) *lambda.InvokeOutput {
	t.Helper()
	out, err := c.Invoke(within(t, 2*time.Minute), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		t.Fatalf("invoke %s: %v", name, err)
	}
	return out
}

// answer calls a function that must succeed and gives its payload.
func answer(t testing.TB, c *lambda.Client, name, payload string) string {
	t.Helper()
	out := invoke(t, c, name, payload)
	if out.FunctionError != nil {
		t.Fatalf("%s answered with the error %s\n%s", name, out.Payload, tail(out))
	}
	return string(out.Payload)
}

// failure calls a function that must fail and gives its error.
func failure(t testing.TB, c *lambda.Client, name, payload string) (kind, message string) {
	t.Helper()
	out := invoke(t, c, name, payload)
	if aws.ToString(out.FunctionError) != "Unhandled" || out.StatusCode != 200 {
		t.Fatalf("%s: function error %q, status %d, payload %s", name, aws.ToString(out.FunctionError), out.StatusCode, out.Payload)
	}
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(out.Payload, &e); err != nil {
		t.Fatalf("%s: %v in %s", name, err, out.Payload)
	}
	return e.ErrorType, e.ErrorMessage
}

// python is the identifier of an interpreter that this machine has.
var python = sync.OnceValue(func() string { return ready("python3.13", "python3.12", "python3.11", "python3.10", "python3.9") })

// node is the same for Node.js.
var node = sync.OnceValue(func() string { return ready("nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x") })

// ready asks kiln itself which of the runtimes the machine can serve.
func ready(identifiers ...string) string {
	data, err := os.MkdirTemp("", "kiln-e2e-runtimes-")
	if err != nil {
		return ""
	}
	defer os.RemoveAll(data)
	out, err := exec.Command(binary, "runtime", "ls", "-o", "json", "--data-dir", data).Output()
	if err != nil {
		return ""
	}
	var list []struct{ Identifier, State string }
	if json.Unmarshal(out, &list) != nil {
		return ""
	}
	for _, id := range identifiers {
		for _, r := range list {
			if r.Identifier == id && r.State == "ready" {
				return id
			}
		}
	}
	return ""
}

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
var goBuilds sync.Map

func goFunction(t testing.TB, dir string) []byte {
	t.Helper()
	once, _ := goBuilds.LoadOrStore(dir, sync.OnceValues(func() ([]byte, error) {
		out := filepath.Join(work, strings.ReplaceAll(dir, "/", "_"))
		cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", out, ".")
		cmd.Dir = filepath.Join("testdata", dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
		if text, err := cmd.CombinedOutput(); err != nil {
			return text, err
		}
		return os.ReadFile(out)
	}))
	text, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, text)
	}
	return zipOf(t, file{"bootstrap", string(text), 0o755})
}
