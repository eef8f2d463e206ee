package worker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

// kept is an invocation of a function of which n environments are kept.
func kept(name string, n int) (*kiln.Provision, *kiln.Invocation) {
	p := &kiln.Provision{}
	p.Want(n)
	inv := call(name)
	inv.Target.Provision, inv.InitType = p, kiln.Provisioned
	return p, inv
}

func TestWhatIsKeptIsInitialisedAheadAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 50 * time.Millisecond}
		w := open(t, world, worker.Options{IdleTimeout: time.Minute, MaxStarting: 2})
		p, inv := kept("f", 3)
		if err := w.Keep(inv.Target); err != nil {
			t.Fatal(err)
		}
		if p.Ready() != 0 || p.Acquire() {
			t.Errorf("%d are ready at once", p.Ready())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if launched, alive := world.count(); launched != 3 || alive != 3 || p.Ready() != 3 || p.Failed() {
			t.Errorf("%d launched, %d alive, %d ready", launched, alive, p.Ready())
		}
		time.Sleep(time.Hour) // idle for far longer than others may be
		if out := run(t, w, inv); out.Report.Queue != 0 {
			t.Errorf("the call waited for %v", out.Report.Queue)
		}
		if launched, alive := world.count(); launched != 3 || alive != 3 || p.Ready() != 3 {
			t.Errorf("an hour later: %d launched, %d alive, %d ready", launched, alive, p.Ready())
		}

		run(t, w, call("f")) // on demand has its own
		if launched, _ := world.count(); launched != 4 {
			t.Errorf("%d launched, want one on demand besides", launched)
		}

		p.Want(1)
		if err := w.Keep(inv.Target); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, alive := world.count(); alive != 1 || p.Ready() != 1 {
			t.Errorf("%d alive, %d ready, want the one that is wanted", alive, p.Ready())
		}
		p.Want(0)
		if err := w.Keep(inv.Target); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, alive := world.count(); alive != 0 || p.Ready() != 0 {
			t.Errorf("%d alive, %d ready, want none", alive, p.Ready())
		}
	})
}

func TestWhatIsKeptIsMadeAgainWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{}
		w := open(t, world, worker.Options{IdleTimeout: time.Minute})
		p, inv := kept("f", 2)
		if err := w.Keep(inv.Target); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		world.environment(1).die()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if launched, alive := world.count(); launched != 3 || alive != 2 || p.Ready() != 2 {
			t.Errorf("%d launched, %d alive, %d ready", launched, alive, p.Ready())
		}
		w.Drop(inv.Target.Revision)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, alive := world.count(); alive != 0 || p.Ready() != 0 {
			t.Errorf("dropped: %d alive, %d ready", alive, p.Ready())
		}
	})
}

func TestAnInitThatFailsIsNotReadyAndSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: time.Millisecond, failing: true}
		w := open(t, world, worker.Options{IdleTimeout: time.Minute})
		p, inv := kept("f", 2)
		if err := w.Keep(inv.Target); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.Ready() != 0 || !p.Failed() {
			t.Errorf("%d ready, failed is %v", p.Ready(), p.Failed())
		}
		launched, _ := world.count()
		if launched < 3 || launched > 50 {
			t.Errorf("%d launched in ten seconds", launched)
		}
		world.mu.Lock()
		world.failing = false
		world.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.Ready() != 2 || p.Failed() {
			t.Errorf("when it works again: %d ready, failed is %v", p.Ready(), p.Failed())
		}
	})
}
