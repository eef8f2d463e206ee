package catalog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/catalog"
)

func TestAFunctionIsPendingUntilItsPackageIsInPlace(t *testing.T) {
	r := newRig(t)
	open := r.preps.hold()
	v, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("code")})
	if err != nil {
		t.Fatal(err)
	}
	if want := (kiln.Status{State: kiln.Pending, Reason: "The function is being created.", ReasonCode: "Creating"}); v.Status != want {
		t.Errorf("created with %+v, want %+v", v.Status, want)
	}
	if v.Package.Size != 4 || v.Package.UnzippedSize != 8 || len(v.Package.SHA256) != 64 || v.RevisionID == "" || v.LastModified.IsZero() {
		t.Errorf("created as %+v", v)
	}
	const pending = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
	_, err = r.Resolve(named("f"), "")
	wantError(t, "resolve", err, kiln.Conflict, pending)
	_, err = r.Publish(t.Context(), named("f"), catalog.Publication{})
	wantError(t, "publish", err, kiln.Conflict, pending)
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("x")})
	wantError(t, "update code", err, kiln.Conflict, pending)
	_, err = r.UpdateConfig(t.Context(), named("f"), "", func(*kiln.Config) error { return nil })
	wantError(t, "update configuration", err, kiln.Conflict, pending)

	open()
	r.idle(t)
	after := r.version(t, "f", "")
	if want := (kiln.Status{State: kiln.Active, Update: kiln.Successful}); after.Status != want {
		t.Errorf("became %+v, want %+v", after.Status, want)
	}
	if after.RevisionID == v.RevisionID {
		t.Error("the change of state did not change the revision id")
	}
	if !after.LastModified.Equal(v.LastModified) {
		t.Error("the change of state changed the time of modification")
	}
	if target, err := r.Resolve(named("f"), ""); err != nil || target.Version != after || target.Revision == "" {
		t.Errorf("resolve gave %+v, %v", target, err)
	}
}

func TestOldCodeServesWhileAnUpdateIsInProgress(t *testing.T) {
	r := newRig(t)
	first := r.create(t, "f", "one")
	before, _ := r.Resolve(named("f"), "")
	for name, update := range map[string]func() (*kiln.Version, error){
		"code": func() (*kiln.Version, error) {
			return r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("two"), Architecture: "arm64"})
		},
		"configuration": func() (*kiln.Version, error) {
			return r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.MemoryMB++; return nil })
		},
	} {
		open := r.preps.hold()
		v, err := update()
		if err != nil {
			t.Fatal(err)
		}
		if v.Status.State != kiln.Active || v.Status.Update != kiln.InProgress || v.Status.UpdateReasonCode == "" {
			t.Errorf("%s: the update has status %+v", name, v.Status)
		}
		if v.RevisionID == before.Version.RevisionID || v.LastModified.Before(before.Version.LastModified) {
			t.Errorf("%s: the update has revision id %s and time %v after %s and %v", name, v.RevisionID, v.LastModified, before.Version.RevisionID, before.Version.LastModified)
		}
		if during, err := r.Resolve(named("f"), ""); err != nil || during.Revision != before.Revision || during.Version.Package != before.Version.Package {
			t.Errorf("%s: during the update calls run %+v, %v", name, during, err)
		}
		if shown := r.version(t, "f", ""); shown != v {
			t.Errorf("%s: during the update clients see %+v", name, shown)
		}
		const busy = "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:us-east-1:000000000000:function:f"
		_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("x")})
		wantError(t, name+": update code", err, kiln.Conflict, busy)
		_, err = r.UpdateConfig(t.Context(), named("f"), "", func(*kiln.Config) error { return nil })
		wantError(t, name+": update configuration", err, kiln.Conflict, busy)
		_, err = r.Publish(t.Context(), named("f"), catalog.Publication{})
		wantError(t, name+": publish", err, kiln.Conflict, busy)
		open()
		r.idle(t)
		after, err := r.Resolve(named("f"), "")
		if err != nil || after.Revision == before.Revision || after.Version.Status.Update != kiln.Successful {
			t.Errorf("%s: after the update calls run %+v, %v", name, after, err)
		}
		before = after
	}
	if last := r.version(t, "f", ""); last.Package == first.Package || last.Config.MemoryMB != 129 || last.Config.Architecture != "arm64" {
		t.Errorf("after the updates the function is %+v", last)
	}
}

