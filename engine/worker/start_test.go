package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

var errNoRuntime = kiln.Errorf(kiln.BadRuntime, "no interpreter serves python9.9")

// failing makes a world in which the starts that bad names fail after a moment.
func failing(bad func(n int) bool) *world {
	w := sleeping(10 * time.Millisecond)
	w.launch = func(ctx context.Context, n int, _ kiln.Target) error {
		time.Sleep(time.Millisecond)
		if bad(n) {
			return errNoRuntime
		}
		return nil
	}
	return w
}

// outcomes collects how calls ended.
type outcomes struct {
	mu             sync.Mutex
	served, failed int
}

func (o *outcomes) run(t testing.TB, w *worker.Worker, inv *kiln.Invocation) {
	_, err := w.Run(t.Context(), inv)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.served++
	case errors.Is(err, errNoRuntime):
		o.failed++
	default:
		t.Errorf("got %v", err)
	}
}

func TestAStartThatFailsIsTheErrorOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, failing(func(int) bool { return true }), worker.Options{})
		if _, err := w.Run(t.Context(), call("f")); !errors.Is(err, errNoRuntime) || kiln.CodeOf(err) != kiln.BadRuntime {
			t.Errorf("got %v, want the launcher's error", err)
		}
		if l := w.Load(); l != (kiln.Load{}) {
			t.Errorf("load is %+v after a failed start, want none", l)
		}
	})
}

func TestOneFailedStartCostsOneCallerAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := failing(func(n int) bool { return n == 1 })
		w := open(t, world, worker.Options{MaxStarting: 2})
		var got outcomes
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { got.run(t, w, lasting("f", 100*time.Millisecond)) })
		}
		wg.Wait()
		if got.failed != 1 || got.served != 19 {
			t.Errorf("%d failed and %d were served, want 1 and 19", got.failed, got.served)
		}
	})
}

func TestACallerWhoHasSomethingElseComingGetsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, failing(func(n int) bool { return n > 1 }), worker.Options{})
		var got outcomes
		var wg sync.WaitGroup
		wg.Go(func() { got.run(t, w, lasting("f", 10*time.Second)) })
		time.Sleep(time.Second)
		for range 3 { // one can have the busy environment, two have nothing
			wg.Go(func() { got.run(t, w, lasting("f", 10*time.Millisecond)) })
			synctest.Wait()
		}
		wg.Wait()
		if got.served != 2 || got.failed != 2 {
			t.Errorf("%d were served and %d failed, want 2 and 2", got.served, got.failed)
		}
	})
}

func TestStartsThatGoOnFailingBackOffAndFailTheirCallersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := failing(func(int) bool { return true })
		w := open(t, world, worker.Options{MaxStarting: 2})
		var got outcomes
		began := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { got.run(t, w, call("f")) })
		}
		wg.Wait()
		if took := time.Since(began); took > 100*time.Millisecond || got.failed != 1000 {
			t.Errorf("%d callers failed within %v; want all 1000 within 100ms", got.failed, took)
		}
		if launched, _ := world.count(); launched > 5 {
			t.Errorf("%d starts for one burst, want a few", launched)
		}
		for time.Since(began) < time.Minute { // a caller every 10 ms, all the time
			got.run(t, w, call("f"))
			time.Sleep(10 * time.Millisecond)
		}
		before, _ := world.count()
		for time.Since(began) < 2*time.Minute {
			got.run(t, w, call("f"))
			time.Sleep(10 * time.Millisecond)
		}
		after, _ := world.count()
		if after-before > 10 {
			t.Errorf("%d starts in a minute after more than ten failures, want fewer than one in 5s", after-before)
		}
	})
}

func TestAPlatformThatIsWellAgainServesAfterTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := failing(func(n int) bool { return n <= 5 })
		w := open(t, world, worker.Options{})
		began := time.Now()
		for {
			if _, err := w.Run(t.Context(), call("f")); err == nil {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatal("no call was served within a minute")
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		for range 5 {
			run(t, w, call("f"))
			synctest.Wait()
		}
	})
}

func TestAnEnvironmentThatEndsWhileItStartsIsAFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: time.Hour}
		w := open(t, world, worker.Options{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.Run(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("got %v, want Unavailable", err)
			}
		})
		synctest.Wait()
		world.environment(1).die()
		wg.Wait()
	})
}

func TestAStartThatNobodyWaitsForAnyMoreIsNoFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(50 * time.Millisecond)
		var log bytes.Buffer
		w := open(t, world, worker.Options{IdleTimeout: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := w.Run(ctx, call("f")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the caller's own end", err)
			}
			cancel()
			time.Sleep(100 * time.Millisecond)
		}
		if got := run(t, w, call("f")).Report.Queue; got != 50*time.Millisecond {
			t.Errorf("queued for %v, want one start", got)
		}
		_ = w.Close() // now nobody writes to the log
		if log.Len() > 0 {
			t.Errorf("the log says %s", log.String())
		}
	})
}

func TestALaunchThatTakesTooLongIsAFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		world.launch = func(ctx context.Context, n int, _ kiln.Target) error {
			<-ctx.Done()
			return ctx.Err()
		}
		w := open(t, world, worker.Options{LaunchTimeout: 3 * time.Second})
		began := time.Now()
		_, err := w.Run(t.Context(), call("f"))
		if kiln.CodeOf(err) != kiln.Unavailable || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestLaunchesThatHangDoNotHoldUpOthersForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.launch = func(ctx context.Context, _ int, target kiln.Target) error {
			if target.Revision == "stuck" {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		w := open(t, world, worker.Options{MaxStarting: 2, StartHold: 100 * time.Millisecond})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := w.Run(t.Context(), call("stuck")); !isCapacity(err) {
					t.Errorf("got %v, want a throttle: its environment is never made", err)
				}
			})
		}
		synctest.Wait()
		if got := run(t, w, call("f")).Report.Queue; got > 1100*time.Millisecond {
			t.Errorf("another function's call queued for %v", got)
		}
		wg.Wait()
	})
}

func TestAWaitThatEndsWhileNothingStartsSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, failing(func(n int) bool { return n > 1 }), worker.Options{MaxWait: 30 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("f", 5*time.Minute)) })
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := w.Run(t.Context(), call("f")); !errors.Is(err, errNoRuntime) || time.Since(began) != 30*time.Second {
			t.Errorf("got %v after %v, want the launcher's error after 30s", err, time.Since(began))
		}
		wg.Wait()
	})
}
