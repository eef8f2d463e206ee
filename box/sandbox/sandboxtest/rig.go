package sandboxtest

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/box/sandbox"
)

// rig is a driver under test and the probe that runs in its boxes.
type rig struct {
	driver sandbox.Driver
	probe  string // its directory on the host
	can    sandbox.Capabilities
	boxes  atomic.Int64
}

// patience is how long a test waits for what must happen. No test measures speed
// with it.
const patience = 20 * time.Second

// Probe builds the probe, static, and gives its directory, which lies below one
// that only its owner may enter, as a user's own directory may. Where there is no
// Go, the variable KILN_TEST_PROBE names one that was built before.
func Probe(t testing.TB) string {
	t.Helper()
	private := filepath.Join(t.TempDir(), "private")
	dir := filepath.Join(private, "probe")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if built := os.Getenv("KILN_TEST_PROBE"); built != "" {
		// Another process copies it: a child that a driver makes meanwhile would have the
		// file open for writing, and nobody could execute it so long.
		if out, err := exec.Command("cp", built, filepath.Join(dir, "probe")).CombinedOutput(); err != nil {
			t.Fatalf("copy probe: %v\n%s", err, out)
		}
	} else {
		c := exec.Command("go", "build", "-o", filepath.Join(dir, "probe"), "kiln/box/sandbox/sandboxtest/testdata/probe")
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("build probe: %v\n%s", err, out)
		}
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Owner makes an owner id for a test that no other process has, so that the same
// test may run twice at a time on one host.
func Owner(name string) string {
	return "t" + strconv.FormatInt(int64(os.Getpid()), 36) + "x" + name
}

// spec is a box with the probe at /probe and generous limits; change alters it.
func (r *rig) spec(change ...func(*sandbox.Spec)) sandbox.Spec {
	s := sandbox.Spec{
		ID:           "suite-" + strconv.FormatInt(r.boxes.Add(1), 10),
		Mounts:       []sandbox.Mount{{Target: "/"}, {Source: r.probe, Target: "/probe"}},
		Files:        []sandbox.File{{Path: "/etc/passwd", Contents: []byte("box:x:${UID}:${UID}::/tmp:/\n"), Mode: 0o644}},
		MemoryBytes:  256 << 20,
		CPUWeight:    100,
		PIDs:         200,
		OpenFiles:    1024,
		ScratchBytes: 64 << 20,
		Hostname:     "box.test",
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// create makes a box that is destroyed with the test.
func (r *rig) create(t testing.TB, change ...func(*sandbox.Spec)) sandbox.Sandbox {
	t.Helper()
	b, err := r.driver.Create(t.Context(), r.spec(change...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Destroy(); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	return b
}

// program is a probe that runs in a box.
type program struct {
	sandbox.Process
	out    *bufio.Reader
	pipe   *os.File
	stderr *os.File
}

// start runs the probe with arguments in a box.
func start(t testing.TB, b sandbox.Sandbox, args ...string) *program {
	t.Helper()
	p, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: append([]string{"probe"}, args...), Env: []string{"A=1"}, Dir: "/"})
	if err != nil {
		t.Fatalf("start probe %q: %v", args, err)
	}
	return p
}

// tryStart runs a program in a box, with pipes for its output.
func tryStart(t testing.TB, b sandbox.Sandbox, p sandbox.Program) (*program, error) {
	t.Helper()
	out, outWrite := pipe(t)
	errs, errsWrite := pipe(t)
	p.Stdout, p.Stderr = outWrite, errsWrite
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := b.Start(ctx, p)
	for _, w := range []*os.File{outWrite, errsWrite} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil {
		return nil, err
	}
	return &program{Process: q, out: bufio.NewReader(out), pipe: out, stderr: errs}, nil
}

// pipe gives both ends; the reading one is closed with the test.
func pipe(t testing.TB) (*os.File, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(3 * patience)); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// run executes the probe, waits for its end and gives its standard output.
func run(t testing.TB, b sandbox.Sandbox, args ...string) string {
	t.Helper()
	p := start(t, b, args...)
	text := p.rest(t)
	p.wait(t)
	if s := p.Status(); s != (sandbox.ExitStatus{}) {
		errs, _ := io.ReadAll(p.stderr)
		t.Fatalf("probe %q: got status %+v, want success\n%s%s", args, s, text, errs)
	}
	return text
}

// line reads the next line of output.
func (p *program) line(t testing.TB) string {
	t.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		errs, _ := io.ReadAll(p.stderr)
		t.Fatalf("read a line of output: %v (got %q)\n%s", err, s, errs)
	}
	return strings.TrimSuffix(s, "\n")
}

// want reads the next line and compares.
func (p *program) want(t testing.TB, want string) {
	t.Helper()
	if got := p.line(t); got != want {
		t.Fatalf("got output %q, want %q", got, want)
	}
}

// rest reads all output, until nobody holds its write end any more.
func (p *program) rest(t testing.TB) string {
	t.Helper()
	b, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatalf("read output: %v (got %q)", err, b)
	}
	return string(b)
}

// wait waits for the end of the program.
func (p *program) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
}

// results turns lines of "name result" into a table; a name that comes twice keeps
// all of its results.
func results(text string) map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if i > 0 {
			m[line[:i]] = append(m[line[:i]], line[i+1:])
		}
	}
	return m
}

// eventually polls a condition until it holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		<-tick.C
	}
}