func TestAFailedUpdateLeavesTheOldCodeServing(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	before, _ := r.Resolve(named("f"), "")
	r.preps.failWith(func(v *kiln.Version) error { return kiln.Errorf(kiln.BadRuntime, "nothing serves it") })
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("two")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	for range 2 { // also after opening again
		v := r.version(t, "f", "")
		if want := (kiln.Status{State: kiln.Active, Update: kiln.UpdateFailed, UpdateReason: "nothing serves it", UpdateReasonCode: "InvalidRuntime"}); v.Status != want {
			t.Errorf("status is %+v, want %+v", v.Status, want)
		}
		now, err := r.Resolve(named("f"), "")
		if err != nil || now.Revision != before.Revision || now.Version.Package != before.Version.Package {
			t.Errorf("calls run %+v, %v, want what ran before", now, err)
		}
		r.open(t)
	}
	_, err := r.Publish(t.Context(), named("f"), catalog.Publication{})
	wantError(t, "publish", err, kiln.Conflict, "The operation cannot be performed at this time. The function is currently in the following state: Failed")
	r.preps.failWith(nil)
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("three")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if v := r.version(t, "f", ""); v.Status.Update != kiln.Successful || v.Status.UpdateReason != "" {
		t.Errorf("after an update that works the status is %+v", v.Status)
	}
}

func TestAFailedCreationSaysWhyAndCanBeRepaired(t *testing.T) {
	for _, c := range []struct {
		err          error
		reason, code string
	}{
		{kiln.Errorf(kiln.BadPackage, "bad zip"), "bad zip", "InvalidZipFileException"},
		{kiln.Errorf(kiln.BadRuntime, "no python"), "no python", "InvalidRuntime"},
		{kiln.Errorf(kiln.Unsupported, "no arm64"), "no arm64", "InvalidConfiguration"},
		{kiln.Errorf(kiln.Unavailable, "disk full"), "disk full", "InternalError"},
		{fmt.Errorf("wrapped: %w", kiln.Errorf(kiln.BadRuntime, "no ruby")), "no ruby", "InvalidRuntime"},
		{errors.New("secret detail"), "The function's package could not be put in place.", "InternalError"},
	} {
		r := newRig(t)
		r.preps.failWith(func(*kiln.Version) error { return c.err })
		v := r.create(t, "f", "code")
		if v.Status.State != kiln.Failed || v.Status.Reason != c.reason || v.Status.ReasonCode != c.code {
			t.Errorf("%v: status is %+v, want Failed, %q, %q", c.err, v.Status, c.reason, c.code)
		}
		_, err := r.Resolve(named("f"), "")
		wantError(t, "resolve", err, kiln.Conflict, "The operation cannot be performed at this time. The function is currently in the following state: Failed")
		r.preps.failWith(nil)
		if v, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("good")}); err != nil || v.Status.State != kiln.Pending {
			t.Fatalf("the repair gave %+v, %v", v, err)
		}
		r.idle(t)
		if v := r.version(t, "f", ""); v.Status != (kiln.Status{State: kiln.Active, Update: kiln.Successful}) {
			t.Errorf("after the repair the status is %+v", v.Status)
		}
	}
}

func TestWhatThePlatformCannotDoNowIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.patience = time.Minute
		r.open(t)
		full := kiln.Errorf(kiln.Unavailable, "no space left on device")
		r.preps.failWith(func(*kiln.Version) error { return full })
		r.createPending(t, "f")
		time.Sleep(20 * time.Second)
		if v := r.version(t, "f", ""); v.Status.State != kiln.Pending {
			t.Errorf("after 20 s the status is %+v", v.Status)
		}
		r.preps.failWith(nil) // space is back
		r.idle(t)
		if v := r.version(t, "f", ""); v.Status.State != kiln.Active {
			t.Errorf("with space again the status is %+v", v.Status)
		}

		r.preps.failWith(func(*kiln.Version) error { return full })
		began := time.Now()
		r.createPending(t, "g")
		r.idle(t)
		took := time.Since(began)
		if v := r.version(t, "g", ""); v.Status.State != kiln.Failed || v.Status.Reason != "no space left on device" || took < time.Minute || took > 2*time.Minute {
			t.Errorf("after %v the status is %+v, want Failed after a minute or two", took, v.Status)
		}

		began = time.Now()
		r.preps.failWith(func(*kiln.Version) error { return kiln.Errorf(kiln.BadRuntime, "no such runtime") })
		r.createPending(t, "h")
		r.idle(t)
		if took := time.Since(began); took != 0 || r.version(t, "h", "").Status.State != kiln.Failed {
			t.Errorf("what the function does wrong took %v and is %+v", took, r.version(t, "h", "").Status)
		}
		r.Close()
	})
}

func TestAStateThatCannotBeStoredIsStoredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		open := r.preps.hold()
		r.createPending(t, "f")
		r.store.FailWith(func([]catalog.Write) error { return errors.New("disk on fire") })
		open()
		time.Sleep(5 * time.Minute)
		if v := r.version(t, "f", ""); v.Status.State != kiln.Pending {
			t.Errorf("without a store the status is %+v", v.Status)
		}
		r.store.FailWith(nil)
		r.idle(t)
		if v := r.version(t, "f", ""); v.Status.State != kiln.Active {
			t.Errorf("with a store again the status is %+v", v.Status)
		}
		r.Close()
	})
}

func TestWhatWaitsIsTakenUpAfterAStart(t *testing.T) {
	r := newRig(t)
	r.create(t, "updated", "one")
	before, _ := r.Resolve(named("updated"), "")
	open := r.preps.hold()
	defer open()
	if _, err := r.UpdateCode(t.Context(), named("updated"), catalog.CodeUpdate{Zip: []byte("two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("created"), Config: config(), Zip: []byte("x"), Publish: true}); err != nil {
		t.Fatal(err)
	}
	r.open(t) // nothing was put in place: closing gave the preparations up
	if v := r.version(t, "updated", ""); v.Status.Update != kiln.InProgress {
		t.Errorf("after the start the update is %+v", v.Status)
	}
	if now, err := r.Resolve(named("updated"), ""); err != nil || now.Revision != before.Revision {
		t.Errorf("after the start calls run %+v, %v, want the old code", now, err)
	}
	open()
	r.idle(t)
	for _, q := range []kiln.Qualifier{"", "1"} {
		if v := r.version(t, "created", q); v.Status.State != kiln.Active {
			t.Errorf("created:%s is %+v", q, v.Status)
		}
	}
	if now, err := r.Resolve(named("updated"), ""); err != nil || now.Revision == before.Revision {
		t.Errorf("after the preparation calls run %+v, %v, want the new code", now, err)
	}
}

func TestAFunctionThatIsDeletedWhileItIsPreparedStaysDeleted(t *testing.T) {
	r := newRig(t)
	open := r.preps.hold()
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("one")}); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	second, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("two")})
	if err != nil {
		t.Fatal(err)
	}
	open()
	r.idle(t)
	if v := r.version(t, "f", ""); v.Package != second.Package || v.Status.State != kiln.Active {
		t.Errorf("the second function is %+v", v)
	}
}

func TestPublishAtCreationAndUpdate(t *testing.T) {
	r := newRig(t)
	one, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("one"), Publish: true})
	if err != nil || one.Number != 1 || one.Status.State != kiln.Pending {
		t.Fatalf("create and publish gave %+v, %v", one, err)
	}
	r.idle(t)
	two, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("two"), Publish: true})
	if err != nil || two.Number != 2 {
		t.Fatalf("update and publish gave %+v, %v", two, err)
	}
	r.idle(t)
	again, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("two"), Publish: true})
	if err != nil || again.Number != 2 {
		t.Errorf("an update with nothing new published %+v, %v, want version 2", again, err)
	}
	r.idle(t)
	for _, q := range []kiln.Qualifier{"1", "2", "$LATEST"} {
		if target, err := r.Resolve(named("f"), q); err != nil || target.Version.Name() != string(q) || target.Version.Status.State != kiln.Active {
			t.Errorf("%s: %+v, %v", q, target, err)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	r := newRig(t)
	before := r.create(t, "f", "one")
	would, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("two"), Architecture: "arm64", DryRun: true})
	if err != nil || would.Package.Size != 3 || would.Package.SHA256 == before.Package.SHA256 || would.Config.Architecture != "arm64" {
		t.Errorf("the dry run gave %+v, %v", would, err)
	}
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("broken"), DryRun: true})
	wantError(t, "dry run of a broken zip", err, kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	if after := r.version(t, "f", ""); after != before || before.Config.Architecture != "x86_64" {
		t.Errorf("after the dry run the function is %+v", after)
	}
	if _, _, err := r.blobs.Open(would.Package.SHA256); err == nil {
		t.Error("the package of the dry run was stored")
	}
}

