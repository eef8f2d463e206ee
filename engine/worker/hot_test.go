package worker

import (
	"context"
	"testing"
	"time"

	"kiln"
	"kiln/box/sandbox"
)

// still is an environment that does nothing; the test hands its tokens in by hand.
type still struct{}

func (still) Idle() <-chan struct{}         { return nil }
func (still) Rest()                         {}
func (still) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, sandbox.ErrGone }
func (still) Close() error                  { return nil }
func (still) Invoke(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
	return nil, nil
}

func (still) Launch(ctx context.Context, _ kiln.EnvironmentKey, _ kiln.Target) (Environment, error) {
	return nil, ctx.Err()
}

// warmSlot gives a worker with one warm slot of a target.
func warmSlot(tb testing.TB) (w *Worker, s *slot, key kiln.EnvironmentKey, target kiln.Target) {
	w = New(Options{Launcher: still{}, IdleTimeout: time.Hour, MemoryBudget: -1})
	target = kiln.Target{Version: &kiln.Version{}, Revision: "r"}
	key = kiln.EnvironmentKey{Revision: "r", InitType: kiln.OnDemand}
	p, err := w.open(&key, &target)
	if err != nil {
		tb.Fatal(err)
	}
	s = newSlot(p, 0, time.Now())
	s.env = still{}
	p.slots[s] = struct{}{}
	p.count[starting]++
	if !p.freed(s) {
		tb.Fatal("the slot is not wanted")
	}
	tb.Cleanup(func() {
		p.mu.Lock()
		p.dismiss(s)
		p.mu.Unlock()
		p.forget(s)
		_ = w.Close()
	})
	return w, s, key, target
}

// warm gives the round of one call through a warm slot: take, answer, token.
func warm(tb testing.TB) (round func()) {
	w, s, key, target := warmSlot(tb)
	ctx := tb.Context()
	return func() {
		_, use, _, err := w.take(ctx, &key, &target)
		if err != nil {
			tb.Fatal(err)
		}
		s.pool.answered(s, use, false)
		s.pool.freed(s)
	}
}

func TestASlotThatIsPutBackUnusedIsAsItWas(t *testing.T) {
	w, s, key, target := warmSlot(t)
	_, use, _, err := w.take(t.Context(), &key, &target)
	if err != nil {
		t.Fatal(err)
	}
	s.pool.putBack(s, use)
	if i := w.Environments()[0]; i.State != "idle" || i.Invocations != 0 || w.Load().Running != 0 {
		t.Errorf("got %+v, load %+v", i, w.Load())
	}
	if got, _, waited, err := w.take(t.Context(), &key, &target); err != nil || got != s || waited != 0 {
		t.Errorf("got %v after %v, %v; want the same slot at once", got, waited, err)
	}
	s.pool.putBack(s, use) // a second time, when another caller has it
	if i := w.Environments()[0]; i.State != "busy" {
		t.Errorf("got %+v, want busy", i)
	}
}

func TestAWarmCallAllocatesNothingInThePool(t *testing.T) {
	round := warm(t)
	if got := testing.AllocsPerRun(1000, round); got > 0 {
		t.Errorf("a warm call allocates %v times, want 0", got)
	}
}

func BenchmarkThePoolsPartOfAWarmCall(b *testing.B) {
	round := warm(b)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
