package catalog_test

import (
	"testing"

	"kiln"
	"kiln/engine/catalog"
)

func TestAVersionKeepsTheReleaseOfItsRuntimeUntilItsModeLetsItGo(t *testing.T) {
	r := newRig(t)
	r.preps.serve("one")
	r.create(t, "f", "code")
	before, err := r.Resolve(named("f"), "")
	if err != nil {
		t.Fatal(err)
	}
	set := func(q kiln.Qualifier, u kiln.RuntimeUpdates) *kiln.Version {
		t.Helper()
		v, err := r.SetRuntimeUpdates(t.Context(), named("f"), q, u)
		if err != nil || v.Updates != u {
			t.Fatalf("got %+v, %v", v, err)
		}
		return v
	}
	keeps := func(what string, q kiln.Qualifier, release string) kiln.Revision {
		t.Helper()
		target, err := r.Resolve(named("f"), q)
		if err != nil || target.Version.Updates.Release != release {
			t.Fatalf("%s: got %+v, %v; want release %q", what, target.Version.Updates, err, release)
		}
		return target.Revision
	}
	changes := r.Changes()
	v := set("", kiln.RuntimeUpdates{Mode: kiln.UpdateManual, Release: "one"})
	if v.RevisionID == before.Version.RevisionID || !v.LastModified.Equal(before.Version.LastModified) {
		t.Errorf("revision id %s, modified %v", v.RevisionID, v.LastModified)
	}
	if got := keeps("manual", "", "one"); got == before.Revision {
		t.Error("environments of any release may still serve")
	}
	if c := <-changes; len(c.Retired) != 1 || c.Retired[0] != before.Revision {
		t.Errorf("retired %v, want %v", c.Retired, before.Revision)
	}
	update := func(n int) {
		t.Helper()
		if _, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.MemoryMB = n; return nil }); err != nil {
			t.Fatal(err)
		}
		r.idle(t)
	}
	r.preps.serve("two")
	update(256)
	keeps("manual, after an update", "", "one")

	set("$LATEST", kiln.RuntimeUpdates{Mode: kiln.UpdateOnFunction, Release: "two"})
	r.publish(t, "f")
	r.preps.serve("three")
	keeps("on update, before one", "", "two")
	update(512)
	keeps("on update, after one", "", "three")
	keeps("published before", "1", "two")

	r.open(t)
	keeps("$LATEST, after a restart", "", "three")
	keeps("published, after a restart", "1", "two")
	set("1", kiln.RuntimeUpdates{})
	keeps("published, let go", "1", "")
	set("", kiln.RuntimeUpdates{})
	r.preps.serve("four")
	update(128)
	keeps("let go", "", "")

	// What is said of updates makes no new version.
	published := r.publish(t, "f")
	set("", kiln.RuntimeUpdates{Mode: kiln.UpdateManual, Release: "four"})
	if again, err := r.Publish(t.Context(), named("f"), catalog.Publication{}); err != nil || again.Number != published.Number {
		t.Errorf("published %v, %v; want %d again", again, err, published.Number)
	}
	for q, code := range map[kiln.Qualifier]kiln.Code{"9": kiln.NotFound, "live": kiln.NotFound} {
		if _, err := r.SetRuntimeUpdates(t.Context(), named("f"), q, kiln.RuntimeUpdates{}); kiln.CodeOf(err) != code {
			t.Errorf("%s: %v", q, err)
		}
	}
	open := r.preps.hold()
	defer open()
	r.createPending(t, "g")
	if _, err := r.SetRuntimeUpdates(t.Context(), named("g"), "", kiln.RuntimeUpdates{}); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("while it is made: %v", err)
	}
}
