package linux_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

// rootlessVariable says that a test runs again as an ordinary user: "enter" outside of
// the user namespace, "inside" in it.
const rootlessVariable = "KILN_TEST_SANDBOX_ROOTLESS"

// enterForTest enters a user namespace where a test asks for it, and there goes on to
// the tests.
func enterForTest() {
	entry, err := linux.Settle()
	if err == nil && entry == nil && os.Getenv(rootlessVariable) == "enter" {
		var e *linux.Entered
		e, err = linux.Enter(func(c *exec.Cmd) {
			c.Env = append(os.Environ(), rootlessVariable+"=inside")
			c.Stdout, c.Stderr = os.Stdout, os.Stderr
		})
		if err == nil {
			var code int
			if code, err = e.Wait(); err == nil {
				os.Exit(code)
			}
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// nobody is an ordinary user of every host.
const nobody = 65534

// asOrdinaryUser runs the calling test again as an ordinary user in a user namespace,
// and says whether this is that run. The user has as many ids as given besides its own;
// group is a control group to begin in, or nil.
func asOrdinaryUser(t *testing.T, ids int, group *os.File) bool {
	t.Helper()
	if os.Getenv(rootlessVariable) == "inside" {
		return true
	}
	needRoot(t)
	probe := os.Getenv("KILN_TEST_PROBE")
	if probe == "" {
		probe = filepath.Join(sandboxtest.Probe(t), "probe")
		if err := os.Chmod(filepath.Dir(filepath.Dir(probe)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir()
	for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tmp := filepath.Join(home, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.count=1", "-test.timeout=5m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	again := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	again.Env = append(os.Environ(), rootlessVariable+"=enter", "KILN_TEST_PROBE="+probe, "TMPDIR="+tmp, "HOME="+tmp)
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if group != nil {
		again.SysProcAttr.UseCgroupFD, again.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	var out []byte
	err := withSubordinates(t, home, ids, func() (err error) {
		out, err = again.CombinedOutput()
		return err
	})
	t.Logf("as user %d:\n%s", nobody, out)
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(out), "PASS\n") || strings.Contains(string(out), "no tests to run") {
		t.Error("it did not run")
	}
	return false
}

// withSubordinates runs f where the tables of the host give an ordinary user so many
// ids besides its own. The host's own tables are untouched.
func withSubordinates(t *testing.T, dir string, ids int, f func() error) error {
	t.Helper()
	table := filepath.Join(dir, "subordinates")
	line := ""
	if ids > 0 {
		if _, err := exec.LookPath("newuidmap"); err != nil {
			t.Fatal("newuidmap was not found: install uidmap")
		}
		line = fmt.Sprintf("%d:1900000000:%d\n", nobody, ids)
	}
	if err := os.WriteFile(table, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	return linux.Apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
			if err := unix.Mount(table, file, "", unix.MS_BIND, ""); err != nil && (ids > 0 || err != unix.ENOENT) {
				return fmt.Errorf("cover %s: %w", file, err)
			}
		}
		return f()
	})
}

func TestAnOrdinaryUserHasBoxesThatKeepTheContract(t *testing.T) {
	t.Run("with one user id", func(t *testing.T) { keepsRootless(t, 0, nil) })
	t.Run("with subordinate user ids", func(t *testing.T) { keepsRootless(t, 65536, nil) })
	t.Run("with a control group that was delegated", func(t *testing.T) {
		if os.Getenv(rootlessVariable) == "inside" {
			keepsRootless(t, 0, nil)
			return
		}
		group, controllers := delegated(t)
		t.Setenv(controllersVariable, controllers)
		keepsRootless(t, 0, group)
	})
}

// controllersVariable says which controllers a delegated group has, after a word for
// the group itself.
const controllersVariable = "KILN_TEST_SANDBOX_CONTROLLERS"

// delegated makes a control group that an ordinary user may divide, with all controllers
// that this host has in version 2, which are none where version 1 has them.
func delegated(t *testing.T) (group *os.File, controllers string) {
	t.Helper()
	needRoot(t)
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		root = filepath.Join(root, "unified")
	}
	text, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		t.Fatalf("this host has no control groups of version 2: %v", err)
	}
	controllers = "group"
	for _, c := range []string{"cpu", "memory", "pids"} {
		if strings.Contains(string(text), c) {
			controllers += " " + c
			if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := filepath.Join(root, "kilntest-"+sandboxtest.Owner("user"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The server's leaf is left, empty, where there were controllers to hand out.
		if err := os.Remove(filepath.Join(dir, "kiln-server")); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	for _, file := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(dir, file), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if group, err = os.Open(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	return group, controllers
}

func keepsRootless(t *testing.T, ids int, group *os.File) {
	if !asOrdinaryUser(t, ids, group) {
		return
	}
	has := func(what string) bool { return strings.Contains(os.Getenv(controllersVariable), what) }
	d := open(t, linux.Options{Owner: sandboxtest.Owner("rootless")})
	if got, want := d.Tier(), "namespaces, rootless"; got != want {
		t.Errorf("got tier %q, want %q", got, want)
	}
	can := d.Capabilities()
	if !can.PrivateFilesystem || !can.PrivateProcesses || !can.PrivateNetwork || !can.Freeze || !can.SyscallFilter || !can.ScratchLimit || !can.PIDLimit {
		t.Errorf("got %+v, want everything that needs namespaces only", can)
	}
	if can.PrivateUser != (ids > 0) || can.UserLimits || can.ScratchOnDisk {
		t.Errorf("got %+v, want a user for each box only where there are ids, and a scratch directory in memory", can)
	}
	if can.MemoryLimit != has("memory") || can.CPULimit != has("cpu") {
		t.Errorf("got %+v with %q, want exactly the limits that were delegated", can, os.Getenv(controllersVariable))
	}
	homes, err := filepath.Glob("/sys/fs/cgroup/*/kilntest-*/kiln-" + sandboxtest.Owner("rootless"))
	more, errMore := filepath.Glob("/sys/fs/cgroup/kilntest-*/kiln-" + sandboxtest.Owner("rootless"))
	if (len(homes)+len(more) == 1) != has("group") || err != nil || errMore != nil {
		t.Errorf("got control groups %v and %v, want one in the group that was delegated, if any was", homes, more)
	}
	sandboxtest.Suite(t, d)

	// What the suite asks only where each box has a user of its own.
	b := probeBox(t, d, "identity", sandboxtest.Probe(t))
	out := outputOf(t, b, "identity")
	for _, want := range []string{
		fmt.Sprintf("uid %d gid %[1]d", b.UserID()), "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
		"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q in it", out, want)
		}
	}
	if b.UserID() < 1000 {
		t.Errorf("got user %d, want none that a system has for itself", b.UserID())
	}
}

// outputOf runs the probe in a box and gives its standard output.
func outputOf(t *testing.T, b sandbox.Sandbox, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: append([]string{"probe"}, args...), Stdout: w})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	return string(out)
}

// Root of a user namespace without the variable that Enter sets is an ordinary program,
// and one with it outside of any is told so.
func TestTheVariableOfAnEntryAloneDoesNothing(t *testing.T) {
	needRoot(t)
	c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^$")
	c.Env = append(os.Environ(), "_KILN_ROOTLESS=done")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c.ExtraFiles = []*os.File{null}
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "_KILN_ROOTLESS is set, and this is not the root of a user namespace") {
		t.Errorf("got %v, %q", err, out)
	}
}
