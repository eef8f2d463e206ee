package e2e_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// commandLine is bin/kiln as a user starts it.
type commandLine struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
	talk bytes.Buffer
}

// begin starts kiln with variables beside those of the test. It is killed when the
// test ends, should it still run.
func begin(t testing.TB, stdin string, env []string, args ...string) *commandLine {
	t.Helper()
	c := &commandLine{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	c.cmd.Stdin = strings.NewReader(stdin)
	c.cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	c.cmd.Stdout, c.cmd.Stderr = c.into(&c.out), c.into(&c.talk)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.done) }() // the exit code is in ProcessState
	t.Cleanup(func() {
		select {
		case <-c.done:
		default:
			_ = c.cmd.Process.Kill()
			<-c.done
		}
	})
	return c
}

func (c *commandLine) into(b *bytes.Buffer) writerFunc {
	return func(p []byte) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return b.Write(p)
	}
}

// said gives what is on stdout and stderr until now.
func (c *commandLine) said() (out, talk string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String(), c.talk.String()
}

// signal sends a signal to the process.
func (c *commandLine) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// end waits for the process and gives its exit code.
func (c *commandLine) end(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(limit):
		out, talk := c.said()
		t.Fatalf("kiln %q did not end within %v\nstdout: %s\nstderr: %s", c.cmd.Args[1:], limit, out, talk)
	}
	return c.cmd.ProcessState.ExitCode()
}

// kiln runs one command to its end.
func kiln(t testing.TB, env []string, args ...string) (code int, out, talk string) {
	t.Helper()
	c := begin(t, "", env, args...)
	code = c.end(t, 2*time.Minute)
	out, talk = c.said()
	return code, out, talk
}

// write makes a folder with files; one that begins with #! is executable.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fn")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sleeper is a custom runtime that says "sleeping", sleeps for as many seconds as
// the event says, and answers with the event.
const sleeper = `#!/bin/bash
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  event=$(curl -sS -D /tmp/h "$api/next")
  id=$(tr -d '\r' </tmp/h | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')
  echo sleeping
  sleep "$event"
  curl -sS -o /dev/null --data-binary "$event" "$api/$id/response"
done
`

// empty checks that nothing is left in a folder of runs, and no mount, loop device
// or process of it.
func empty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a usage error makes none
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
	}
	assertNothingLeft(t, dir)
}

func TestRunMakesOneInvocationAndExitsByItsOutcome(t *testing.T) {
	needRoot(t)
	python := needPython(t)
	script := write(t, map[string]string{
		"answers.py": "def handler(event, context):\n    print('greeting', event)\n    return {'got': event}\n",
		"raises.py":  "def handler(event, context):\n    raise ValueError('no way')\n",
		"event.json": `{"name": "Ada"}`,
	})
	in := func(name string) string { return filepath.Join(script, name) }
	tests := map[string]struct {
		stdin string
		args  []string
		code  int
		out   string
		talk  []string
	}{
		"an answer":               {args: []string{in("answers.py"), "--runtime", python, "--event", in("event.json")}, out: "{\"got\": {\"name\": \"Ada\"}}\n", talk: []string{"START RequestId: ", "greeting {'name': 'Ada'}\n", "REPORT RequestId: "}},
		"an event from stdin":     {args: []string{in("answers.py"), "--runtime", python, "--event", "-", "--quiet"}, stdin: "[1]", out: "{\"got\": [1]}\n"},
		"any runtime of a family": {args: []string{in("answers.py"), "--event", "-", "--quiet"}, stdin: "1", out: "{\"got\": 1}\n"},
		"an error of the function": {
			args: []string{in("raises.py"), "--runtime", python, "-q"}, code: 1, talk: []string{"kiln: the function failed: ValueError: no way\n"},
		},
		"a runtime that is not here": {args: []string{in("answers.py"), "--runtime", "ruby3.3"}, code: 3, talk: []string{"kiln: answers cannot be put in place: ", "ruby3.3"}},
		"a setting out of range":     {args: []string{in("answers.py"), "--runtime", python, "--memory", "64"}, code: 3, talk: []string{"'memorySize' failed to satisfy constraint"}},
		"an event that is not there": {args: []string{in("answers.py"), "--event", in("no.json")}, code: 2, talk: []string{"no.json does not exist"}},
		"nothing to run":             {args: []string{in("event.json")}, code: 2, talk: []string{"neither a zip, nor a Linux program, nor a script"}},
	}
	data := t.TempDir()
	env := []string{"KILN_DATA_DIR=" + data}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := begin(t, tt.stdin, env, append([]string{"run"}, tt.args...)...)
			code := c.end(t, 2*time.Minute)
			out, talk := c.said()
			if code != tt.code || tt.out != "" && out != tt.out {
				t.Errorf("got %d %q, want %d %q\nstderr: %s", code, out, tt.code, tt.out, talk)
			}
			if tt.code == 1 && !strings.Contains(out, `"errorType"`) {
				t.Errorf("stdout is %q, want the error of the function", out)
			}
			if tt.code > 1 && (out != "" || strings.Count(talk, "\n") != 1) {
				t.Errorf("stdout is %q and stderr %q, want nothing and one line", out, talk)
			}
			for _, part := range tt.talk {
				if !strings.Contains(talk, part) {
					t.Errorf("stderr is %q, want it to say %q", talk, part)
				}
			}
			empty(t, filepath.Join(data, "run"))
		})
	}
}

