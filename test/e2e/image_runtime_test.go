package e2e_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// systemPython gives Debian's own interpreter with its version.
func systemPython(t testing.TB) (program, version string) {
	t.Helper()
	out, err := exec.Command("/usr/bin/python3", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) != 2 {
		t.Fatalf("needs /usr/bin/python3, whose files are what the image is made of: %v", err)
	}
	return "/usr/bin/python" + fields[0], fields[0]
}

// pythonRoot gives the files of an image with a Python: the interpreter at another
// place than AWS has it, its library, and what both are linked with.
func pythonRoot(t testing.TB, program, version string) []file {
	t.Helper()
	files := []file{{Name: "usr/local/bin/python" + version, Text: text(t, program), Mode: 0o755}}
	library := "/usr/lib/python" + version
	linked := map[string]bool{program: true}
	err := filepath.WalkDir(library, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "test" || d.Name() == "__pycache__" || d.Name() == "ensurepip" || d.Name() == "idlelib" || d.Name() == "lib2to3" || d.Name() == "pydoc_data" || strings.HasPrefix(d.Name(), "config-")):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".so"):
			linked[name] = true
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			files = append(files, file{Name: "usr/local/lib" + strings.TrimPrefix(name, "/usr/lib"), Text: text(t, name)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name := range linked {
		out, err := exec.Command("ldd", name).Output()
		if err != nil {
			t.Fatalf("ldd %s: %v", name, err)
		}
		for _, lib := range regexp.MustCompile(`(?m)(/\S+\.so\S*) \(0x`).FindAllStringSubmatch(string(out), -1) {
			if !seen[lib[1]] {
				seen[lib[1]] = true
				files = append(files, file{Name: strings.TrimPrefix(lib[1], "/"), Text: text(t, lib[1]), Mode: 0o755})
			}
		}
	}
	return files
}

func text(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestARuntimeIsServedByTheRootOfAnImage(t *testing.T) {
	program, version := systemPython(t)
	host := startRegistry(t)
	identifier := "python" + version
	root := layerOf(t, pythonRoot(t, program, version)...)
	image := imageOf(t, v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin", "PYTHONHOME=/usr/local", "FROM_IMAGE=yes"}},
		root, layerOf(t, file{Name: "marker", Text: "the image"}))
	digest := pushImage(t, image, host+"/python:"+version)
	client := imageOf(t, v1.Config{Env: []string{"FROM_IMAGE=aws"}},
		layerOf(t, file{Name: "var/runtime/bootstrap", Text: imageProgram(t), Mode: 0o755}, file{Name: "marker", Text: "of AWS"}))
	pushImage(t, client, host+"/lambda/nodejs:18")

	s := start(t)
	kiln := func(fails bool, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(within(t, 2*time.Minute), binary, args...)
		cmd.Env = append(os.Environ(), "KILN_ENDPOINT="+s.URL, "NO_COLOR=1")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Run(); (err != nil) != fails {
			t.Fatalf("kiln %q: %v\n%s", args, err, said.String())
		}
		return said.String()
	}
	kiln(false, "runtime", "add", identifier, "--image", host+"/python:"+version)
	c := s.client()
	create(t, c, "py", identifier, "app.handler", zipOf(t, file{Name: "app.py", Text: `
import os, sys
def handler(event, context):
    return [event, sys.executable, sys.version_info[:2], open("/marker").read(), os.environ["FROM_IMAGE"], os.environ["AWS_EXECUTION_ENV"], context.function_name, os.getcwd()]
`}))
	want := `[{"a": 1}, "/usr/local/bin/python` + version + `", [` + strings.Replace(version, ".", ", ", 1) + `], "the image", "yes", "AWS_Lambda_` + identifier + `", "py", "/var/task"]`
	if got := answer(t, c, "py", `{"a":1}`); got != want {
		t.Errorf("it answers %s, want %s", got, want)
	}

	// An image with AWS's client runs that.
	kiln(false, "runtime", "add", "nodejs18.x", "--image", host+"/lambda/nodejs:18")
	create(t, c, "js", "nodejs18.x", "index.handler", zipOf(t, file{Name: "index.js", Text: "not run by this client"}))
	if got := look(t, c, "js"); got.Marker != "of AWS" || got.Args[0] != "/var/runtime/bootstrap" || got.Env["_HANDLER"] != "index.handler" || got.Env["FROM_IMAGE"] != "aws" || got.Dir != "/var/task" {
		t.Errorf("with a client of its own it runs %q of %q in %s with handler %q", got.Args, got.Marker, got.Dir, got.Env["_HANDLER"])
	}

	// An image of another version is refused, and one without the language.
	other := "python3.8"
	if identifier == other {
		other = "python3.9"
	}
	renamed := imageOf(t, v1.Config{Env: []string{"PATH=/usr/local/bin", "PYTHONHOME=/usr/local"}},
		root, layerOf(t, file{Name: "usr/local/bin/" + other, Text: text(t, program), Mode: 0o755}))
	pushImage(t, renamed, host+"/liar:1")
	if said := kiln(true, "runtime", "add", other, "--image", host+"/liar:1"); !strings.Contains(said, "it is "+version) {
		t.Errorf("an image of Python %s for %s: %s", version, other, said)
	}
	if said := kiln(true, "runtime", "add", "ruby3.4", "--image", host+"/python:"+version); !strings.Contains(said, "has neither /var/runtime/bootstrap nor Ruby 3.4") {
		t.Errorf("an image of Python for Ruby: %s", said)
	}
	if said := kiln(true, "runtime", "add", "provided.al2023", "--image", host+"/python:"+version); !strings.Contains(said, "needs nothing") {
		t.Errorf("an image for a runtime that needs none: %s", said)
	}

	release := func() string {
		t.Helper()
		f, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("py")})
		if err != nil {
			t.Fatal(err)
		}
		if f.RuntimeVersionConfig == nil {
			return ""
		}
		return aws.ToString(f.RuntimeVersionConfig.RuntimeVersionArn)
	}
	if got := release(); !strings.HasSuffix(got, "runtime:"+digest) {
		t.Errorf("the release is %s, want the image's digest %s", got, digest)
	}
	kiln(false, "runtime", "rm", identifier)
	if got := release(); strings.HasSuffix(got, digest) {
		t.Errorf("after rm the release is still %s", got)
	}
}
