package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

func TestTheSecondCallFindsTheEnvironmentOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 50 * time.Millisecond, after: time.Millisecond}
		w := open(t, world, worker.Options{})
		first := run(t, w, call("f"))
		second := run(t, w, call("f")) // at once: the environment is not free yet
		time.Sleep(time.Second)
		third := run(t, w, call("f"))
		if launched, _ := world.count(); launched != 1 || first.Version != second.Version || second.Version != third.Version {
			t.Errorf("got %s, %s, %s from %d environments; want one", first.Version, second.Version, third.Version, launched)
		}
		if first.Report.Queue != 50*time.Millisecond || second.Report.Queue != time.Millisecond || third.Report.Queue != 0 {
			t.Errorf("queued for %v, %v, %v; want 50ms, 1ms, 0", first.Report.Queue, second.Report.Queue, third.Report.Queue)
		}
	})
}

func TestARevisionATenantOrAFunctionNeverSharesAnEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		w := open(t, world, worker.Options{})
		for range 3 {
			for _, tenant := range []string{"", "a", "b"} {
				for _, name := range []string{"f", "g"} {
					inv := call(name)
					inv.Tenant = tenant
					run(t, w, inv) // the fake checks the key
					synctest.Wait()
				}
			}
		}
		if launched, _ := world.count(); launched != 6 {
			t.Errorf("%d environments, want 6", launched)
		}
	})
}

func TestTheEnvironmentUsedLastIsTakenFirstAndTheOthersAreReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: time.Millisecond}
		world.handle = func(e *environment, _ *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(10 * time.Millisecond)
			return &kiln.Outcome{Version: e.ID()}, nil
		}
		w := open(t, world, worker.Options{IdleTimeout: time.Minute})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { run(t, w, call("f")) })
		}
		wg.Wait()
		synctest.Wait()
		if _, alive := world.count(); alive != 5 {
			t.Fatalf("%d environments, want 5", alive)
		}
		hot := run(t, w, call("f")).Version
		for range 200 {
			time.Sleep(time.Second)
			if got := run(t, w, call("f")).Version; got != hot {
				t.Fatalf("got %s, want always %s", got, hot)
			}
		}
		if _, alive := world.count(); alive != 1 {
			t.Errorf("%d environments are left after the idle timeout, want the hot one", alive)
		}
		time.Sleep(2 * time.Minute)
		if _, alive := world.count(); alive != 0 || len(w.Environments()) != 0 {
			t.Errorf("%d environments are left, want none", alive)
		}
		time.Sleep(2 * time.Minute)
		run(t, w, call("f")) // the pool itself was forgotten: it comes back
	})
}

func TestAnIdleTimeoutOfZeroMakesEveryCallAColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: time.Millisecond}
		w := open(t, world, worker.Options{IdleTimeout: -1})
		seen := map[string]bool{}
		for range 5 {
			seen[run(t, w, call("f")).Version] = true
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				v := run(t, w, call("f")).Version
				mu.Lock()
				defer mu.Unlock()
				seen[v] = true
			})
		}
		wg.Wait()
		synctest.Wait()
		if _, alive := world.count(); len(seen) != 25 || alive != 0 {
			t.Errorf("25 calls used %d environments and %d are left; want 25 and 0", len(seen), alive)
		}
	})
}

func TestAnEnvironmentRestsBetweenCallsButNotWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: time.Millisecond, after: time.Millisecond}
		w := open(t, world, worker.Options{MaxEnvironments: 1})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { run(t, w, call("f")) })
		}
		wg.Wait()
		time.Sleep(time.Second)
		if got, want := world.environment(1).counts(), (tally{resting: true, rests: 1, calls: 10}); got != want {
			t.Errorf("got %+v, want %+v: one rest at the end and no thaw", got, want)
		}
		run(t, w, call("f"))
		time.Sleep(time.Second)
		if got, want := world.environment(1).counts(), (tally{resting: true, rests: 2, thaws: 1, calls: 11}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestAnEnvironmentLingersUnfrozenInAStreamOfCallsAndOnlyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		w := open(t, world, worker.Options{Linger: time.Millisecond})
		step := func(pause time.Duration, want tally) {
			t.Helper()
			time.Sleep(pause)
			synctest.Wait()
			if got := world.environment(1).counts(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		run(t, w, call("f"))
		time.Sleep(time.Second)
		run(t, w, call("f"))
		step(0, tally{resting: true, rests: 2, thaws: 1, calls: 2}) // frozen at once: nothing says that another call comes
		run(t, w, call("f"))
		step(900*time.Microsecond, tally{rests: 2, thaws: 2, calls: 3}) // one came at once: it lingers
		run(t, w, call("f"))
		step(900*time.Microsecond, tally{rests: 2, thaws: 2, calls: 4}) // and serves the next without a thaw
		step(200*time.Microsecond, tally{resting: true, rests: 3, thaws: 2, calls: 4})
		time.Sleep(time.Second)
		run(t, w, call("f"))
		step(0, tally{resting: true, rests: 4, thaws: 3, calls: 5})
	})
}

func TestANegativeLingerFreezesAfterEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		w := open(t, world, worker.Options{Linger: -1})
		for n := range 5 {
			run(t, w, call("f"))
			synctest.Wait()
			if got, want := world.environment(1).counts(), (tally{resting: true, rests: n + 1, thaws: n, calls: n + 1}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	})
}

func TestAWaitingCallerTakesWhicheverComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 100 * time.Millisecond}
		world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(time.Duration(len(inv.Payload)) * time.Millisecond)
			return &kiln.Outcome{Version: e.ID()}, nil
		}
		w := open(t, world, worker.Options{})
		run(t, w, call("f"))
		synctest.Wait()
		var wg sync.WaitGroup
		long := call("f")
		long.Payload = make([]byte, 30)
		wg.Go(func() { run(t, w, long) })
		synctest.Wait()
		freed := run(t, w, call("f")) // 30 ms until the first is free, 100 until a new one
		if freed.Version != "env-001" || freed.Report.Queue != 30*time.Millisecond {
			t.Errorf("got %s after %v, want the freed one after 30ms", freed.Version, freed.Report.Queue)
		}
		wg.Wait()
		time.Sleep(time.Second) // the new one has come too and is idle
		long.Payload = make([]byte, 500)
		wg.Go(func() { run(t, w, long) })
		synctest.Wait()
		if got := run(t, w, call("f")).Report.Queue; got != 0 {
			t.Errorf("queued for %v although a started environment was idle", got)
		}
		other := call("f")
		other.Payload = make([]byte, 500)
		wg.Go(func() { run(t, w, other) })
		synctest.Wait()
		if started := run(t, w, call("f")); started.Report.Queue != 100*time.Millisecond {
			t.Errorf("got %s after %v, want a new one after 100ms", started.Version, started.Report.Queue)
		}
		wg.Wait()
	})
}

func TestAnEnvironmentThatGoesOnAfterItsAnswerKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 10 * time.Millisecond, after: time.Minute}
		w := open(t, world, worker.Options{SettleTime: 5 * time.Millisecond})
		run(t, w, call("f"))
		second := run(t, w, call("f"))
		if second.Version != "env-002" || second.Report.Queue != 15*time.Millisecond {
			t.Errorf("got %s after %v, want a second environment after 5+10ms", second.Version, second.Report.Queue)
		}
	})
}

func TestABurstOfColdCallsIsAnsweredWithFewStartsAtOnce(t *testing.T) {
	for _, callers := range []int{200, 2000} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := &world{init: 20 * time.Millisecond, memory: 20 << 20}
				world.handle = func(e *environment, _ *kiln.Invocation) (*kiln.Outcome, error) {
					time.Sleep(5 * time.Millisecond)
					return &kiln.Outcome{}, nil
				}
				w := open(t, world, worker.Options{MaxStarting: 2})
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() { run(t, w, call("f")) })
				}
				wg.Wait()
				n, served := world.look("f")
				if n.mostStarting > 2 || served != callers || n.launched > callers/2 {
					t.Errorf("%d calls served with %d environments, %d started at once; want all, fewer than half as many and at most 2",
						served, n.launched, n.mostStarting)
				}
				if l := w.Load(); l.Running != 0 || l.Waiting != 0 {
					t.Errorf("load after the burst is %+v", l)
				}
			})
		})
	}
}

