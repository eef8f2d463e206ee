package linux

import (
	"os"
	"path/filepath"
	"testing"

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
	keeps(t, Options{Owner: "suitev1", version1: true})
}

func TestTheDriverKeepsTheContractWithScratchDirectoriesInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	keeps(t, Options{Owner: "suitemem", inMemory: true})
}

func TestTheDriverKeepsTheContractWithoutAPool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, control groups and loop devices")
	}
	keeps(t, Options{Owner: "suitenone", PoolSize: -1})
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
