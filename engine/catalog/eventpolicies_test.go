package catalog_test

import (
	"testing"
	"time"

	"kiln"
)

func TestPoliciesForEventsAreKeptForEachVersionAndAlias(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "x")
	r.publish(t, "f")
	r.alias(t, "f", "live", "1")
	change := func(q kiln.Qualifier, n int) {
		t.Helper()
		_, err := r.ChangeEventPolicy(t.Context(), named("f"), q, func(p *kiln.EventPolicy) error {
			age := time.Minute
			p.MaxRetries, p.MaxAge, p.OnFailure = &n, &age, "arn"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change("", 0)
	change("live", 1)
	_, err := r.ChangeEventPolicy(t.Context(), named("f"), "none", func(*kiln.EventPolicy) error { return nil })
	if kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("an alias that is not there: %v", err)
	}
	r.open(t) // as after a restart
	for q, want := range map[kiln.Qualifier]int{"": 0, kiln.Latest: 0, "live": 1} {
		p, err := r.EventPolicy(named("f"), q)
		if err != nil || p.MaxRetries == nil || *p.MaxRetries != want || *p.MaxAge != time.Minute || p.OnFailure != "arn" || p.Off {
			t.Errorf("%q: got %+v, %v", q, p, err)
		}
	}
	if p, err := r.EventPolicy(named("f"), "1"); err != nil || p.MaxRetries != nil {
		t.Errorf("version 1 has none of its own: got %+v, %v", p, err)
	}
	if list, err := r.EventPolicies(named("f")); err != nil || len(list) != 2 || list[0].Qualifier != kiln.Latest || list[1].Qualifier != "live" {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := r.SetReserved(t.Context(), named("f"), ptr(0)); err != nil {
		t.Fatal(err)
	}
	if p, err := r.EventPolicy(named("f"), "live"); err != nil || !p.Off {
		t.Errorf("switched off: got %+v, %v", p, err)
	}
	if err := r.DeleteAlias(t.Context(), named("f"), "live"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteEventPolicy(t.Context(), named("f"), "live"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("it outlives its alias: %v", err)
	}
	if err := r.DeleteEventPolicy(t.Context(), named("f"), ""); err != nil {
		t.Error(err)
	}
	wantError(t, "a policy that is gone", r.DeleteEventPolicy(t.Context(), named("f"), ""), kiln.NotFound,
		"The function "+named("f").ARN()+":$LATEST doesn't have an EventInvokeConfig")
	change("", 2)
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	r.create(t, "f", "x")
	if p, err := r.EventPolicy(named("f"), ""); err != nil || p.MaxRetries != nil {
		t.Errorf("a new function has a policy: %+v, %v", p, err)
	}
	r.open(t)
}
