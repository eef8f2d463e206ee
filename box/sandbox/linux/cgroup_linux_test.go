package linux

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/sandboxtest"
)

// unifiedTree finds the version 2 tree of this host, with all controllers that it has.
func unifiedTree(t *testing.T) *tree {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups")
	}
	trees, err := findTrees()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(trees, func(t *tree) bool { return t.unified })
	if i < 0 {
		t.Skip("needs control groups of version 2: this host has version 1 only")
	}
	raw, err := os.ReadFile(filepath.Join(trees[i].point, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	trees[i].controllers = strings.Fields(string(raw))
	return trees[i]
}

// service makes a group with a process in it, as a service manager does.
func service(t *testing.T, root *tree, name string) (dir string, pid int) {
	t.Helper()
	dir = filepath.Join(root.point, "kilntest-"+sandboxtest.Owner(name)+".service")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
	// A shell that waits for its input to end stands for a server.
	c := exec.Command("/bin/sh", "-c", "read line")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait() // it ends with an error, or was killed with its group
	})
	if err := write(dir, "cgroup.procs", strconv.Itoa(c.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	return dir, c.Process.Pid
}

func TestADelegatedGroupIsDividedAndItsProcessesMoveToALeaf(t *testing.T) {
	root := unifiedTree(t)
	if len(root.controllers) == 0 {
		t.Skip("needs a controller in the version 2 tree: on this host version 1 has them all")
	}
	before, err := os.ReadFile(filepath.Join(root.point, "cgroup.subtree_control"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Fields(string(before)), root.controllers[0]) {
		if err := write(root.point, "cgroup.subtree_control", "+"+root.controllers[0]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := write(root.point, "cgroup.subtree_control", "-"+root.controllers[0]); err != nil {
				t.Error(err)
			}
		})
	}
	dir, pid := service(t, root, "delegated")
	if err := unix.Setxattr(dir, "trusted.delegate", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	served := &tree{point: root.point, own: dir, unified: true, controllers: root.controllers[:1]}
	if err := served.openUnified(sandboxtest.Owner("delegated"), false); err != nil {
		t.Fatal(err)
	}
	if got, want := served.home, filepath.Join(dir, "kiln-"+sandboxtest.Owner("delegated")); got != want {
		t.Errorf("got home %s, want %s", got, want)
	}
	moved, err := readPIDs(filepath.Join(dir, serverLeaf))
	if err != nil || !slices.Equal(moved, []int{pid}) {
		t.Errorf("got processes %v, %v in the leaf, want %d", moved, err, pid)
	}
	if got, want := served.controllers, root.controllers[:1]; !slices.Equal(got, want) {
		t.Errorf("got controllers %v, want %v", got, want)
	}
	granted, err := os.ReadFile(filepath.Join(served.home, "cgroup.controllers"))
	if err != nil || !strings.Contains(string(granted), root.controllers[0]) {
		t.Errorf("got controllers %q, %v in the home, want %s", granted, err, root.controllers[0])
	}
	// A second start finds itself in the leaf, and comes to the same home.
	again := &tree{point: root.point, own: filepath.Join(dir, serverLeaf), unified: true, controllers: root.controllers[:1]}
	if err := again.openUnified(sandboxtest.Owner("delegated"), false); err != nil {
		t.Fatal(err)
	}
	if again.home != served.home {
		t.Errorf("got home %s the second time, want %s", again.home, served.home)
	}
}

func TestAGroupThatIsNotDelegatedIsLeftAlone(t *testing.T) {
	root := unifiedTree(t)
	dir, pid := service(t, root, "plain")
	served := &tree{point: root.point, own: dir, unified: true}
	if err := served.openUnified(sandboxtest.Owner("plain"), false); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rmdir(served.home); err != nil {
			t.Error(err)
		}
	}()
	if got, want := served.home, filepath.Join(root.point, "kiln-"+sandboxtest.Owner("plain")); got != want {
		t.Errorf("got home %s, want %s", got, want)
	}
	if still, err := readPIDs(dir); err != nil || !slices.Equal(still, []int{pid}) {
		t.Errorf("got processes %v, %v in the service's group, want %d", still, err, pid)
	}
}

func TestMountinfoIsUnescaped(t *testing.T) {
	if got, want := unescape(`/a\040b\134c`), `/a b\c`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUserIDsAreSpreadByOwnerAndComeBackLate(t *testing.T) {
	a, b := defaultUIDs("owner-one"), defaultUIDs("owner-two")
	if a == b {
		t.Errorf("got the same range %+v for two owners", a)
	}
	for _, r := range []UIDRange{a, b} {
		if r.First < 2_001_000_000 || r.First+r.Count > 2_101_000_000 {
			t.Errorf("got range %+v, want one between 2,001,000,000 and 2,101,000,000", r)
		}
	}
	u := newUIDs(UIDRange{First: 5000, Count: 3})
	var got []int
	for range 3 {
		id, err := u.take()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, id)
		u.give(id)
	}
	if want := []int{5000, 5001, 5002}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: an id that was given back is the last to come again", got, want)
	}
}