func TestAStoreThatFailsChangesNothingInMemory(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	r.alias(t, "f", "live", "1")
	r.change(t, "f", "second")
	r.publish(t, "f")
	before := dump(r.Catalog)
	r.store.FailWith(func([]catalog.Write) error { return errors.New("disk on fire") })
	for name, write := range map[string]func() error{
		"create": func() error {
			_, err := r.CreateFunction(t.Context(), catalog.New{ID: named("g"), Config: config(), Zip: []byte("x")})
			return err
		},
		"update": func() error {
			_, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("x"), Publish: true})
			return err
		},
		"configure": func() error {
			_, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.MemoryMB = 256; return nil })
			return err
		},
		"reserve":        func() error { return r.SetReserved(t.Context(), named("f"), ptr(5)) },
		"delete version": func() error { return r.DeleteVersion(t.Context(), named("f"), "2") },
		"delete":         func() error { return r.DeleteFunction(t.Context(), named("f")) },
		"create alias": func() error {
			_, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "x", Version: "1"})
			return err
		},
		"delete alias": func() error { return r.DeleteAlias(t.Context(), named("f"), "live") },
	} {
		err := write()
		if kiln.CodeOf(err) != kiln.Unavailable || strings.HasPrefix(err.Error(), "disk on fire") {
			t.Errorf("%s: %v, want Unavailable with a text for clients", name, err)
		}
		if after := dump(r.Catalog); after != before {
			t.Errorf("%s: memory is\n%s\nwant\n%s", name, after, before)
		}
	}
	r.store.FailWith(nil)
	r.open(t)
	if after := dump(r.Catalog); after != before {
		t.Errorf("after a start the book is\n%s\nwant\n%s", after, before)
	}
}

// dump writes all that the book says, in a form that can be compared.
func dump(c *catalog.Catalog) string {
	var out strings.Builder
	for _, v := range c.AllVersions(home) {
		fmt.Fprintf(&out, "%s:%s %+v %v %+v %s %s\n", v.Function, v.Name(), v.Config, v.Package, v.Status, v.RevisionID, v.LastModified)
		target, err := c.Resolve(v.Function, kiln.Qualifier(v.Name()))
		if err != nil {
			fmt.Fprintf(&out, "  runs %v\n", err)
		} else {
			fmt.Fprintf(&out, "  runs %s %v %v\n", target.Revision, target.Version.Package, target.Version.Config)
		}
		if v.Number > 0 {
			continue
		}
		fn, _ := c.Function(v.Function)
		fmt.Fprintf(&out, "  %s %v\n", fn.Created, fn.Tags)
		if fn.Reserved != nil {
			fmt.Fprintf(&out, "  reserved %d\n", *fn.Reserved)
		}
		aliases, _ := c.Aliases(v.Function, "")
		for _, a := range aliases {
			fmt.Fprintf(&out, "  alias %+v\n", *a)
		}
	}
	fmt.Fprintf(&out, "reserved %d\n", c.Reserved(home))
	return out.String()
}

func TestChangesNameTheRevisionsThatNothingRunsAnyMore(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	one, _ := r.Resolve(named("f"), "")
	r.publish(t, "f")
	version, _ := r.Resolve(named("f"), "1")
	changes := r.Changes()

	r.change(t, "f", "new")
	if got := <-changes; got.Function != named("f") || got.Deleted || !slices.Equal(got.Retired, []kiln.Revision{one.Revision}) {
		t.Errorf("the update told %+v, want that %s is retired", got, one.Revision)
	}
	two, _ := r.Resolve(named("f"), "")
	if err := r.SetReserved(t.Context(), named("f"), ptr(3)); err != nil { // retires nothing, tells nothing
		t.Fatal(err)
	}
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	got := <-changes
	slices.Sort(got.Retired)
	want := []kiln.Revision{two.Revision, version.Revision}
	slices.Sort(want)
	if !got.Deleted || !slices.Equal(got.Retired, want) {
		t.Errorf("the deletion told %+v, want %v", got, want)
	}
	// a function of the same name and content is another one
	r.create(t, "f", "one")
	if again, _ := r.Resolve(named("f"), ""); again.Revision == one.Revision {
		t.Error("a function that was made anew has the revision of the one before")
	}
	r.Close()
	if _, open := <-changes; open {
		t.Error("the channel is open after Close")
	}
	if _, open := <-r.Changes(); open {
		t.Error("a channel from after Close is open")
	}
}

func TestChangesThatNobodyTakesDoNotHoldUpWriters(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	changes := r.Changes()
	const updates = 50
	for n := range updates {
		r.change(t, "f", fmt.Sprint(n))
	}
	retired := 0
	for retired < updates {
		retired += len((<-changes).Retired)
	}
	if retired != updates {
		t.Errorf("%d revisions were told of, want %d", retired, updates)
	}
}
