package linux

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
	"kiln/box/sandbox/sandboxtest"
)

// The suite again, as on hosts that have less than this one.

func TestTheDriverKeepsTheContractWithControlGroupsOfVersion1(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	trees, err := findTrees()
	if err != nil {
		t.Fatal(err)
	}
	freezer := false
	for _, tree := range trees {
		freezer = freezer || !tree.unified && tree.freezes() == 1
	}
	if !freezer {
		t.Skip("needs a version 1 freezer: this host has control groups of version 2 only")
	}
	keeps(t, Options{Owner: sandboxtest.Owner("suitev1"), version1: true})
}

func TestTheDriverKeepsTheContractWithScratchDirectoriesInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	keeps(t, Options{Owner: sandboxtest.Owner("suitemem"), inMemory: true})
}

func TestTheDriverKeepsTheContractWithoutAPool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	keeps(t, Options{Owner: sandboxtest.Owner("suitenone"), PoolSize: -1})
}

// keeps runs the suite against a driver with options, and looks for leftovers.
func keeps(t *testing.T, o Options) {
	t.Helper()
	o.StateDir = filepath.Join(t.TempDir(), "state")
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Suite(t, d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	left, err := sandboxtest.Leftovers(o.Owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		t.Errorf("left behind: %s", l)
	}
}

// The negative control of the system call filter: without it the kernel answers
// otherwise, so that the tests above see the filter and nothing else.
func TestWithoutTheFilterTheKernelAnswersHostileCalls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	d, err := New(Options{Owner: sandboxtest.Owner("nofilter"), StateDir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	d.confinement.filter = []unix.SockFilter{allow}
	b, err := d.Create(t.Context(), sandbox.Spec{
		ID: "a", Mounts: []sandbox.Mount{{Target: "/"}, {Source: sandboxtest.Probe(t), Target: "/probe"}}, ScratchBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "A17"}, Stdout: w}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "wanted ") && strings.HasSuffix(line, " ok\n") {
			open = append(open, line)
		}
	}
	if len(open) == 0 {
		t.Errorf("got %q, want a socket in it that only the filter refuses: else the test of sockets proves nothing", out)
	}
}
