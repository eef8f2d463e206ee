package catalog_test

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"testing"

	"kiln"
	"kiln/engine/catalog"
)

// arn is what every function of these tests begins with.
const arn = "arn:aws:lambda:us-east-1:000000000000:function:"

func TestWhatIsNotThereIsNamedAsAWSNamesIt(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	ctx := t.Context()
	keep := func(*kiln.Config) error { return nil }
	same := func(*kiln.Alias) error { return nil }
	for _, c := range []struct {
		what string
		call func() error
		want string
	}{
		{"function", func() error { _, err := r.Function(named("no")); return err }, "Function not found: " + arn + "no"},
		{"version of no function", func() error { _, err := r.Version(named("no"), ""); return err }, "Function not found: " + arn + "no"},
		{"$LATEST of no function", func() error { _, err := r.Version(named("no"), "$LATEST"); return err }, "Function not found: " + arn + "no:$LATEST"},
		{"number", func() error { _, err := r.Version(named("f"), "42"); return err }, "Function not found: " + arn + "f:42"},
		{"alias as qualifier", func() error { _, err := r.Version(named("f"), "noalias"); return err }, "Function not found: " + arn + "f:noalias"},
		{"odd qualifier", func() error { _, err := r.Version(named("f"), "valid-with-$-but-doesnotexist"); return err }, "Function not found: " + arn + "f:valid-with-$-but-doesnotexist"},
		{"number of other form", func() error { _, err := r.Version(named("f"), "00"); return err }, "Function not found: " + arn + "f:00"},
		{"number beyond all", func() error { _, err := r.Version(named("f"), "99999999999999999999999"); return err }, "Function not found: " + arn + "f:99999999999999999999999"},
		{"call of no function", func() error { _, err := r.Resolve(named("no"), "x"); return err }, "Function not found: " + arn + "no:x"},
		{"call of no version", func() error { _, err := r.Resolve(named("f"), "7"); return err }, "Function not found: " + arn + "f:7"},
		{"versions", func() error { _, err := r.Versions(named("no")); return err }, "Function not found: " + arn + "no"},
		{"code update", func() error {
			_, err := r.UpdateCode(ctx, named("no"), catalog.CodeUpdate{Zip: []byte("x")})
			return err
		}, "Function not found: " + arn + "no"},
		{"configuration update", func() error { _, err := r.UpdateConfig(ctx, named("no"), "", keep); return err }, "Function not found: " + arn + "no"},
		{"publish", func() error { _, err := r.Publish(ctx, named("no"), catalog.Publication{}); return err }, "Function not found: " + arn + "no"},
		{"delete", func() error { return r.DeleteFunction(ctx, named("no")) }, "Function not found: " + arn + "no"},
		{"delete version", func() error { return r.DeleteVersion(ctx, named("f"), "3") }, "Function not found: " + arn + "f:3"},
		{"delete version of no function", func() error { return r.DeleteVersion(ctx, named("no"), "3") }, "Function not found: " + arn + "no:3"},
		{"reserve", func() error { return r.SetReserved(ctx, named("no"), ptr(1)) }, "Function not found: " + arn + "no"},
		{"alias", func() error { _, err := r.Alias(named("f"), "noalias"); return err }, "Cannot find alias arn: " + arn + "f:noalias"},
		{"alias of no function", func() error { _, err := r.Alias(named("no"), "noalias"); return err }, "Cannot find alias arn: " + arn + "no:noalias"},
		{"alias update", func() error { _, err := r.UpdateAlias(ctx, named("f"), "noalias", "", same); return err }, "Cannot find alias arn: " + arn + "f:noalias"},
		{"alias to no version", func() error {
			_, err := r.CreateAlias(ctx, kiln.Alias{Function: named("f"), Name: "a", Version: "9"})
			return err
		}, "Function not found: " + arn + "f:9"},
		{"alias to an alias", func() error {
			_, err := r.CreateAlias(ctx, kiln.Alias{Function: named("f"), Name: "a", Version: "b"})
			return err
		}, "Function not found: " + arn + "f:b"},
		{"aliases", func() error { _, err := r.Aliases(named("no"), ""); return err }, "Function not found: " + arn + "no"},
		{"alias of no function, made", func() error {
			_, err := r.CreateAlias(ctx, kiln.Alias{Function: named("no"), Name: "a", Version: "1"})
			return err
		}, "Function not found: " + arn + "no"},
	} {
		wantError(t, c.what, c.call(), kiln.NotFound, c.want)
	}
	if err := r.DeleteAlias(ctx, named("f"), "noalias"); err != nil {
		t.Errorf("deleting an alias that is not there gave %v", err)
	}
}

