package catalog_test

import (
	"reflect"
	"regexp"
	"testing"

	"kiln"
)

// urlRig is a catalog with the function f, its version 1 and its alias live.
func urlRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.create(t, "f", "code")
	r.publish(t, "f")
	r.alias(t, "f", "live", "1")
	return r
}

func (r *rig) url(t *testing.T, q kiln.Qualifier, change func(*kiln.FunctionURL)) *kiln.FunctionURL {
	t.Helper()
	u := kiln.FunctionURL{Function: named("f"), Qualifier: q, Auth: kiln.URLAuthNone, InvokeMode: kiln.Buffered}
	if change != nil {
		change(&u)
	}
	made, err := r.CreateURL(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAURLIsFoundByItsIDAlsoAfterTheBookIsReadAnew(t *testing.T) {
	r := urlRig(t)
	yes, age := true, 60
	own := r.url(t, "", func(u *kiln.FunctionURL) {
		u.CORS = &kiln.CORS{AllowCredentials: &yes, AllowOrigins: []string{"*"}, AllowHeaders: []string{}, MaxAge: &age}
	})
	alias := r.url(t, "live", nil)
	if !regexp.MustCompile(`^[a-z2-7]{32}$`).MatchString(own.ID) || own.ID == alias.ID || own.Created.IsZero() || own.ARN() != named("f").ARN() || alias.ARN() != named("f").ARN()+":live" {
		t.Errorf("got %+v and %+v", own, alias)
	}
	for range 2 {
		for _, want := range []*kiln.FunctionURL{own, alias} {
			byID := r.URLByID(want.ID)
			byName, err := r.URL(named("f"), want.Qualifier)
			if err != nil || !reflect.DeepEqual(byID, want) || !reflect.DeepEqual(byName, want) {
				t.Errorf("got %+v, %+v, %v; want %+v", byID, byName, err, want)
			}
		}
		if list, err := r.URLs(named("f")); err != nil || len(list) != 2 || list[0].ID != own.ID || list[1].ID != alias.ID {
			t.Errorf("got %v, %v", list, err)
		}
		r.open(t)
	}
	if r.URLByID("nobody") != nil {
		t.Error("an ID that was never given leads somewhere")
	}
}

func TestAURLKeepsItsIDWhenItIsUpdated(t *testing.T) {
	r := urlRig(t)
	before := r.url(t, "", nil)
	after, err := r.UpdateURL(t.Context(), named("f"), "", func(u *kiln.FunctionURL) error {
		u.InvokeMode = kiln.StreamedMode
		return nil
	})
	if err != nil || after.ID != before.ID || after.InvokeMode != kiln.StreamedMode || after.Modified.Before(before.Modified) || !after.Created.Equal(before.Created) {
		t.Errorf("got %+v, %v", after, err)
	}
	if before.InvokeMode != kiln.Buffered || r.URLByID(before.ID) != after {
		t.Error("the snapshot changed, or the index did not")
	}
	if _, err := r.UpdateURL(t.Context(), named("f"), "", func(*kiln.FunctionURL) error { return kiln.Errorf(kiln.Invalid, "no") }); kiln.CodeOf(err) != kiln.Invalid || r.URLByID(before.ID) != after {
		t.Errorf("got %v", err)
	}
}

func TestAURLGoesWithWhatItLeadsTo(t *testing.T) {
	r := urlRig(t)
	own, alias := r.url(t, "", nil), r.url(t, "live", nil)
	if err := r.DeleteAlias(t.Context(), named("f"), "live"); err != nil {
		t.Fatal(err)
	}
	if r.URLByID(alias.ID) != nil || r.URLByID(own.ID) == nil {
		t.Error("the alias is gone and its URL is not, or the function's went along")
	}
	if err := r.DeleteURL(t.Context(), named("f"), ""); err != nil {
		t.Fatal(err)
	}
	again := r.url(t, "", nil)
	if again.ID == own.ID || r.URLByID(own.ID) != nil {
		t.Error("an ID was given twice")
	}
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	if r.URLByID(again.ID) != nil {
		t.Error("the function is gone and its URL is not")
	}
	r.open(t) // nothing of it is left in the store
	if r.URLByID(again.ID) != nil {
		t.Error("the URL came back")
	}
}

func TestWhatHasNoURLSaysSo(t *testing.T) {
	r := urlRig(t)
	r.url(t, "", nil)
	none := "The resource you requested does not exist."
	change := func(*kiln.FunctionURL) error { return nil }
	for name, c := range map[string]struct {
		err  error
		code kiln.Code
		text string
	}{
		"again":    {second(r.CreateURL(t.Context(), kiln.FunctionURL{Function: named("f")})), kiln.Conflict, "Failed to create function url config for [functionArn = " + named("f").ARN() + "]. Error message:  FunctionUrlConfig exists for this Lambda function"},
		"function": {second(r.CreateURL(t.Context(), kiln.FunctionURL{Function: named("g")})), kiln.NotFound, "Function does not exist"},
		"alias":    {second(r.CreateURL(t.Context(), kiln.FunctionURL{Function: named("f"), Qualifier: "none"})), kiln.NotFound, "Function does not exist"},
		"get":      {second(r.URL(named("f"), "live")), kiln.NotFound, none},
		"get g":    {second(r.URL(named("g"), "")), kiln.NotFound, none},
		"update":   {second(r.UpdateURL(t.Context(), named("f"), "live", change)), kiln.NotFound, none},
		"delete":   {r.DeleteURL(t.Context(), named("f"), "live"), kiln.NotFound, none},
		"delete g": {r.DeleteURL(t.Context(), named("g"), ""), kiln.NotFound, none},
		"list":     {second(r.URLs(named("g"))), kiln.NotFound, "Function does not exist"},
	} {
		if kiln.CodeOf(c.err) != c.code || c.err == nil || c.err.Error() != c.text {
			t.Errorf("%s: got %v, want %s", name, c.err, c.text)
		}
	}
}

func second[T any](_ T, err error) error { return err }
