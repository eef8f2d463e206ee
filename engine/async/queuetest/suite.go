package queuetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/engine/async"
)

// Suite is what an implementation of async.Queue must pass. open opens the same queue
// again, after it was closed; of a queue that keeps nothing it is nil.
func Suite(t *testing.T, q async.Queue, reopen func(t *testing.T) async.Queue) {
	id := func(name string) kiln.FunctionID {
		return kiln.FunctionID{Scope: kiln.Scope{Account: "000000000000", Region: "us-east-1"}, Name: name}
	}
	base := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	event := func(name, payload string, at time.Duration) *async.Event {
		return &async.Event{
			ID: kiln.NewID(), Function: id(name), Qualifier: "live", Payload: []byte(payload), Trace: "Root=1", ClientJSON: `{"a":1}`,
			Tenant: "blue", Accepted: base.Add(at),
		}
	}
	put := func(t *testing.T, e *async.Event) {
		t.Helper()
		if err := q.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	heads := func(t *testing.T, name string, n int) []async.Head {
		t.Helper()
		h, err := q.Heads(t.Context(), id(name), n)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}

	t.Run("events come back whole and in order", func(t *testing.T) {
		first, second := event("order", `{"n":1}`, 0), event("order", `{"n":2}`, time.Second)
		put(t, first)
		put(t, second)
		got := heads(t, "order", 10)
		if len(got) != 2 || !got[0].Due.Equal(first.Accepted) || got[0].Number >= got[1].Number || got[0].Tries != 0 {
			t.Fatalf("got %+v", got)
		}
		if one := heads(t, "order", 1); len(one) != 1 || one[0] != got[0] {
			t.Errorf("the first alone: got %+v", one)
		}
		e, err := q.Load(t.Context(), got[1].Number)
		if err != nil {
			t.Fatal(err)
		}
		if !e.Accepted.Equal(second.Accepted) || !bytes.Equal(e.Payload, second.Payload) {
			t.Errorf("got %+v, want %+v", e, second)
		}
		e.Accepted, e.Payload = second.Accepted, second.Payload
		if fmt.Sprint(*e) != fmt.Sprint(*second) {
			t.Errorf("got %+v, want %+v", e, second)
		}
	})
	t.Run("one that is put off goes behind the others", func(t *testing.T) {
		put(t, event("off", `1`, 0))
		put(t, event("off", `2`, time.Second))
		before := heads(t, "off", 10)
		if err := q.Again(t.Context(), id("off"), before[0], base.Add(time.Minute), 2); err != nil {
			t.Fatal(err)
		}
		got := heads(t, "off", 10)
		if len(got) != 2 || got[1].Number != before[0].Number || got[1].Tries != 2 || !got[1].Due.Equal(base.Add(time.Minute)) {
			t.Errorf("got %+v", got)
		}
		if e, err := q.Load(t.Context(), got[1].Number); err != nil || string(e.Payload) != "1" {
			t.Errorf("got %+v, %v", e, err)
		}
	})
	t.Run("one that is dropped is gone, twice too", func(t *testing.T) {
		put(t, event("drop", `1`, 0))
		h := heads(t, "drop", 1)[0]
		for range 2 {
			if err := q.Drop(t.Context(), id("drop"), h); err != nil {
				t.Fatal(err)
			}
		}
		if got := heads(t, "drop", 1); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
		if _, err := q.Load(t.Context(), h.Number); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("got %v", err)
		}
		if err := q.Again(t.Context(), id("drop"), h, base, 1); err != nil {
			t.Error(err)
		}
		if got := heads(t, "drop", 1); len(got) != 0 {
			t.Errorf("put off after it was dropped: %+v", got)
		}
	})
	t.Run("many at once are all there", func(t *testing.T) {
		const each, writers = 50, 20
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					if err := q.Put(t.Context(), event("many", fmt.Sprint(w*each+n), 0)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var got []string
		for _, h := range heads(t, "many", each*writers+1) {
			e, err := q.Load(t.Context(), h.Number)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(e.Payload))
		}
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != each*writers {
			t.Errorf("%d of %d are there", len(got), each*writers)
		}
	})
	lanes := func(t *testing.T) map[string]string {
		t.Helper()
		got := map[string]string{}
		err := q.Lanes(t.Context(), func(id kiln.FunctionID, n int, first time.Time) error {
			got[id.Name] = fmt.Sprint(n, " ", first.UTC().Format(time.RFC3339Nano), " ", id.Account, " ", id.Region)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := func(n int, first time.Time) string {
		return fmt.Sprint(n, " ", first.Format(time.RFC3339Nano), " 000000000000 us-east-1")
	}
	check := func(t *testing.T) {
		t.Helper()
		got := lanes(t)
		if len(got) != 3 || got["order"] != want(2, base) || got["off"] != want(2, base.Add(time.Second)) || got["many"] != want(1000, base) {
			t.Errorf("got %v", got)
		}
	}
	t.Run("the functions that have events are known", check)
	if reopen == nil {
		return
	}
	t.Run("all of it is there after a restart", func(t *testing.T) {
		before := heads(t, "off", 10)
		q = reopen(t)
		check(t)
		if after := heads(t, "off", 10); !slices.EqualFunc(before, after, func(a, b async.Head) bool {
			return a.Number == b.Number && a.Tries == b.Tries && a.Due.Equal(b.Due)
		}) {
			t.Errorf("got %+v, want %+v", after, before)
		}
		last := heads(t, "many", 1000)[999].Number
		put(t, event("late", `1`, 0))
		if got := heads(t, "late", 1); got[0].Number <= last {
			t.Errorf("a new event has the number %d, after %d", got[0].Number, last)
		}
	})
}
