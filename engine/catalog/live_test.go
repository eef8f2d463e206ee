package catalog_test

import (
	"slices"
	"testing"

	"kiln"
)

// runs gives what a call with a qualifier runs.
func runs(t *testing.T, r *rig, q kiln.Qualifier) kiln.Target {
	t.Helper()
	target, err := r.Resolve(named("f"), q)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestABoundFunctionRunsADirectoryUntilItIsReleased(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "x")
	r.publish(t, "f")
	changes := r.Changes()
	packaged, published := runs(t, r, ""), runs(t, r, "1")
	b, err := r.Bind(named("f"), "/dir")
	if err != nil {
		t.Fatal(err)
	}
	first := runs(t, r, "")
	if first.Version.Package.Directory != "/dir" || first.Revision == packaged.Revision {
		t.Errorf("got %+v", first)
	}
	if again := runs(t, r, kiln.Latest); again != first {
		t.Errorf("got %+v, want the same as before", again)
	}
	if got := runs(t, r, "1"); got != published {
		t.Errorf("version 1 runs %+v, want its package", got)
	}
	if v := r.version(t, "f", ""); v.Package.Directory != "" {
		t.Errorf("the book says %+v", v.Package)
	}
	_, err = r.Bind(named("f"), "/other")
	wantError(t, "a second binding", err, kiln.Conflict, "f is under development already, by another command")

	if n := b.Changed("/dir"); n != 2 {
		t.Errorf("generation %d, want 2", n)
	}
	second := runs(t, r, "")
	if second.Revision == first.Revision || second.Version.Package.Directory != "/dir" {
		t.Errorf("got %+v", second)
	}
	if c := <-changes; !slices.Contains(c.Retired, first.Revision) {
		t.Errorf("retired are %v, want %s", c.Retired, first.Revision)
	}

	// New settings hold for the directory, too.
	r.change(t, "f", "described")
	third := runs(t, r, "")
	if third.Version.Config.Description != "described" || third.Version.Package.Directory != "/dir" || third.Revision == second.Revision {
		t.Errorf("got %+v", third)
	}

	b.Release()
	b.Release()
	if got := runs(t, r, ""); got.Version.Package.Directory != "" || got.Version.Config.Description != "described" {
		t.Errorf("after the release: %+v", got)
	}
	b.Changed("/late")
	if got := runs(t, r, ""); got.Version.Package.Directory != "" {
		t.Errorf("a change after the release: %+v", got)
	}
	if _, err := r.Bind(named("f"), "/dir"); err != nil {
		t.Errorf("bound again: %v", err)
	}
}

func TestWhatCannotRunCannotBeBound(t *testing.T) {
	r := newRig(t)
	_, err := r.Bind(named("none"), "/dir")
	if kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("no function: got %v", err)
	}
	r.createPending(t, "waits")
	if _, err := r.Bind(named("waits"), "/dir"); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("a pending one: got %v", err)
	}
}
