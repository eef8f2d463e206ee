package harness

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
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
	"github.com/aws/smithy-go"
)

// Role is the role of every function here.
const Role = "arn:aws:iam::" + Account + ":role/any"

// File is one entry of a package.
type File struct {
	Name string
	Text string
	Mode fs.FileMode
}

// Zip packs files.
func Zip(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
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

// ZipDir packs a directory as it is.
func ZipDir(t testing.TB, dir string) []byte {
	t.Helper()
	var files []File
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
		files = append(files, File{name, string(text), info.Mode().Perm() | 0o444})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return Zip(t, files...)
}

// Settings of a function that differ from the usual ones.
type Settings func(*lambda.CreateFunctionInput)

// Memory is the memory size in MB.
func Memory(mb int32) Settings {
	return func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(mb) }
}

// Timeout is the time limit in seconds.
func Timeout(s int32) Settings {
	return func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(s) }
}

// Variables is the function's environment.
func Variables(kv map[string]string) Settings {
	return func(in *lambda.CreateFunctionInput) { in.Environment = &types.Environment{Variables: kv} }
}

// Create makes a function and waits with the SDK's own waiter until it is active.
func Create(t testing.TB, c *lambda.Client, name, runtime, handler string, code []byte, set ...Settings) {
	t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Runtime: types.Runtime(runtime), Handler: aws.String(handler), Role: aws.String(Role),
		Code: &types.FunctionCode{ZipFile: code}, Timeout: aws.Int32(30),
	}
	for _, s := range set {
		s(in)
	}
	ctx := Within(t, 2*time.Minute)
	if _, err := c.CreateFunction(ctx, in); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(c, soon).Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(name)}, time.Minute); err != nil {
		t.Fatalf("wait for %s: %v", name, err)
	}
}

// soon lets the SDK's waiter ask again after less than its second.
func soon(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = 20 * time.Millisecond }

// Invoke calls a function and returns its whole answer.
func Invoke(t testing.TB, c *lambda.Client, name, payload string) *lambda.InvokeOutput {
	t.Helper()
	out, err := c.Invoke(Within(t, 2*time.Minute), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		t.Fatalf("invoke %s: %v", name, err)
	}
	return out
}

// Answer calls a function that must succeed and gives its payload.
func Answer(t testing.TB, c *lambda.Client, name, payload string) string {
	t.Helper()
	out := Invoke(t, c, name, payload)
	if out.FunctionError != nil {
		t.Fatalf("%s answered with the error %s\n%s", name, out.Payload, Tail(out))
	}
	return string(out.Payload)
}

// Failure calls a function that must fail and gives its error.
func Failure(t testing.TB, c *lambda.Client, name, payload string) (kind, message string) {
	t.Helper()
	return FailureOf(t, name, Invoke(t, c, name, payload))
}

// FailureOf gives the error of an answer that must be one.
func FailureOf(t testing.TB, name string, out *lambda.InvokeOutput) (kind, message string) {
	t.Helper()
	if aws.ToString(out.FunctionError) != "Unhandled" || out.StatusCode != 200 {
		t.Fatalf("%s: function error %q, status %d, payload %.300s", name, aws.ToString(out.FunctionError), out.StatusCode, out.Payload)
	}
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(out.Payload, &e); err != nil {
		t.Fatalf("%s: %v in %s", name, err, out.Payload)
	}
	return e.ErrorType, e.ErrorMessage
}

// Tail is the end of an invocation's log.
func Tail(out *lambda.InvokeOutput) string {
	text, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult)) // the SDK would have failed before
	return string(text)
}

// PayloadOf is what an invocation answered, if it did.
func PayloadOf(out *lambda.InvokeOutput) string {
	if out == nil {
		return ""
	}
	return string(out.Payload)
}

// APIError gives code and text of a refusal.
func APIError(t testing.TB, err error) (code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Fatalf("no API error but %v", err)
	}
	return e.ErrorCode(), e.ErrorMessage()
}

// Ready asks kiln itself which of some runtimes the machine can serve, and gives the
// first; "" when it can serve none.
func (k *Kiln) Ready(identifiers ...string) string {
	data, err := os.MkdirTemp(k.Work, "runtimes-")
	if err != nil {
		return ""
	}
	defer os.RemoveAll(data)
	out, err := exec.Command(k.Binary, "runtime", "ls", "-o", "json", "--data-dir", data).Output()
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

// GoProgram builds a Go program once for a whole run, statically, and gives its
// bytes. dir is a folder with a module of its own, or a package of this module when
// it has none.
func (k *Kiln) GoProgram(t testing.TB, dir string) []byte {
	t.Helper()
	k.mu.Lock()
	build, ok := k.builds[dir]
	if !ok {
		build = sync.OnceValues(func() ([]byte, error) { return k.goBuild(dir) })
		k.builds[dir] = build
	}
	k.mu.Unlock()
	text, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goBuild is one build of GoProgram.
func (k *Kiln) goBuild(dir string) ([]byte, error) {
	out := filepath.Join(k.Work, "go_"+strings.NewReplacer("/", "_", ".", "_").Replace(dir))
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		cmd.Env = append(cmd.Env, "GOFLAGS=-mod=mod")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(errors.New("build "+dir+"\n"+string(text)), err)
	}
	return os.ReadFile(out)
}
