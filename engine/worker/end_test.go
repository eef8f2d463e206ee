package worker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

// sleeping makes a world whose functions take as many milliseconds as their payload
// is long.
func sleeping(init time.Duration) *world {
	w := &world{init: init}
	w.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
		time.Sleep(time.Duration(len(inv.Payload)) * time.Millisecond)
		return &kiln.Outcome{Version: e.ID()}, nil
	}
	return w
}

// lasting is a call that takes some time in a sleeping world.
func lasting(name string, d time.Duration) *kiln.Invocation {
	inv := call(name)
	inv.Payload = make([]byte, d.Milliseconds())
	return inv
}

func TestADroppedRevisionServesToTheEndAndNeverAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("f", 50*time.Millisecond)) }) // will be idle
		time.Sleep(time.Second)
		wg.Go(func() { run(t, w, lasting("f", 5*time.Second)) }) // will be busy
		synctest.Wait()
		run(t, w, call("f")) // a second one, idle
		time.Sleep(100 * time.Millisecond)
		if _, alive := world.count(); alive != 2 {
			t.Fatalf("%d environments, want 2", alive)
		}
		w.Drop("f")
		synctest.Wait()
		if list := w.Environments(); len(list) != 1 || list[0].State != "busy" || !list[0].Stale {
			t.Errorf("after the drop: %+v; want the busy one", list)
		}
		wg.Wait()
		synctest.Wait()
		if _, alive := world.count(); alive != 0 {
			t.Errorf("%d environments are left after the last invocation, want 0", alive)
		}
	})
}

func TestWhoWaitsForADroppedRevisionIsServedByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{MaxEnvironments: 1})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { run(t, w, lasting("old", 100*time.Millisecond)) })
		}
		time.Sleep(50 * time.Millisecond)
		w.Drop("old")
		wg.Wait()
		synctest.Wait()
		if n, served := world.look("old"); served != 5 || n.launched != 1 || n.alive != 0 {
			t.Errorf("served %d with %d environments, %d left; want 5, 1, 0", served, n.launched, n.alive)
		}
	})
}

func TestTheNewRevisionServesWhileTheOldOneDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{})
		var wg sync.WaitGroup
		old := lasting("v1", time.Minute)
		old.Target.Version.Package.SHA256 = "abc"
		old.Target.Version.Config.Layers = []kiln.LayerUse{{Package: kiln.Package{SHA256: "def"}}}
		wg.Go(func() { run(t, w, old) })
		time.Sleep(time.Second)
		w.Drop("v1")
		for range 10 {
			run(t, w, call("v2"))
			synctest.Wait()
		}
		if list := w.Environments(); len(list) != 2 || list[0].Package != "abc" || list[0].Layers != "def" || list[1].Layers != "" || !list[0].Stale || list[1].Stale {
			t.Errorf("got %+v, want the old with its code and the new", list)
		}
		wg.Wait()
	})
}

func TestACallThatWasResolvedBeforeTheDropRunsAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{})
		w.Drop("f")
		run(t, w, call("f"))
		synctest.Wait()
		if _, alive := world.count(); alive != 0 || w.Load().Environments != 0 {
			t.Errorf("%d environments are left of a dropped revision", alive)
		}
		time.Sleep(2 * time.Second) // a roll-back to the same revision
		run(t, w, call("f"))
		time.Sleep(time.Second)
		if got := run(t, w, call("f")).Report.Queue; got != 0 {
			t.Errorf("a revision that came back was not kept: the second call queued for %v", got)
		}
	})
}

func TestADropDuringAStartKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(100 * time.Millisecond)
		w := open(t, world, worker.Options{})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, call("f")) })
		synctest.Wait()
		w.Drop("f")
		wg.Wait()
		synctest.Wait()
		if n, served := world.look("f"); n.alive != 0 || served != 1 || n.launched != 1 {
			t.Errorf("served %d with %d environments, %d left", served, n.launched, n.alive)
		}
	})
}

func TestAnEnvironmentThatBreaksBeforeTheEventIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 10 * time.Millisecond}
		broken := map[int]bool{1: true}
		world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
			if broken[e.number] {
				return nil, kiln.Errorf(kiln.Unavailable, "it broke")
			}
			return &kiln.Outcome{Version: e.ID()}, nil
		}
		w := open(t, world, worker.Options{})
		if got := run(t, w, call("f")); got.Version != "env-002" {
			t.Errorf("got %q, want the second environment's answer", got.Version)
		}
		synctest.Wait()
		if _, alive := world.count(); alive != 1 {
			t.Errorf("%d environments live, want only the second", alive)
		}
		broken[2], broken[3] = true, true
		if _, err := w.Run(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("got %v after two broken environments, want Unavailable", err)
		}
		synctest.Wait()
		if launched, alive := world.count(); launched != 3 || alive != 0 {
			t.Errorf("%d were made and %d live, want 3 and 0", launched, alive)
		}
	})
}

