package linux_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/process"
	"kiln/box/sandbox/sandboxtest"
)

// The environment of a server that a test starts in order to kill it.
const (
	serverVariable = "KILN_TEST_SANDBOX_SERVER" // driver:owner
	stateVariable  = "KILN_TEST_SANDBOX_STATE"
	probeVariable  = "KILN_TEST_SANDBOX_PROBE"
)

// serve is a server with three boxes: one whose program runs, one that is frozen,
// one whose program has left a child. It prints one line for each and waits to
// be killed.
func serve(name string) {
	kind, owner, _ := strings.Cut(name, ":")
	fail := func(err error) {
		if err != nil {
			fmt.Println("server:", err)
			os.Exit(1)
		}
	}
	var d sandbox.Driver
	var err error
	o := linux.Options{Owner: owner, StateDir: os.Getenv(stateVariable)}
	switch kind {
	case "process":
		d, err = process.New(process.Options{Dir: o.StateDir})
	case "version1":
		d, err = linux.New(linux.Version1(o))
	default:
		d, err = linux.New(o)
	}
	fail(err)
	for i, program := range []string{"pid", "busy", "orphan"} {
		ctx := context.Background()
		b, err := d.Create(ctx, sandbox.Spec{
			ID: fmt.Sprint("box-", i), Mounts: []sandbox.Mount{{Target: "/"}, {Source: os.Getenv(probeVariable), Target: "/probe"}},
			MemoryBytes: 128 << 20, PIDs: 100, ScratchBytes: 64 << 20,
		})
		fail(err)
		r, w, err := os.Pipe()
		fail(err)
		_, err = b.Start(ctx, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", program, "1"}, Stdout: w})
		fail(err)
		fail(w.Close())
		in := bufio.NewReader(r)
		line, err := in.ReadString('\n')
		fail(err)
		if program == "orphan" {
			_, err = in.ReadString('\n')
			fail(err)
		}
		if program == "busy" {
			fail(b.Freeze())
		}
		fmt.Println(program, b.UserID(), strings.TrimSpace(line))
	}
	fmt.Println("ready")
	select {}
}

// server is a child process that runs serve.
type server struct {
	command *exec.Cmd
	users   []int // one a box
	pid     int   // that the first program printed
}

// startServer starts one and waits until its boxes run.
func startServer(t *testing.T, kind, owner, state, probe string) *server {
	t.Helper()
	s := &server{command: exec.Command("/proc/self/exe")}
	s.command.Env = append(os.Environ(), serverVariable+"="+kind+":"+owner, stateVariable+"="+state, probeVariable+"="+probe)
	s.command.Stderr = os.Stderr
	out, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test ended early
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 1 && f[0] == "ready" {
			return s
		}
		if len(f) < 3 || f[0] == "server:" {
			t.Fatalf("server said %q", lines.Text())
		}
		uid, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		s.users = append(s.users, uid)
		if f[0] == "pid" {
			if s.pid, err = strconv.Atoi(f[2]); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("the server ended before it was ready")
	return nil
}

// kill is kill -9.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Wait(); err == nil {
		t.Fatal("the server ended well, and not by a kill")
	}
}

// processesOf counts the processes of users that can still run. One without an
// address space is past its end, and waits only to be noticed: the programs of
// a killed server belong to the host's process 1, which may take its time, and an
// init is not gone before they are.
func processesOf(t *testing.T, users []int) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	var count int
	for _, d := range dirs {
		raw, err := os.ReadFile(d)
		if err != nil {
			continue
		}
		for _, u := range users {
			if strings.Contains(string(raw), fmt.Sprintf("\nUid:\t%d\t", u)) && strings.Contains(string(raw), "\nVmSize:") {
				count++
			}
		}
	}
	return count
}

// within polls a condition for a time.
func within(limit time.Duration, holds func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

func TestKillingTheServerEndsEveryProcessWithinASecondAndTheNextOneSweeps(t *testing.T) {
	needRoot(t)
	t.Run("best control groups", func(t *testing.T) { killAndSweep(t, "linux") })
	t.Run("version 1", func(t *testing.T) {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(mounts), ",freezer") {
			t.Skip("needs a version 1 freezer: this host has control groups of version 2 only")
		}
		killAndSweep(t, "version1")
	})
}

