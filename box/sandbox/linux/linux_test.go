//go:build linux

package linux_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

// TestMain runs the tests, or, where a test asks for it, a server that is killed, or
// the tests again in a user namespace.
func TestMain(m *testing.M) {
	enterForTest()
	if name := os.Getenv(serverVariable); name != "" {
		serve(name)
	}
	os.Exit(m.Run())
}

// needRoot skips a test that only the superuser can run.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
}

// open makes a driver that is closed, and leaves nothing, at the end of the test.
func open(t testing.TB, o linux.Options) *linux.Driver {
	t.Helper()
	needRoot(t)
	if o.StateDir == "" {
		o.StateDir = filepath.Join(t.TempDir(), "state")
	}
	d, err := linux.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, o.Owner)
	})
	return d
}

// nothingLeft fails the test when kernel objects of an owner are there.
func nothingLeft(t testing.TB, owner string) {
	t.Helper()
	left, err := sandboxtest.Leftovers(owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		t.Errorf("left behind: %s", l)
	}
}

// probeBox makes a box with the probe at /probe.
func probeBox(t testing.TB, d sandbox.Driver, id, probe string) sandbox.Sandbox {
	t.Helper()
	b, err := d.Create(t.Context(), sandbox.Spec{
		ID: id, Mounts: []sandbox.Mount{{Target: "/"}, {Source: probe, Target: "/probe"}},
		MemoryBytes: 128 << 20, CPUWeight: 100, PIDs: 100, ScratchBytes: 64 << 20, Hostname: "box",
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheDriverKeepsTheContract(t *testing.T) {
	sandboxtest.Suite(t, open(t, linux.Options{Owner: sandboxtest.Owner("suite")}))
}

func TestWrongOptionsAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]linux.Options{
		"no owner":       {StateDir: dir},
		"short owner":    {StateDir: dir, Owner: "abc"},
		"owner is path":  {StateDir: dir, Owner: "../../x"},
		"no directory":   {Owner: "abcd"},
		"relative":       {Owner: "abcd", StateDir: "state"},
		"root's uid":     {Owner: "abcd", StateDir: dir, UIDs: linux.UIDRange{First: 0, Count: 10}},
		"uids too large": {Owner: "abcd", StateDir: dir, UIDs: linux.UIDRange{First: 1 << 31, Count: 10}},
		"no uids":        {Owner: "abcd", StateDir: dir, UIDs: linux.UIDRange{First: 10000}},
	} {
		if d, err := linux.New(o); err == nil {
			t.Errorf("%s: got a driver, want an error", name)
			_ = d.Close()
		}
	}
}

func TestTheReportSaysThatThisHostIsUsable(t *testing.T) {
	needRoot(t)
	r := linux.Probe()
	if !r.Usable() {
		t.Errorf("got %+v, want every required ability", r)
	}
	if len(r.Abilities) < 15 {
		t.Errorf("got %d abilities, want all", len(r.Abilities))
	}
	for _, a := range r.Abilities {
		if a.Name == "" || a.OK != (a.Cost == "") {
			t.Errorf("got %+v: an ability has a name, and a cost when it lacks", a)
		}
	}
}

func TestUserIDsRunOutAndComeBack(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("fewuids"), UIDs: linux.UIDRange{First: 1_900_000_000, Count: 2}, PoolSize: -1})
	probe := sandboxtest.Probe(t)
	a, b := probeBox(t, d, "a", probe), probeBox(t, d, "b", probe)
	if a.UserID() == b.UserID() || a.UserID() < 1_900_000_000 || a.UserID() > 1_900_000_001 {
		t.Errorf("got users %d and %d, want two of the range", a.UserID(), b.UserID())
	}
	if _, err := d.Create(t.Context(), sandbox.Spec{ID: "c", Mounts: []sandbox.Mount{{Target: "/"}}}); err == nil {
		t.Error("got a third box of two users, want an error")
	}
	if err := a.Destroy(); err != nil {
		t.Fatal(err)
	}
	c := probeBox(t, d, "c", probe)
	if got, want := c.UserID(), a.UserID(); got != want {
		t.Errorf("got user %d, want %d", got, want)
	}
}

func TestAClosedDriverHasDestroyedItsBoxesAndMakesNoMore(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("closing")})
	b := probeBox(t, d, "a", sandboxtest.Probe(t))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, sandboxtest.Owner("closing"))
	select {
	case <-b.Gone():
	default:
		t.Error("a box outlives its driver")
	}
	if _, err := d.Create(t.Context(), sandbox.Spec{ID: "b", Mounts: []sandbox.Mount{{Target: "/"}}}); err == nil {
		t.Error("got a box of a closed driver, want an error")
	}
	if err := d.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestBoxesThatAreGoneLeaveNoDescriptorsAndThreadsBehind(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("baseline"), PoolSize: -1})
	probe := sandboxtest.Probe(t)
	cycle := func(n int) {
		for i := range n {
			b := probeBox(t, d, fmt.Sprint("a", i), probe)
			l, err := b.Listen("127.0.0.1:9001")
			if err != nil {
				t.Fatal(err)
			}
			p, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "0"}})
			if err != nil {
				t.Fatal(err)
			}
			<-p.Exited()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := b.Destroy(); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func(what string) int {
		list, err := os.ReadDir("/proc/self/" + what)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	cycle(3) // templates and pollers come with the first
	files, threads := count("fd"), count("task")
	cycle(20)
	if !within(5*time.Second, func() bool { return count("fd") <= files+1 && count("task") <= threads+4 }) {
		t.Errorf("got %d descriptors and %d threads after 20 boxes, want the %d and %d of before", count("fd"), count("task"), files, threads)
	}
}