func TestAFunctionThatExistsIsNotMadeAgain(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	_, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("two")})
	wantError(t, "create", err, kiln.Conflict, "Function already exist: f")
}

func TestNamesAreExactAndScopesAreApart(t *testing.T) {
	r := newRig(t)
	others := []kiln.FunctionID{
		named("F"), named("f_"), {Scope: kiln.Scope{Account: "111111111111", Region: "us-east-1"}, Name: "f"}, {Scope: kiln.Scope{Account: "000000000000", Region: "eu-west-1"}, Name: "f"},
	}
	r.create(t, "f", "mine")
	for _, id := range others {
		if _, err := r.Function(id); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("%s is there: %v", id, err)
		}
	}
	for _, id := range others {
		if _, err := r.CreateFunction(t.Context(), catalog.New{ID: id, Config: config(), Zip: []byte("theirs " + id.String())}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	r.idle(t)
	if err := r.SetReserved(t.Context(), others[2], ptr(900)); err != nil {
		t.Error(err)
	}
	if err := r.SetReserved(t.Context(), named("f"), ptr(900)); err != nil {
		t.Errorf("the reservation of another account counts here: %v", err)
	}
	if err := r.DeleteFunction(t.Context(), others[2]); err != nil {
		t.Error(err)
	}
	if v := r.version(t, "f", ""); v.Package.Size != 4 {
		t.Errorf("another account's deletion changed %+v", v)
	}
	if got := len(r.Functions(home)); got != 3 {
		t.Errorf("this scope has %d functions, want 3", got)
	}
	for _, id := range []kiln.FunctionID{
		named(""), named("../x"), named("a/b"), named("a b"), {Scope: kiln.Scope{Account: "", Region: "r"}, Name: "f"},
		{Scope: kiln.Scope{Account: "a/b", Region: "r"}, Name: "f"}, {Scope: kiln.Scope{Account: "1", Region: "../.."}, Name: "f"},
	} {
		if _, err := r.CreateFunction(t.Context(), catalog.New{ID: id, Config: config(), Zip: []byte("x")}); kiln.CodeOf(err) != kiln.Invalid {
			t.Errorf("%q: %v, want Invalid", id, err)
		}
	}
}

func TestARevisionThatIsNotTheLatestIsRefused(t *testing.T) {
	const stale = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	a := r.alias(t, "f", "live", "1")
	ctx := t.Context()
	for what, call := range map[string]func(revision string) error{
		"code": func(revision string) error {
			_, err := r.UpdateCode(ctx, named("f"), catalog.CodeUpdate{Zip: []byte("two"), RevisionID: revision})
			return err
		},
		"dry run": func(revision string) error {
			_, err := r.UpdateCode(ctx, named("f"), catalog.CodeUpdate{Zip: []byte("two"), RevisionID: revision, DryRun: true})
			return err
		},
		"configuration": func(revision string) error {
			_, err := r.UpdateConfig(ctx, named("f"), revision, func(c *kiln.Config) error { c.MemoryMB++; return nil })
			return err
		},
		"publish": func(revision string) error {
			_, err := r.Publish(ctx, named("f"), catalog.Publication{RevisionID: revision})
			return err
		},
	} {
		wantError(t, what, call("00000000-0000-0000-0000-000000000000"), kiln.Precondition, stale)
		wantError(t, what+" with the version's", call(r.version(t, "f", "1").RevisionID), kiln.Precondition, stale)
		before := r.version(t, "f", "").RevisionID
		if err := call(before); err != nil {
			t.Errorf("%s with the latest: %v", what, err)
		}
		r.idle(t)
	}
	same := func(a *kiln.Alias) error { a.Description += "!"; return nil }
	_, err := r.UpdateAlias(ctx, named("f"), "live", r.version(t, "f", "").RevisionID, same)
	wantError(t, "alias with the function's", err, kiln.Precondition, stale)
	next, err := r.UpdateAlias(ctx, named("f"), "live", a.RevisionID, same)
	if err != nil || next.RevisionID == a.RevisionID || next.Description != "!" || a.Description != "" {
		t.Errorf("alias with the latest: %+v, %v", next, err)
	}
	_, err = r.UpdateAlias(ctx, named("f"), "live", a.RevisionID, same)
	wantError(t, "alias again", err, kiln.Precondition, stale)
}

func TestPublishingIsGuardedByTheDigest(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	sum := sha256.Sum256([]byte("one"))
	current := base64.StdEncoding.EncodeToString(sum[:]) // as clients see it
	_, err := r.Publish(t.Context(), named("f"), catalog.Publication{CodeSHA256: "somenonexistentsha256"})
	wantError(t, "publish", err, kiln.Invalid, "CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST ("+current+"). Please try again with the CodeSHA256 in $LATEST.")
	if v, err := r.Publish(t.Context(), named("f"), catalog.Publication{CodeSHA256: current, Description: ptr("first")}); err != nil || v.Number != 1 || v.Config.Description != "first" {
		t.Errorf("publish gave %+v, %v", v, err)
	}
}

func TestWhatAnAliasMayPointTo(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	r.change(t, "f", "two")
	r.publish(t, "f")
	if _, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.Role += "2"; return nil }); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	r.publish(t, "f") // 3, with another role
	r.alias(t, "f", "live", "1")
	type weights = map[string]float64
	for _, c := range []struct {
		version string
		weights weights
		code    kiln.Code
		want    string
	}{
		{"1", weights{"2": 0.1, "3": 0.1}, kiln.Invalid, "Number of items in AdditionalVersionWeights cannot be greater than 1"},
		{"1", weights{"1": 0.5}, kiln.Invalid, "Invalid function version 1. Function version 1 is already included in routing configuration."},
		{"$LATEST", weights{"1": 0.5}, kiln.Invalid, "$LATEST is not supported for an alias pointing to more than 1 version"},
		{"1", weights{"$LATEST": 0.5}, kiln.Invalid, "Invalid function version $LATEST. Only published versions can be in the routing configuration."},
		{"1", weights{"live": 0.5}, kiln.Invalid, "Invalid function version live. Only published versions can be in the routing configuration."},
		{"1", weights{"2": 1.1}, kiln.Invalid, "The weight of version 2 must be between 0.0 and 1.0."},
		{"1", weights{"2": -0.1}, kiln.Invalid, "The weight of version 2 must be between 0.0 and 1.0."},
		{"1", weights{"2": math.NaN()}, kiln.Invalid, "The weight of version 2 must be between 0.0 and 1.0."},
		{"1", weights{"9": 0.5}, kiln.NotFound, "Function not found: " + arn + "f:9"},
		{"1", weights{"3": 0.5}, kiln.Invalid, "Versions 1 and 3 have different execution roles: an alias cannot point to both."},
	} {
		_, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "x", Version: c.version, Weights: c.weights})
		wantError(t, "create", err, c.code, c.want)
		_, err = r.UpdateAlias(t.Context(), named("f"), "live", "", func(a *kiln.Alias) error {
			a.Version, a.Weights = c.version, c.weights
			return nil
		})
		wantError(t, "update", err, c.code, c.want)
	}
	_, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "live", Version: "2"})
	wantError(t, "create again", err, kiln.Conflict, "Alias already exists: "+arn+"f:live")
	for _, name := range []string{"", "7", "$LATEST", "a/b", "2024"} {
		if _, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: name, Version: "1"}); kiln.CodeOf(err) != kiln.Invalid {
			t.Errorf("an alias with the name %q: %v, want Invalid", name, err)
		}
	}
	if a, err := r.Alias(named("f"), "live"); err != nil || a.Version != "1" || a.Weights != nil {
		t.Errorf("after the refusals the alias is %+v, %v", a, err)
	}
}

