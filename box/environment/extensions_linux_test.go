//go:build linux

package environment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/box/sandbox/process"
	"kiln/telemetry"
)

// withExtension gives the boxes of r an /opt with one extension, in Go.
func (r *real) withExtension(t *testing.T) *real {
	t.Helper()
	opt := t.TempDir()
	c := exec.Command("go", "build", "-o", filepath.Join(opt, "extensions", "lifeext"), "kiln/test/e2e/testdata/lifeext")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build the extension: %v\n%s", err, out)
	}
	r.more = append(r.more, sandbox.Mount{Source: opt, Target: "/opt"})
	return r
}

// heard gives what the extension said so far.
func (g *realRig) heard() string {
	var out []string
	for _, e := range g.sink.all() {
		if e.Type == telemetry.ExtensionLine {
			out = append(out, strings.TrimPrefix(string(e.Line), "lifeext hears "))
		}
	}
	return strings.Join(out, ", ")
}

func playExtension(t *testing.T, r *real) {
	t.Helper()
	known := func(o *environment.Options) { o.Extensions = environment.FindExtensions(r.mounts()) }
	t.Run("told of invocations and of the end, also when it rested", func(t *testing.T) {
		g := r.start(t, known)
		for range 2 {
			if got, _ := g.tell("echo"); got != "done" {
				t.Errorf("got %q", got)
			}
		}
		g.free()
		g.Rest()
		until(t, "it rests", func() bool { return g.State() == environment.Frozen })
		began := time.Now()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if got := g.heard(); got != "INVOKE, INVOKE, SHUTDOWN spindown" {
			t.Errorf("the extension heard %s", got)
		}
		t.Logf("the end took %v", time.Since(began))
	})
	t.Run("told why, and the box is kept", func(t *testing.T) {
		g := r.start(t, known, func(o *environment.Options) {
			o.Version.Config.Environment = map[string]string{"PLOT": "die in invoke"}
		})
		o := g.invoke(`"echo"`)
		if o.Report.ErrorType != "Extension.Crash" && o.Failed {
			t.Errorf("got %s", o.Payload)
		}
		// It has left its mark in /tmp, and does not die again.
		if got, _ := g.tell("echo"); got != "done" {
			t.Errorf("got %q", got)
		}
		if _, o := g.tell("exit 7"); o.Report.ErrorType != "Runtime.ExitError" {
			t.Errorf("got %+v", o.Report)
		}
		if got, _ := g.tell("echo"); got != "done" {
			t.Errorf("got %q", got)
		}
		g.free()
		if got := g.heard(); got != "INVOKE, INVOKE, INVOKE, SHUTDOWN failure, INVOKE" {
			t.Errorf("the extension heard %s", got)
		}
	})
}

func TestExtensionsInABoxWithoutIsolation(t *testing.T) {
	d, err := process.New(process.Options{Dir: filepath.Join(t.TempDir(), "boxes")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	playExtension(t, (&real{driver: d, code: build(t)}).withExtension(t))
}

func TestExtensionsInABox(t *testing.T) { playExtension(t, isolated(t).withExtension(t)) }
