//go:build linux

package environment_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/process"
	"kiln/telemetry"
)

// real is a driver and a function for its boxes.
type real struct {
	driver sandbox.Driver
	code   string // the directory that becomes /var/task
	more   []sandbox.Mount
}

// mounts are those of its boxes.
func (r *real) mounts() []sandbox.Mount {
	return append([]sandbox.Mount{{Target: "/"}, {Source: r.code, Target: "/var/task"}}, r.more...)
}

// build makes the function. Where there is no Go, the variable KILN_TEST_GUEST names
// one that was built before.
func build(t testing.TB) string {
	t.Helper()
	code := filepath.Join(t.TempDir(), "code")
	if built := os.Getenv("KILN_TEST_GUEST"); built != "" {
		if err := os.CopyFS(code, os.DirFS(filepath.Dir(built))); err != nil {
			t.Fatal(err)
		}
		return code
	}
	c := exec.Command("go", "build", "-o", filepath.Join(code, "bootstrap"), "kiln/box/environment/testdata/guest")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	return code
}

// isolated opens the driver with isolation. Nothing is left of it after the test.
func isolated(t testing.TB) *real {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	code := build(t)
	d, err := linux.New(linux.Options{Owner: fmt.Sprintf("envtest%d", os.Getpid()), StateDir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &real{driver: d, code: code}
}

// start makes a box with 128 MB and an environment in it.
func (r *real) start(t testing.TB, change ...func(*environment.Options)) *realRig {
	t.Helper()
	id := strings.ReplaceAll(kiln.NewID(), "-", "")
	box, err := r.driver.Create(t.Context(), sandbox.Spec{
		ID: id, Mounts: r.mounts(),
		MemoryBytes: 128 << 20, CPUWeight: 100, PIDs: 200, OpenFiles: 1024, ScratchBytes: 64 << 20, Hostname: "localhost",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	o := options(nil, s)
	o.ID, o.Sandbox, o.Logger = id, box, slog.New(slog.NewTextHandler(t.Output(), nil))
	for _, f := range change {
		f(&o)
	}
	g := &realRig{rig{environment.New(o), nil, s, t, 0}, box}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return g
}

type realRig struct {
	rig
	sandbox sandbox.Sandbox
}

// tell runs one invocation with a word for an event and gives its answer.
func (g *realRig) tell(word string) (string, *kiln.Outcome) {
	g.t.Helper()
	event, err := json.Marshal(word)
	if err != nil {
		g.t.Fatal(err)
	}
	o := g.invoke(string(event))
	var answer string
	if !o.Failed {
		if err := json.Unmarshal(o.Payload, &answer); err != nil {
			g.t.Fatalf("%q: got %s", word, o.Payload)
		}
	}
	return answer, o
}

func TestInABoxWithoutIsolation(t *testing.T) {
	d, err := process.New(process.Options{Dir: filepath.Join(t.TempDir(), "boxes")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &real{driver: d, code: build(t)}
	g := r.start(t, func(o *environment.Options) { o.Version.Config.Timeout = 900 * time.Second })
	other := r.start(t) // two at once have an API each
	for _, word := range []string{"echo", "exit 7", "orphan", "echo"} {
		answer, o := g.tell(word)
		if o.Failed != (answer == "") || answer == "" && !strings.Contains(string(o.Payload), "Runtime.ExitError") {
			t.Errorf("%s: got %q, %s", word, answer, o.Payload)
		}
	}
	g.free().Rest()
	if answer, _ := other.tell("echo"); answer != "done" {
		t.Errorf("got %q", answer)
	}
	if o, err := g.Invoke(t.Context(), g.invocation(`"echo"`)); err != nil || o.Failed {
		t.Errorf("after a rest: got %v, %v", o, err)
	}
	slow := r.start(t, shortTimeout)
	if _, o := slow.tell("hang"); o.Report.Status != kiln.StatusTimeout {
		t.Errorf("got %s", o.Payload)
	}
}

func TestInARealBox(t *testing.T) {
	r := isolated(t)

	t.Run("an invocation is answered and measured", func(t *testing.T) {
		g := r.start(t)
		for range 3 {
			if answer, _ := g.tell("echo"); answer != "done" {
				t.Errorf("got %q", answer)
			}
		}
		g.free()
		for _, e := range g.sink.all() {
			if m := e.Report.MaxMemoryMB; e.Type == telemetry.Report && (m < 1 || m > 60) {
				t.Errorf("got %s", e.Text())
			}
		}
	})

	t.Run("a timeout kills everything and keeps /tmp", func(t *testing.T) {
		g := r.start(t, func(o *environment.Options) { o.Version.Config.Timeout = 2 * time.Second })
		g.tell("keep this")
		if _, o := g.tell("hang"); o.Report.Status != kiln.StatusTimeout || !strings.Contains(string(o.Payload), "Sandbox.Timedout") {
			t.Errorf("got %s", o.Payload)
		}
		if answer, o := g.tell("kept"); answer != "this" || o.Failed {
			t.Errorf("got %q, %s", answer, o.Payload)
		}
		g.free()
		if u, err := g.Usage(); err != nil || u.PIDs > 40 {
			t.Errorf("got %+v, %v", u, err)
		}
	})

	t.Run("exits are noticed at once", func(t *testing.T) {
		g := r.start(t, func(o *environment.Options) { o.Version.Config.Timeout = 900 * time.Second })
		for word, text := range map[string]string{
			"exit 0": "Runtime exited without providing a reason", "exit 7": "Runtime exited with error: exit status 7",
			"kill": "Runtime exited with error: signal: killed", "orphan": "Runtime exited with error: exit status 3",
		} {
			began := time.Now()
			if _, o := g.tell(word); !o.Failed || !strings.Contains(string(o.Payload), `"errorType":"Runtime.ExitError"`) || !strings.Contains(string(o.Payload), text) {
				t.Errorf("%s: got %s", word, o.Payload)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: noticed after %v", word, took)
			}
			if answer, _ := g.tell("echo"); answer != "done" {
				t.Errorf("after %s: got %q", word, answer)
			}
		}
	})

	t.Run("memory that runs out is an exit with all of it used", func(t *testing.T) {
		g := r.start(t, func(o *environment.Options) { o.Version.Config.Timeout = 900 * time.Second })
		for range 2 {
			_, o := g.tell("eat")
			if !o.Failed || !strings.Contains(string(o.Payload), "Runtime exited with error: signal: killed") || o.Report.MaxMemoryMB != 128 {
				t.Errorf("got %s, %+v", o.Payload, o.Report)
			}
			if answer, _ := g.tell("echo"); answer != "done" {
				t.Errorf("then got %q", answer)
			}
		}
	})

	t.Run("a busy thread gains nothing between two calls", func(t *testing.T) {
		g := r.start(t)
		g.tell("spin")
		g.free().Rest()
		poll(t, "frozen", func() bool { return g.State() == environment.Frozen })
		before, err := g.Usage()
		if err != nil {
			t.Fatal(err)
		}
		const pause = time.Second
		time.Sleep(pause) // the pause itself is what is measured
		after, err := g.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if gained := after.CPU - before.CPU; gained > pause/100 {
			t.Errorf("it gained %v in %v", gained, pause)
		}
		event := g.invocation(`"echo"`)
		if o, err := g.Invoke(t.Context(), event); err != nil || o.Failed {
			t.Errorf("then got %v, %v", o, err)
		}
		thawed, err := g.Usage()
		if err != nil {
			t.Fatal(err)
		}
		poll(t, "it goes on after the thaw", func() bool { u, err := g.Usage(); return err == nil && u.CPU > thawed.CPU })
	})

	t.Run("of a thousand last lines none is missing or elsewhere", func(t *testing.T) {
		g := r.start(t)
		const calls = 1000
		for range calls {
			g.tell("print")
		}
		g.free()
		id, lines := "", 0
		for _, e := range g.sink.all() {
			switch e.Type {
			case telemetry.Start:
				id = e.RequestID
			case telemetry.End:
				id = ""
			case telemetry.Line:
				if lines++; id == "" || e.RequestID != id || string(e.Line) != "line of "+id {
					t.Fatalf("line %q of %s is in %q", e.Line, e.RequestID, id)
				}
			}
		}
		if lines != calls {
			t.Errorf("%d lines of %d calls", lines, calls)
		}
	})

	t.Run("an init error is the answer when the retry fails too", func(t *testing.T) {
		g := r.start(t, func(o *environment.Options) { o.Version.Config.Environment = map[string]string{"FAIL_INIT": "1"} })
		if _, o := g.tell("echo"); string(o.Payload) != `{"errorType":"Runtime.Broken","errorMessage":"cannot"}` {
			t.Errorf("got %s", o.Payload)
		}
	})

	t.Run("a program that is not there or may not be executed", func(t *testing.T) {
		g := r.start(t, func(o *environment.Options) { o.Runtime.Command = []string{"/var/task/nothing"} })
		if _, o := g.tell("echo"); !strings.Contains(string(o.Payload), "fork/exec /var/task/nothing: no such file or directory") {
			t.Errorf("got %s", o.Payload)
		}
		g = r.start(t, func(o *environment.Options) { o.Runtime.Command = []string{"/var/task"} })
		if _, o := g.tell("echo"); !strings.Contains(string(o.Payload), "fork/exec /var/task: permission denied") {
			t.Errorf("got %s", o.Payload)
		}
	})

	t.Run("the end of the box is noticed", func(t *testing.T) {
		g := r.start(t)
		g.free()
		result := make(chan *kiln.Outcome, 1)
		event := g.invocation(`"hang"`)
		go func() {
			o, err := g.Invoke(t.Context(), event)
			if err != nil {
				t.Error(err)
			}
			result <- o
		}()
		poll(t, "the function runs", func() bool { return g.State() == environment.Invoking })
		if err := g.sandbox.Destroy(); err != nil {
			t.Fatal(err)
		}
		if o := <-result; o == nil || !o.Failed || !strings.Contains(string(o.Payload), "Sandbox.Failure") {
			t.Errorf("got %+v", o)
		}
		poll(t, "the environment is over", func() bool { return g.State() == environment.Dead })
		if _, err := g.Usage(); !errors.Is(err, sandbox.ErrGone) {
			t.Errorf("got %v", err)
		}
	})
}
