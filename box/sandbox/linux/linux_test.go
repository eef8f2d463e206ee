//go:build linux

package linux_test

import (
	"os"
	"path/filepath"
	"testing"

	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

// needRoot skips a test that only the superuser can run.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
}

// open makes a driver that is closed, and leaves nothing, at the end of the test.
func open(t testing.TB, owner string) *linux.Driver {
	t.Helper()
	needRoot(t)
	d, err := linux.New(linux.Options{Owner: owner, StateDir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestTheDriverKeepsTheContract(t *testing.T) {
	sandboxtest.Suite(t, open(t, "suite"))
}
