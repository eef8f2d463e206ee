package dispatch_test

import (
	"math/rand/v2"
	"testing"

	"kiln"
	"kiln/engine/dispatch"
)

const mb = 1 << 20

func TestPlacementPrefersRoomThenTheShorterQueueThenTheEmptierMachine(t *testing.T) {
	for _, c := range []struct {
		name  string
		loads []kiln.Load
		need  int64
		first int
		want  int
	}{
		{"nobody", nil, 0, 0, -1},
		{"one", []kiln.Load{{}}, 128 * mb, 0, 0},
		{"room before no room", []kiln.Load{{MemoryBytes: 100 * mb, MemoryUsedBytes: 90 * mb}, {MemoryBytes: 1000 * mb, MemoryUsedBytes: 700 * mb}}, 128 * mb, 0, 1},
		{"nobody waiting before room with a queue", []kiln.Load{{MemoryBytes: 1000 * mb, Waiting: 1}, {MemoryBytes: 1000 * mb, MemoryUsedBytes: 500 * mb}}, mb, 0, 1},
		{"shorter queue when all are full", []kiln.Load{{MemoryBytes: mb, Waiting: 9}, {MemoryBytes: mb, Waiting: 3}}, 2 * mb, 0, 1},
		{"emptier", []kiln.Load{{MemoryBytes: 1000 * mb, MemoryUsedBytes: 500 * mb}, {MemoryBytes: 1000 * mb, MemoryUsedBytes: 100 * mb}}, mb, 0, 1},
		{"fewer running", []kiln.Load{{MemoryBytes: 1000 * mb, Running: 3}, {MemoryBytes: 1000 * mb, Running: 2}}, mb, 0, 1},
		{"equal: in turn", []kiln.Load{{}, {}, {}}, mb, 2, 2},
	} {
		if got := dispatch.Place(c.loads, c.need, c.first); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPlacementNeverPicksAFullMachineWhileAnotherHasRoom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		loads := make([]kiln.Load, 1+r.IntN(6))
		for i := range loads {
			loads[i] = kiln.Load{MemoryBytes: int64(1 + r.IntN(8)), MemoryUsedBytes: int64(r.IntN(8)), Waiting: r.IntN(3), Running: r.IntN(4)}
		}
		need := int64(r.IntN(4))
		room := func(l kiln.Load) bool { return l.Waiting == 0 && l.MemoryUsedBytes+need <= l.MemoryBytes }
		got := dispatch.Place(loads, need, r.IntN(len(loads)))
		if got < 0 || got >= len(loads) {
			t.Fatalf("got %d of %d", got, len(loads))
		}
		for _, l := range loads {
			if room(l) && !room(loads[got]) {
				t.Fatalf("picked %+v of %+v for %d", loads[got], loads, need)
			}
		}
	}
}

func TestEqualWorkersShareTheCalls(t *testing.T) {
	a, b := &machine{}, &machine{}
	d := dispatch.New(dispatch.Options{Catalog: &book{reserved: map[string]*int{"f": nil}}, Workers: []dispatch.Worker{a, b}})
	for range 100 {
		if _, err := d.Invoke(t.Context(), call("f")); err != nil {
			t.Fatal(err)
		}
	}
	if a.calls != 50 || b.calls != 50 {
		t.Errorf("got %d and %d calls, want 50 each", a.calls, b.calls)
	}
}