func killAndSweep(t *testing.T, kind string) {
	owner := sandboxtest.Owner("crashing")
	probe, state := sandboxtest.Probe(t), filepath.Join(t.TempDir(), "state")
	// A neighbour with another owner lives through all of it.
	neighbour := open(t, linux.Options{Owner: sandboxtest.Owner("neighbour")})
	theirs := probeBox(t, neighbour, "a", probe)

	s := startServer(t, kind, owner, state, probe)
	// Three inits, a runtime, a frozen runtime, an orphan.
	if got := processesOf(t, s.users); got != 6 {
		t.Fatalf("got %d processes before the kill, want 6", got)
	}
	s.kill(t)
	began := time.Now()
	if !within(time.Second, func() bool { return processesOf(t, s.users) == 0 }) {
		t.Errorf("got %d processes a second after kill -9, want none", processesOf(t, s.users))
	}
	t.Logf("no process %v after kill -9", time.Since(began))
	var left []string
	if !within(20*time.Second, func() bool {
		var err error
		if left, err = sandboxtest.Leftovers(owner); err != nil {
			t.Fatal(err)
		}
		for _, l := range left {
			if !strings.HasPrefix(l, "control group ") {
				return false
			}
		}
		return true
	}) {
		t.Errorf("left behind besides control groups: %q", left)
	}
	if len(left) == 0 {
		t.Error("got no control groups left behind: there is nothing to sweep, and this test proves nothing")
	}

	began = time.Now()
	again := open(t, linux.Options{Owner: owner, StateDir: state})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the sweep took %v, want less than 5 s", took)
	}
	b := probeBox(t, again, "box-0", probe)
	if err := b.Destroy(); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, owner)

	if _, err := theirs.Usage(); err != nil {
		t.Errorf("the neighbour's box: %v", err)
	}
	p, err := theirs.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "0"}})
	if err != nil {
		t.Fatalf("start in the neighbour's box: %v", err)
	}
	<-p.Exited()
	if got := p.Status(); got != (sandbox.ExitStatus{}) {
		t.Errorf("the neighbour's program: got %+v, want success", got)
	}
}

// The negative control of the test above: without an init that watches the server,
// programs outlive it.
func TestWithoutAnInitProgramsOutliveTheirServer(t *testing.T) {
	needRoot(t)
	s := startServer(t, "process", "", t.TempDir(), sandboxtest.Probe(t))
	s.kill(t)
	defer func() {
		if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}()
	if within(time.Second, func() bool { return syscall.Kill(s.pid, 0) == syscall.ESRCH }) {
		t.Error("the program ended with its server: the other test proves nothing")
	}
}

func TestTheSweepKillsWhatItFindsInItsOwnGroupsAndNothingElse(t *testing.T) {
	needRoot(t)
	group := func(owner string) string {
		for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
			if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
				dir = filepath.Join(dir, "kiln-"+owner, "b1")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				return dir
			}
		}
		t.Skip("needs a version 2 control group tree")
		return ""
	}
	sleeper := func(dir string) *exec.Cmd {
		c := exec.Command(filepath.Join(sandboxtest.Probe(t), "probe"), "sleep")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(c.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
		return c
	}
	mine, foreign := group(sandboxtest.Owner("sweeping")), group(sandboxtest.Owner("sweeping2"))
	a, b := sleeper(mine), sleeper(foreign)
	defer func() {
		_ = b.Process.Kill()
		_ = b.Wait() // it was killed
		within(time.Second, func() bool { return syscall.Rmdir(foreign) == nil })
		if err := syscall.Rmdir(filepath.Dir(foreign)); err != nil {
			t.Error(err)
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- a.Wait() }()
	open(t, linux.Options{Owner: sandboxtest.Owner("sweeping")})
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a process in the owner's group: got %v, want that it was killed", err)
	}
	if _, err := os.Stat(mine); !os.IsNotExist(err) {
		t.Errorf("the owner's group: got %v, want it gone", err)
	}
	if err := syscall.Kill(b.Process.Pid, 0); err != nil {
		t.Errorf("a process in another owner's group: %v", err)
	}
}

func TestAnInitThatIsKilledEndsTheBox(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("initdies")})
	b := probeBox(t, d, "a", sandboxtest.Probe(t))
	p, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "deaf"}})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var killed bool
	for _, path := range dirs {
		line, _ := os.ReadFile(path)
		owner := strings.HasPrefix(string(line), "kiln-init\x00"+sandboxtest.Owner("initdies")+"\x00")
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if owner && strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", b.UserID())) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed = true
		}
	}
	if !killed {
		t.Fatal("the box's init was not found")
	}
	<-b.Gone()
	<-p.Exited()
	if got := p.Status(); got.Signal != 9 {
		t.Errorf("got status %+v, want signal 9", got)
	}
	if _, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe"}); err != sandbox.ErrGone {
		t.Errorf("got %v, want %v", err, sandbox.ErrGone)
	}
	if err := b.Destroy(); err != nil {
		t.Error(err)
	}
}