func TestWhatCannotBeDeleted(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	r.change(t, "f", "two")
	r.publish(t, "f")
	r.alias(t, "f", "live", "1")
	if _, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "beta", Version: "2", Weights: map[string]float64{"1": 0}}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	wantError(t, "$LATEST", r.DeleteVersion(ctx, named("f"), "$LATEST"), kiln.Invalid, "$LATEST version cannot be deleted without deleting the function.")
	wantError(t, "an alias", r.DeleteVersion(ctx, named("f"), "live"), kiln.Invalid, "Deletion of aliases is not currently supported.")
	wantError(t, "an aliased version", r.DeleteVersion(ctx, named("f"), "1"), kiln.Conflict, "Unable to delete version 1 because the following aliases reference it: [beta, live]")
	for _, name := range []string{"live", "beta"} {
		if err := r.DeleteAlias(ctx, named("f"), name); err != nil {
			t.Error(err)
		}
	}
	if err := r.DeleteVersion(ctx, named("f"), "1"); err != nil {
		t.Error(err)
	}
	if vs, err := r.Versions(named("f")); err != nil || len(vs) != 2 || vs[1].Number != 2 {
		t.Errorf("after the deletion there are %v, %v", vs, err)
	}
}

func TestReservedConcurrencyLeavesTheMinimum(t *testing.T) {
	const below = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
	r := newRig(t)
	ctx := t.Context()
	for _, name := range []string{"f", "g"} {
		r.create(t, name, name)
	}
	wantError(t, "all but 99", r.SetReserved(ctx, named("f"), ptr(901)), kiln.Invalid, below)
	wantError(t, "more than there is", r.SetReserved(ctx, named("f"), ptr(math.MaxInt)), kiln.Invalid, below)
	n := 900
	if err := r.SetReserved(ctx, named("f"), &n); err != nil {
		t.Error(err)
	}
	n = 5 // the caller's variable is not the book's
	wantError(t, "one more", r.SetReserved(ctx, named("g"), ptr(1)), kiln.Invalid, below)
	if err := r.SetReserved(ctx, named("g"), ptr(0)); err != nil {
		t.Errorf("switching off: %v", err)
	}
	target, err := r.Resolve(named("f"), "")
	if err != nil || target.Reserved == nil || *target.Reserved != 900 || r.Reserved(home) != 900 {
		t.Errorf("resolve gave %+v, %v; the sum is %d", target, err, r.Reserved(home))
	}
	if off, err := r.Resolve(named("g"), ""); err != nil || off.Reserved == nil || *off.Reserved != 0 {
		t.Errorf("what is switched off resolves to %+v, %v", off, err)
	}
	r.open(t)
	if r.Reserved(home) != 900 {
		t.Errorf("after a start the sum is %d", r.Reserved(home))
	}
	if err := r.DeleteFunction(ctx, named("f")); err != nil || r.Reserved(home) != 0 {
		t.Errorf("after the deletion the sum is %d, %v", r.Reserved(home), err)
	}
	if err := r.SetReserved(ctx, named("g"), ptr(900)); err != nil {
		t.Error(err)
	}
	if err := r.SetReserved(ctx, named("g"), nil); err != nil || r.Reserved(home) != 0 {
		t.Errorf("without the reservation the sum is %d, %v", r.Reserved(home), err)
	}
	if target, _ := r.Resolve(named("g"), ""); target.Reserved != nil {
		t.Errorf("without the reservation resolve gave %d", *target.Reserved)
	}
}

func TestABrokenPackageIsRefusedBeforeAnythingIsStored(t *testing.T) {
	r := newRig(t)
	_, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: []byte("broken")})
	wantError(t, "create", err, kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	if n, err := r.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("a sweep found %d packages, %v", n, err)
	}
	r.create(t, "f", "good")
	before := r.version(t, "f", "")
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("broken")})
	wantError(t, "update", err, kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	if r.version(t, "f", "") != before {
		t.Error("the refused update changed the function")
	}
}
