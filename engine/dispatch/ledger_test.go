package dispatch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"kiln"
)

var home = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

func TestAPermitReleasedTwiceCountsOnce(t *testing.T) {
	l := NewLedger(2)
	id := kiln.FunctionID{Scope: home, Name: "f"}
	limits := shares(2, 0, nil)
	a, err := l.Acquire(id, limits)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(id, limits); err != nil {
		t.Fatal(err)
	}
	a.Release()
	a.Release()
	if got := l.Usage(home).Running; got != 1 || l.Running(id) != 1 {
		t.Errorf("got %d running in the scope, %d of the function; want 1", got, l.Running(id))
	}
}

func TestSharesAreTheReservationOrTheRest(t *testing.T) {
	three := 3
	for _, c := range []struct {
		account, total int
		reserved       *int
		want           Limits
	}{
		{1000, 0, nil, Limits{1000, -1, 1000}},
		{1000, 300, nil, Limits{1000, -1, 700}},
		{1000, 300, &three, Limits{1000, 3, -1}},
		{10, 300, nil, Limits{10, -1, 0}},
	} {
		if got := shares(c.account, c.total, c.reserved); got != c.want {
			t.Errorf("shares(%d, %d, %v) = %+v, want %+v", c.account, c.total, c.reserved, got, c.want)
		}
	}
}

func TestFunctionsThatComeAndGoLeaveNothingBehind(t *testing.T) {
	l := NewLedger(10)
	for i := range 100000 {
		p, err := l.Acquire(kiln.FunctionID{Scope: home, Name: fmt.Sprint("f", i)}, shares(10, 0, nil))
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	left := 0
	for i := range l.shards {
		left += len(l.shards[i].functions)
	}
	if left > 64*len(l.shards) {
		t.Errorf("%d counters are left, want at most %d", left, 64*len(l.shards))
	}
}

func TestASweepKeepsTheCountsOfRunningFunctions(t *testing.T) {
	l := NewLedger(1 << 20)
	one := 1
	var permits []kiln.Permit
	for i := range 20000 {
		p, err := l.Acquire(kiln.FunctionID{Scope: home, Name: fmt.Sprint("f", i)}, shares(1<<20, 0, &one))
		if err != nil {
			t.Fatal(err)
		}
		permits = append(permits, p)
	}
	for i := range 20000 {
		if _, err := l.Acquire(kiln.FunctionID{Scope: home, Name: fmt.Sprint("f", i)}, shares(1<<20, 0, &one)); err == nil {
			t.Fatalf("f%d got a second permit of one", i)
		}
	}
	for _, p := range permits {
		p.Release()
	}
	if got := l.Usage(home).Running; got != 0 {
		t.Errorf("%d permits are left", got)
	}
}

func TestCountersStayBelowTheirLimitsUnderContention(t *testing.T) {
	l := NewLedger(7)
	four := 4
	ids := []kiln.FunctionID{{Scope: home, Name: "r"}, {Scope: home, Name: "x"}}
	lim := []Limits{shares(7, 4, &four), shares(7, 4, nil)}
	var now [2]atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 5000 {
				p, err := l.Acquire(ids[i%2], lim[i%2])
				if err != nil {
					continue
				}
				if n := now[i%2].Add(1); n > int64(4-i%2) {
					t.Errorf("%s runs %d times", ids[i%2].Name, n)
				}
				now[i%2].Add(-1)
				p.Release()
			}
		})
	}
	wg.Wait()
}

// One function per goroutine shows what functions cost each other; compare it with
// the benchmark of one function alone.
func BenchmarkPermitsOfManyFunctions(b *testing.B) {
	l := NewLedger(1 << 30)
	limits := shares(1<<30, 0, nil)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := kiln.FunctionID{Scope: home, Name: fmt.Sprint("f", n.Add(1))}
		for pb.Next() {
			p, err := l.Acquire(id, limits)
			if err != nil {
				b.Fatal(err)
			}
			p.Release()
		}
	})
}

func BenchmarkPermitsOfOneFunction(b *testing.B) {
	l := NewLedger(1 << 30)
	limits := shares(1<<30, 0, nil)
	id := kiln.FunctionID{Scope: home, Name: "f"}
	b.ReportAllocs()
	for b.Loop() {
		p, err := l.Acquire(id, limits)
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}