func TestRunEndsAtOnceOnCtrlCAndLeavesNothing(t *testing.T) {
	runs, c := sleepingRun(t, t.TempDir())
	c.signal(t, syscall.SIGINT)
	if code := c.end(t, 20*time.Second); code != 130 {
		t.Errorf("got exit code %d, want 130", code)
	}
	empty(t, runs)
}

func TestWhatAKilledRunLeavesIsRemovedByALaterOne(t *testing.T) {
	data := t.TempDir()
	runs, c := sleepingRun(t, data)
	c.signal(t, syscall.SIGKILL)
	c.end(t, 20*time.Second)
	entries, err := os.ReadDir(runs)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the killed run left %v, %v: this test would prove nothing", entries, err)
	}
	left := filepath.Join(runs, entries[0].Name())
	text, err := os.ReadFile(filepath.Join(left, "owner"))
	if err != nil {
		t.Fatal(err)
	}
	owner := strings.TrimSpace(string(text))
	if groups := cgroupsOf(owner); groups == nil {
		t.Fatal("the killed run left no cgroup: this test would prove nothing")
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	if code, _, talk := kiln(t, []string{"KILN_DATA_DIR=" + data}, "run", write(t, map[string]string{"bootstrap": "#!/bin/sh\n"})); code != 1 {
		t.Fatalf("got %d %s", code, talk)
	}
	empty(t, runs)
	if groups := cgroupsOf(owner); groups != nil {
		t.Errorf("left behind: %q", groups)
	}
}

// sleepingRun starts kiln run of a function that sleeps, and gives the folder of
// runs once it does.
func sleepingRun(t *testing.T, data string) (runs string, c *commandLine) {
	t.Helper()
	needRoot(t)
	dir := write(t, map[string]string{"bootstrap": sleeper})
	c = begin(t, "600", []string{"KILN_DATA_DIR=" + data}, "run", dir, "--event", "-", "--timeout", "900s")
	eventually(t, time.Minute, "the function sleeps", func() bool {
		_, talk := c.said()
		return strings.Contains(talk, "sleeping\n")
	})
	runs = filepath.Join(data, "run")
	if left := leftovers(runs); left == nil {
		t.Fatal("the function runs and there is nothing of it: this test would see nothing")
	}
	return runs, c
}

// cgroupsOf gives the control groups that carry an owner id.
func cgroupsOf(owner string) []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/*%s*", "/sys/fs/cgroup/*/*%s*", "/sys/fs/cgroup/*/*/*%s*"} {
		found, _ := filepath.Glob(strings.ReplaceAll(pattern, "%s", owner)) // the pattern is well-formed
		all = append(all, found...)
	}
	return all
}

func TestEachStarterRunsAsInitWroteIt(t *testing.T) {
	needRoot(t)
	needPython(t)
	needNode(t)
	data := t.TempDir()
	needJDK(t)
	for _, language := range []string{"go", "python", "node", "java", "shell"} {
		dir := filepath.Join(t.TempDir(), language)
		if code, _, talk := kiln(t, nil, "init", dir, "--lang", language); code != 0 {
			t.Fatalf("init: %d %s", code, talk)
		}
		code, out, talk := kiln(t, []string{"KILN_DATA_DIR=" + data}, "run", dir, "--event", filepath.Join(dir, "event.json"))
		if code != 0 || !strings.Contains(out, "Hello") || !strings.Contains(out, "Ada") && language != "shell" {
			t.Errorf("%s: got %d %q\nstderr: %s", language, code, out, talk)
		}
	}
}

func TestTheProcessDriverMustBeAskedForAndWarns(t *testing.T) {
	dir := write(t, map[string]string{"bootstrap": sleeper})
	env := []string{"KILN_DATA_DIR=" + t.TempDir()}
	c := begin(t, "0", env, "serve", "--sandbox", "process", "--listen", "127.0.0.1:0", "--console", "off")
	eventually(t, time.Minute, "the server is ready", func() bool {
		_, talk := c.said()
		return strings.Contains(talk, "is ready")
	})
	_, talk := c.said()
	if !strings.HasPrefix(talk, "Warning: --sandbox process isolates nothing") || !strings.Contains(talk, "process: no isolation") {
		t.Errorf("stderr is %q, want a warning first and the driver named", talk)
	}
	c.signal(t, syscall.SIGTERM)
	if code := c.end(t, 30*time.Second); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	r := begin(t, "0", env, "run", dir, "--sandbox", "process", "--event", "-", "-q")
	code := r.end(t, time.Minute)
	if out, talk := r.said(); code != 0 || out != "0\n" {
		t.Errorf("got %d %q\nstderr: %s", code, out, talk)
	}
}
