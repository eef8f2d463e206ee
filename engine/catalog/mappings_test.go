package catalog_test

import (
	"reflect"
	"testing"
	"time"

	"kiln"
)

func TestMappingsAreKept(t *testing.T) {
	r := newRig(t)
	m := &kiln.Mapping{
		Scope: named("f").Scope, ID: "0a0a0a0a-1b1b-4c4c-8d8d-0e0e0e0e0e0e", Source: "arn:aws:sqs:us-east-1:000000000000:q", Function: named("f"), Qualifier: "live", Enabled: true,
		BatchSize: 7, Window: time.Second, Filters: []string{`{"a":[1]}`}, Partial: true, MaxConcurrency: 3, Tags: map[string]string{"k": "v"}, Modified: time.Unix(1, 0).UTC(),
		State: kiln.MappingCreating, Reason: "x", Result: "y",
	}
	if err := r.AddMapping(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := *m
	want.State, want.Reason, want.Result = "", "", ""
	for range 2 {
		if got := r.Mappings(); len(got) != 1 || !reflect.DeepEqual(*got[0], want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		r.open(t) // as after a restart
	}
	again := *m
	again.ID = "other"
	wantError(t, "a second one", r.AddMapping(t.Context(), &again), kiln.Conflict,
		`An event source mapping with SQS arn (" arn:aws:sqs:us-east-1:000000000000:q ") and function (" f:live ") already exists. Please update or delete the existing mapping with UUID `+m.ID)
	wantError(t, "one that is not there", r.SetMapping(t.Context(), &again), kiln.NotFound, "The resource you requested does not exist.")
	again.Qualifier = ""
	if err := r.AddMapping(t.Context(), &again); err != nil {
		t.Errorf("to another qualifier: %v", err)
	}
	again.Qualifier = "live"
	if err := r.SetMapping(t.Context(), &again); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("two for one by a change: %v", err)
	}
	want.BatchSize, want.Deleting = 8, true
	if err := r.SetMapping(t.Context(), &want); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is gone stays so
		if err := r.DropMapping(t.Context(), again.Scope, again.ID); err != nil {
			t.Fatal(err)
		}
	}
	r.open(t)
	if got := r.Mappings(); len(got) != 1 || !reflect.DeepEqual(*got[0], want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
