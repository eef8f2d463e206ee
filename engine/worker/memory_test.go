package worker_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

const mb = 1 << 20

// machine is a host whose available memory a test can change.
type machine struct{ available atomic.Int64 }

func (m *machine) Total() (int64, error)     { return 64 << 30, nil }
func (m *machine) Available() (int64, error) { return m.available.Load(), nil }

func TestTheBudgetCountsWhatIsUsedAndNotWhatIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 10 * mb
		w := open(t, world, worker.Options{MemoryBudget: 3 << 30, MaxStarting: 2})
		var wg sync.WaitGroup
		for range 200 { // 200 × 128 MB would be 25 GB
			wg.Go(func() { run(t, w, lasting("f", 20*time.Second)) })
		}
		time.Sleep(15 * time.Second)
		n, _ := world.look("f")
		if used := w.Load().MemoryUsedBytes; n.running != 200 || used > 200*13*mb {
			t.Errorf("%d run at once and %d MB are charged, want 200 and at most 2600", n.running, used/mb)
		}
		wg.Wait()
	})
}

func TestTheBudgetIsNeverExceededByWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 100 * mb
		w := open(t, world, worker.Options{MemoryBudget: 1000 * mb, MaxStarting: 2})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { run(t, w, lasting("f", time.Second)) })
		}
		wg.Wait()
		// 100 MB and a quarter more: eight fit, and at first one or two more may have
		// begun before anything was known.
		if n, served := world.look("f"); n.mostAlive > 10 || served != 100 {
			t.Errorf("%d lived at once, %d served; want at most 10 and all", n.mostAlive, served)
		}
	})
}

func TestAtTheBudgetACallWaitsForAFreedEnvironmentAndThenIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 100 * mb
		w := open(t, world, worker.Options{MemoryBudget: 128 * mb, MaxWait: 30 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("f", 20*time.Second)) })
		time.Sleep(time.Second)
		if got := run(t, w, lasting("f", time.Minute)).Report.Queue; got < 18*time.Second || got > 20*time.Second {
			t.Errorf("queued for %v, want what was left of 20s", got)
		}
		wg.Go(func() { run(t, w, lasting("f", time.Minute)) })
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := w.Run(t.Context(), call("g")); !isCapacity(err) || time.Since(began) != 30*time.Second {
			t.Errorf("another function got %v after %v, want a throttle after 30s", err, time.Since(began))
		}
		wg.Wait()
	})
}

func TestIdleEnvironmentsOfOthersMakeRoomTheOneUnusedForLongestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 80 * mb
		w := open(t, world, worker.Options{MemoryBudget: 320 * mb})
		for _, name := range []string{"a", "b", "c"} {
			run(t, w, call(name))
			time.Sleep(time.Second)
		}
		run(t, w, call("a")) // now b is the one unused for longest
		time.Sleep(time.Second)
		if got := run(t, w, call("d")).Report.Queue; got > 20*time.Millisecond {
			t.Errorf("queued for %v although idle environments could go", got)
		}
		synctest.Wait()
		var left []string
		for _, i := range w.Environments() {
			left = append(left, i.Function.Name)
		}
		if len(left) != 3 || left[0] != "a" || left[1] != "c" || left[2] != "d" {
			t.Errorf("left are %v, want a, c and d", left)
		}
	})
}

func TestNothingIsClosedWhenAllThatIsIdleWouldNotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		w := open(t, world, worker.Options{MemoryBudget: 310 * mb, MaxWait: 2 * time.Second, Headroom: 0.0001})
		world.memory = 10 * mb
		run(t, w, call("idle"))
		big := lasting("busy", 20*time.Second)
		big.Target.Version.Config.MemoryMB = 512
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, big) })
		time.Sleep(100 * time.Millisecond)
		world.environment(2).set(290 * mb)
		time.Sleep(2 * time.Second)
		if _, err := w.Run(t.Context(), call("small")); !isCapacity(err) { // 10 + 290 + 32 is more than 310 even without the 10
			t.Errorf("got %v, want a throttle", err)
		}
		if list := w.Environments(); len(list) != 2 {
			t.Errorf("left are %+v, want the busy one and the idle one", list)
		}
		wg.Wait()
	})
}

func TestAnEnvironmentThatBecomesIdleMakesRoomForWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 100 * mb
		w := open(t, world, worker.Options{MemoryBudget: 128 * mb, SettleTime: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("f", 5*time.Second)) })
		time.Sleep(time.Second)
		got := run(t, w, call("g")).Report.Queue
		if got < 4*time.Second || got > 4100*time.Millisecond {
			t.Errorf("queued for %v, want until the other function's call was over, 4s", got)
		}
		wg.Wait()
	})
}

