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

// warm gives a worker with one warm slot, and the round of one call through it: take,
// answer, token.
func warm(tb testing.TB) (round func(), done func()) {
	w := New(Options{Launcher: still{}, IdleTimeout: time.Hour, MemoryBudget: -1})
	target := kiln.Target{Version: &kiln.Version{}, Revision: "r"}
	key := kiln.EnvironmentKey{Revision: "r", InitType: kiln.OnDemand}
	p, err := w.open(&key, &target)
	if err != nil {
		tb.Fatal(err)
	}
	s := newSlot(p, 0, time.Now())
	s.env = still{}
	p.slots[s] = struct{}{}
	p.count[starting]++
	if !p.freed(s) {
		tb.Fatal("the slot is not wanted")
	}
	ctx := tb.Context()
	return func() {
			s, use, _, err := w.take(ctx, &key, &target)
			if err != nil {
				tb.Fatal(err)
			}
			p.answered(s, use, false)
			p.freed(s)
		}, func() {
			p.mu.Lock()
			p.dismiss(s)
			p.mu.Unlock()
			p.forget(s)
			_ = w.Close()
		}
}

func TestAWarmCallAllocatesNothingInThePool(t *testing.T) {
	round, done := warm(t)
	defer done()
	if got := testing.AllocsPerRun(1000, round); got > 0 {
		t.Errorf("a warm call allocates %v times, want 0", got)
	}
}

func BenchmarkThePoolsPartOfAWarmCall(b *testing.B) {
	round, done := warm(b)
	defer done()
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
