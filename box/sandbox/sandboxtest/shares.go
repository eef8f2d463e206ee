package sandboxtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kiln/box/sandbox"
)

// common makes a directory that can be shared: it is not root's where there are other
// users to give it to.
func common(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "common")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 4321, 4322); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Fatal(err)
	}
	return dir
}

// shared adds a share at /mnt/data.
func shared(dir string) func(*sandbox.Spec) {
	return func(s *sandbox.Spec) { s.Shares = []sandbox.Share{{Source: dir, Target: "/mnt/data"}} }
}

// shareOrRefuse is for all drivers: who shares no directories makes no box with one, and
// says so when asked.
func shareOrRefuse(t *testing.T, r *rig) {
	dir := common(t)
	err := sandbox.CheckShare(r.driver, dir)
	b, createErr := r.driver.Create(t.Context(), r.spec(shared(dir)))
	if createErr == nil {
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
	}
	if (err == nil) != r.can.Shares || (createErr == nil) != r.can.Shares {
		t.Errorf("shares %v: the check says %v, and Create %v", r.can.Shares, err, createErr)
	}
	if !r.can.Shares && (!errors.Is(err, sandbox.ErrShare) || !errors.Is(createErr, sandbox.ErrShare)) {
		t.Errorf("got %v and %v, want ErrShare", err, createErr)
	}
	for _, bad := range []sandbox.Share{{Source: "relative", Target: "/mnt/data"}, {Source: dir, Target: "mnt"}, {Source: dir, Target: "/"}, {Source: filepath.Join(dir, "absent"), Target: "/mnt/data"}} {
		b, err := r.driver.Create(t.Context(), r.spec(func(s *sandbox.Spec) { s.Shares = []sandbox.Share{bad} }))
		if err == nil {
			t.Errorf("%+v: got a box, want an error", bad)
			_ = b.Destroy()
		}
	}
}

// sharesAreLarge makes a file in a share that is larger than all that a box has.
func sharesAreLarge(t *testing.T, r *rig) {
	b := r.create(t, shared(common(t)), func(s *sandbox.Spec) { s.MemoryBytes, s.ScratchBytes = 64<<20, 16<<20 })
	if got := run(t, b, "flood", "/mnt/data/large", "80"); got != "wrote all\n" {
		t.Errorf("a file of 80 MiB: %s", got)
	}
	if got := run(t, b, "flood", "/tmp/large", "80"); !strings.HasPrefix(got, "stopped after") {
		t.Errorf("80 MiB in a scratch directory of 16: %s", got)
	}
}

// sharesAreCommon holds two boxes to one directory, and what they make to its owner.
func sharesAreCommon(t *testing.T, r *rig) {
	dir := common(t)
	var owner syscall.Stat_t
	if err := syscall.Stat(dir, &owner); err != nil {
		t.Fatal(err)
	}
	one, other := r.create(t, shared(dir)), r.create(t, shared(dir))
	if got := run(t, one, "write", "/mnt/data/note", "from one"); got != "written\n" {
		t.Fatalf("got %q", got)
	}
	if got := run(t, other, "cat", "/mnt/data/note"); got != "from one" {
		t.Errorf("the other box reads %q", got)
	}
	if got := run(t, other, "write", "/mnt/data/note", "from the other"); got != "written\n" {
		t.Errorf("the other box cannot write what one has made: %q", got)
	}
	if got := run(t, one, "cat", "/mnt/data/note"); got != "from the other" {
		t.Errorf("the first box reads %q", got)
	}
	path := filepath.Join(dir, "note")
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != owner.Uid || st.Gid != owner.Gid {
		t.Errorf("the file belongs to %d:%d, its directory to %d:%d", st.Uid, st.Gid, owner.Uid, owner.Gid)
	}
	for _, b := range []sandbox.Sandbox{one, other} {
		for line := range strings.Lines(run(t, b, "cat", "/proc/self/mountinfo")) {
			f := strings.Fields(line)
			if f[4] == "/mnt/data" && !(strings.Contains(f[5], "rw") && strings.Contains(f[5], "nosuid") && strings.Contains(f[5], "nodev")) {
				t.Errorf("the share has the options %s", f[5])
			}
		}
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "from the other" {
		t.Errorf("without the boxes the file has %q, %v", text, err)
	}
}