func TestAnIdleEnvironmentThatDiesIsNeverHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		w := open(t, world, worker.Options{})
		run(t, w, call("f"))
		synctest.Wait()
		world.environment(1).die()
		synctest.Wait()
		if l := w.Load(); l.Environments != 0 {
			t.Errorf("load is %+v", l)
		}
		if got := run(t, w, call("f")); got.Version != "env-002" {
			t.Errorf("got %q, want a new environment", got.Version)
		}
	})
}

func TestAnEnvironmentThatDiesInTheMiddleFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
			if inv.ID == "kill" {
				e.die()
				return &kiln.Outcome{Failed: true}, nil
			}
			return &kiln.Outcome{Version: e.ID()}, nil
		}
		w := open(t, world, worker.Options{MaxEnvironments: 1})
		inv := call("f")
		inv.ID = "kill"
		if out := run(t, w, inv); !out.Failed {
			t.Errorf("got %+v", out)
		}
		if got := run(t, w, call("f")); got.Version != "env-002" {
			t.Errorf("got %q, want a new environment", got.Version)
		}
	})
}

func TestDrainLetsTheAcceptedFinishAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{MaxEnvironments: 2})
		var wg sync.WaitGroup
		for range 10 { // two run, eight wait
			wg.Go(func() { run(t, w, lasting("f", time.Second)) })
		}
		run(t, w, call("f"))
		drained := make(chan error, 1)
		wg.Go(func() { drained <- w.Drain(t.Context()) })
		synctest.Wait()
		for _, name := range []string{"f", "g"} {
			if _, err := w.Run(t.Context(), call(name)); kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("%s: a draining worker answers %v", name, err)
			}
		}
		wg.Wait()
		if err := <-drained; err != nil {
			t.Errorf("drain: %v", err)
		}
		synctest.Wait()
		if _, served := world.look("f"); served != 11 {
			t.Errorf("%d calls were served, want 11", served)
		}
		if _, alive := world.count(); alive != 0 {
			t.Errorf("%d environments are left", alive)
		}
	})
}

func TestADrainThatTakesTooLongSaysWhatIsLeftAndCloseKillsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 10 * time.Millisecond}
		world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
			select { // as an environment that is closed fails its invocation
			case <-time.After(time.Hour):
				return &kiln.Outcome{}, nil
			case <-e.stop:
				return &kiln.Outcome{Failed: true}, nil
			}
		}
		w := open(t, world, worker.Options{MaxEnvironments: 1})
		var wg sync.WaitGroup
		wg.Go(func() {
			if out := run(t, w, call("f")); !out.Failed {
				t.Errorf("got %+v from a killed environment", out)
			}
		})
		time.Sleep(time.Second)
		wg.Go(func() {
			if _, err := w.Run(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("who waited got %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := w.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("drain: got %v", err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, alive := world.count(); alive != 0 {
			t.Errorf("%d environments are left", alive)
		}
		wg.Wait()
		if err := w.Close(); err != nil {
			t.Errorf("closing it twice: %v", err)
		}
		if _, err := w.Run(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("a closed worker answers %v", err)
		}
	})
}

func TestCloseInTheMiddleOfABurstLeavesNothing(t *testing.T) {
	for after := range 12 {
		synctest.Test(t, func(t *testing.T) {
			world := &world{init: 3 * time.Millisecond, after: time.Millisecond}
			world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
				e.pause(2 * time.Millisecond)
				return &kiln.Outcome{}, nil
			}
			w := open(t, world, worker.Options{MaxStarting: 3})
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					time.Sleep(time.Duration(i%10) * time.Millisecond)
					if _, err := w.Run(t.Context(), call("f")); err != nil && kiln.CodeOf(err) != kiln.Unavailable {
						t.Errorf("got %v", err)
					}
				})
			}
			time.Sleep(time.Duration(after) * time.Millisecond)
			_ = w.Close()
			if n, _ := world.look("f"); n.alive != 0 || n.running != 0 {
				t.Errorf("closed after %d ms: %d environments, %d invocations are left", after, n.alive, n.running)
			}
			wg.Wait()
		})
	}
}

func TestCloseEndsALaunchThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		world.launch = func(ctx context.Context, n int, _ kiln.Target) error {
			<-ctx.Done()
			return ctx.Err()
		}
		w := open(t, world, worker.Options{LaunchTimeout: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.Run(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		_ = w.Close()
		wg.Wait()
	})
}