func TestAHostShortOfMemoryLosesIdleEnvironmentsAndStartsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 10 * mb
		m := &machine{}
		m.available.Store(8 << 30)
		w := open(t, world, worker.Options{MemoryBudget: 8 << 30, HostReserve: 1 << 30, Host: m, MaxWait: 2 * time.Second})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("busy", 20*time.Second)) })
		for _, name := range []string{"a", "b", "c"} {
			run(t, w, call(name))
		}
		time.Sleep(time.Second)
		m.available.Store(1<<30 - 15*mb) // two idle ones and a bit
		time.Sleep(time.Second)
		m.available.Store(1<<30 - 1)
		if list := w.Environments(); len(list) > 2 {
			t.Errorf("%d environments are left, want fewer than before: %+v", len(list), list)
		}
		if _, err := w.Run(t.Context(), call("d")); !isCapacity(err) {
			t.Errorf("a call that needs a start got %v, want a throttle", err)
		}
		m.available.Store(8 << 30)
		time.Sleep(time.Second)
		run(t, w, call("d"))
		wg.Wait()
	})
}

func TestAStartLooksAtTheHostFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(time.Millisecond)
		m := &machine{}
		m.available.Store(8 << 30)
		w := open(t, world, worker.Options{MemoryBudget: 8 << 30, HostReserve: 1 << 30, Host: m})
		var wg sync.WaitGroup
		wg.Go(func() { run(t, w, lasting("busy", 5*time.Second)) })
		time.Sleep(150 * time.Millisecond)
		m.available.Store(0)
		wg.Go(func() { run(t, w, call("f")) })
		time.Sleep(100 * time.Millisecond) // well before the next regular look
		if launched, _ := world.count(); launched != 1 {
			t.Errorf("%d environments were started on a host without memory, want only the first", launched)
		}
		m.available.Store(8 << 30)
		wg.Wait()
	})
}

func TestABudgetTooSmallForAnythingStillRunsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := sleeping(10 * time.Millisecond)
		world.memory = 100 * mb
		w := open(t, world, worker.Options{MemoryBudget: 1 * mb})
		var wg sync.WaitGroup
		for _, name := range []string{"f", "f", "g", "h"} {
			wg.Go(func() { run(t, w, lasting(name, 100*time.Millisecond)) })
		}
		wg.Wait()
		if n, _ := world.look("f"); n.mostAlive != 1 {
			t.Errorf("%d lived at once, want 1", n.mostAlive)
		}
	})
}

func TestABurstOfSlowFunctionsThatTakeMuchMemoryIsSeenWhileItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{init: 20 * time.Millisecond, memory: 10 * mb}
		world.handle = func(e *environment, _ *kiln.Invocation) (*kiln.Outcome, error) {
			e.set(100 * mb) // only now
			time.Sleep(time.Minute)
			return &kiln.Outcome{}, nil
		}
		const budget = 2 << 30
		w := open(t, world, worker.Options{MemoryBudget: budget, MaxStarting: 2, MaxWait: 5 * time.Second})
		var served, throttled atomic.Int64
		var wg sync.WaitGroup
		for range 1024 {
			wg.Go(func() {
				switch _, err := w.Run(t.Context(), call("f")); {
				case err == nil:
					served.Add(1)
				case isCapacity(err):
					throttled.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		n, _ := world.look("f")
		if most := int64(n.mostAlive) * 100 * mb; most > budget*3/2 {
			t.Errorf("%d environments used %d MB at once with a budget of %d MB", n.mostAlive, most/mb, budget/mb)
		}
		if served.Load() < 16 || served.Load()+throttled.Load() != 1024 {
			t.Errorf("%d were served and %d throttled", served.Load(), throttled.Load())
		}
	})
}

func TestOverCommitMultipliesTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, &world{}, worker.Options{MemoryBudget: 100 * mb, OverCommit: 1.5})
		if got := w.Load().MemoryBytes; got != 150*mb {
			t.Errorf("the budget is %d MB, want 150", got/mb)
		}
	})
}

func TestWithoutABudgetTheHostsMemoryWithoutItsReserveIsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := worker.New(worker.Options{Launcher: &world{}, Host: host{total: 8 << 30}})
		defer w.Close()
		if got, want := w.Load().MemoryBytes, int64(8<<30-512<<20); got != want {
			t.Errorf("the budget is %d, want %d", got, want)
		}
	})
}