func TestABurstOfSlowCallsGetsAnEnvironmentEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 10 * time.Millisecond}
		world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(20 * time.Second)
			return &kiln.Outcome{}, nil
		}
		w := open(t, world, worker.Options{MaxStarting: 2})
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { run(t, w, call("f")) })
		}
		wg.Wait()
		if n, _ := world.look("f"); n.mostRunning != 200 || n.launched != 200 {
			t.Errorf("%d ran at once in %d environments, want 200 in 200", n.mostRunning, n.launched)
		}
	})
}

func TestStartsThatOnlyWaitDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 9 * time.Second}
		w := open(t, world, worker.Options{MaxStarting: 2, StartHold: 100 * time.Millisecond})
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { run(t, w, call("f")) })
		}
		wg.Wait()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("20 starts with an init that sleeps 9s took %v", took)
		}
	})
}

func TestFunctionsTakeTurnsInStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 20 * time.Millisecond}
		world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(10 * time.Second)
			return &kiln.Outcome{}, nil
		}
		w := open(t, world, worker.Options{MaxStarting: 1})
		var wg sync.WaitGroup
		burst := func(name string) {
			for range 50 {
				wg.Go(func() { run(t, w, call(name)) })
			}
			synctest.Wait()
		}
		burst("greedy")
		var modest *kiln.Outcome
		wg.Go(func() { modest = run(t, w, call("modest")) })
		synctest.Wait()
		burst("greedy too")
		wg.Wait()
		if modest.Report.Queue > 60*time.Millisecond {
			t.Errorf("one call waited %v between bursts of other functions", modest.Report.Queue)
		}
	})
}

func TestWaitingCallersAreServedInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		world := &world{}
		world.handle = func(_ *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
			mu.Lock()
			order = append(order, inv.ID)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return &kiln.Outcome{}, nil
		}
		w := open(t, world, worker.Options{MaxEnvironments: 1})
		var wg sync.WaitGroup
		var want []string
		for i := range 100 {
			inv := call("f")
			inv.ID = fmt.Sprint(i)
			want = append(want, inv.ID)
			wg.Go(func() { run(t, w, inv) })
			synctest.Wait()
		}
		wg.Wait()
		if fmt.Sprint(order) != fmt.Sprint(want) {
			t.Errorf("got %v", order)
		}
	})
}

func TestACallerThatLeavesTheQueueLosesNoEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 50 * time.Millisecond}
		w := open(t, world, worker.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := w.Run(ctx, call("f")); !errors.Is(err, context.DeadlineExceeded) || kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("got %v, want a refusal that says why", err)
		}
		time.Sleep(time.Second)
		if got := run(t, w, call("f")); got.Report.Queue != 0 || got.Version != "env-001" {
			t.Errorf("got %s after %v, want the environment that was started for the one who left", got.Version, got.Report.Queue)
		}
		if l := w.Load(); l.Waiting != 0 || l.Running != 0 || l.Environments != 1 {
			t.Errorf("load is %+v", l)
		}
	})
}

func TestTheContextIsNotObeyedOnceTheFunctionRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(time.Second)
			return &kiln.Outcome{Payload: []byte("done")}, nil
		}
		w := open(t, world, worker.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if out, err := w.Run(ctx, call("f")); err != nil || string(out.Payload) != "done" {
			t.Errorf("got %v, %v", out, err)
		}
	})
}

func TestAQueueHasAnEndInLengthAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(time.Minute)
			return &kiln.Outcome{}, nil
		}
		w := open(t, world, worker.Options{MaxEnvironments: 1, MaxWaiting: 3, MaxWait: 30 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, call("f")) })
		synctest.Wait()
		began := time.Now()
		for range 3 {
			wg.Go(func() {
				_, err := w.Run(t.Context(), call("f"))
				if got := time.Since(began); !isCapacity(err) || got != 30*time.Second {
					t.Errorf("got %v after %v, want a throttle after 30s", err, got)
				}
			})
		}
		synctest.Wait()
		if _, err := w.Run(t.Context(), call("f")); !isCapacity(err) || time.Since(began) != 0 {
			t.Errorf("the fourth in a queue of three got %v after %v", err, time.Since(began))
		}
		wg.Wait()
	})
}

func isCapacity(err error) bool {
	var e *kiln.Error
	return errors.As(err, &e) && e.Code == kiln.Throttled && e.Reason == kiln.ReasonCapacity && e.Message == "Rate Exceeded."
}
