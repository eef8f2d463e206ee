package dispatch

import (
	"strings"
	"testing"

	"kiln"
)

func TestALineageCountsTheCallsOfEachFunction(t *testing.T) {
	scope := kiln.Scope{Account: "000000000000", Region: "us-east-1"}
	f, g := kiln.FunctionID{Scope: scope, Name: "f"}, kiln.FunctionID{Scope: scope, Name: "g"}
	trace := "Root=1-0-0;Parent=0;Sampled=0"
	for i, step := range []struct {
		id   kiln.FunctionID
		want int
	}{{f, 0}, {f, 1}, {g, 0}, {f, 2}, {g, 1}} {
		var n int
		if trace, n = descend(trace, step.id); n != step.want {
			t.Errorf("step %d: got %d in %s, want %d", i, n, trace, step.want)
		}
	}
	if !strings.HasPrefix(trace, "Root=1-0-0;Parent=0;Sampled=0;Lineage=") || strings.Count(trace, "Lineage") != 1 || strings.Count(trace, "|") != 1 {
		t.Errorf("got %s", trace)
	}
	if next, n := descend("Root=1;Lineage="+lineageName(f)+":7;Sampled=1", f); n != 8 || next != "Root=1;Lineage="+lineageName(f)+":8;Sampled=1" {
		t.Errorf("a member behind it: got %s, %d", next, n)
	}
	for _, odd := range []string{"Root=1;Lineage=", "Root=1;Lineage=:", "Root=1;Lineage=|||", "Root=1;Lineage=" + lineageName(f) + ":-5", "Root=1;Lineage=" + lineageName(f) + ":99999999999999999999", ""} {
		if next, n := descend(odd, f); n != 0 || !strings.Contains(next, lineageName(f)+":0") {
			t.Errorf("%q: got %s, %d", odd, next, n)
		}
	}
	long := trace
	for i := range 1000 {
		long, _ = descend(long, kiln.FunctionID{Scope: scope, Name: strings.Repeat("x", i%60) + string(rune('a'+i%26))})
	}
	if len(long) > 400 {
		t.Errorf("the header grows to %d bytes", len(long))
	}
}
