package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

// TestWhateverHappensThePoolKeepsItsPromises does random things to a worker: calls
// of several revisions and tenants, callers that leave, environments that die or
// break, starts that fail, drops, a host short of memory. The fakes check that no
// environment has two invocations, serves a foreign one or is frozen in the middle;
// the test, that each call ends once and for an allowed reason, that nobody is
// served by what was dropped before the call, and that nothing is left.
func TestWhateverHappensThePoolKeepsItsPromises(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

// dice is a source of chance for several goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func (d *dice) up(to time.Duration) time.Duration { return time.Duration(d.n(int(to))) }

func chaos(t *testing.T, seed uint64) {
	d := &dice{r: rand.New(rand.NewPCG(seed, 7))}
	m := &machine{}
	m.available.Store(8 << 30)
	world := &world{init: d.up(30 * time.Millisecond), after: d.up(8 * time.Millisecond), memory: int64(10+d.n(60)) * mb}
	world.launch = func(ctx context.Context, n int, _ kiln.Target) error {
		time.Sleep(d.up(5 * time.Millisecond))
		if d.n(12) == 0 {
			return errNoRuntime
		}
		return ctx.Err()
	}
	world.handle = func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error) {
		if d.n(40) == 0 {
			return nil, kiln.Errorf(kiln.Unavailable, "broken before the event")
		}
		e.pause(d.up(40 * time.Millisecond))
		if d.n(40) == 0 {
			e.die()
			return &kiln.Outcome{Failed: true, Version: fmt.Sprint(e.number)}, nil
		}
		return &kiln.Outcome{Version: fmt.Sprint(e.number)}, nil
	}
	idle := worker.DefaultIdleTimeout
	switch d.n(4) {
	case 0:
		idle = -1
	case 1:
		idle = 700 * time.Millisecond
	}
	most := 1 + d.n(30)
	linger := []time.Duration{-1, 0, 3 * time.Millisecond}[d.n(3)]
	w := open(t, world, worker.Options{
		IdleTimeout: idle, MaxStarting: 1 + d.n(3), MemoryBudget: int64(100+d.n(600)) * mb,
		MaxEnvironments: most, Linger: linger, MaxWait: 5 * time.Second, MaxWaiting: 100, Host: m, HostReserve: 1 << 30,
	})

	var mu sync.Mutex
	dropped := map[kiln.Revision]int{} // how many environments had been launched by then
	var wg sync.WaitGroup
	var ended atomic.Int64
	calls := 0
	name := func() string { return fmt.Sprint("f", d.n(4)) }
	for range 400 {
		switch d.n(30) {
		case 0:
			r := kiln.Revision(name())
			launched, _ := world.count()
			w.Drop(r)
			mu.Lock()
			dropped[r] = launched
			mu.Unlock()
		case 2:
			world.mu.Lock()
			made := world.environments
			world.mu.Unlock()
			if len(made) > 0 {
				made[d.n(len(made))].die()
			}
		case 3:
			m.available.Store(int64(d.n(3)) << 30)
		case 4, 5, 6:
			time.Sleep(d.up(time.Second))
		default:
			inv := call(name())
			if d.n(4) == 0 {
				inv.Tenant = "t"
			}
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if d.n(6) == 0 {
				ctx, cancel = context.WithTimeout(ctx, d.up(30*time.Millisecond))
			}
			calls++
			mu.Lock()
			after := dropped[inv.Target.Revision]
			mu.Unlock()
			wg.Go(func() {
				defer cancel()
				defer ended.Add(1)
				out, err := w.Run(ctx, inv)
				switch {
				case err == nil:
					var by int
					_, _ = fmt.Sscan(out.Version, &by)
					if by <= after {
						t.Errorf("a call of %s was served by environment %d, which was dropped with the first %d", inv.Target.Revision, by, after)
					}
				case errors.Is(err, errNoRuntime), isCapacity(err), kiln.CodeOf(err) == kiln.Unavailable:
				default:
					t.Errorf("a call ended with %v", err)
				}
			})
		}
		if d.n(3) == 0 {
			time.Sleep(d.up(3 * time.Millisecond))
		}
	}
	m.available.Store(8 << 30)
	if d.n(2) == 0 {
		ctx, cancel := context.WithTimeout(t.Context(), d.up(10*time.Second))
		_ = w.Drain(ctx) // whether it was in time is chance
		cancel()
		_ = w.Close()
	}
	wg.Wait()
	if got := int(ended.Load()); got != calls {
		t.Errorf("%d of %d calls have ended", got, calls)
	}
	time.Sleep(10 * time.Second)
	if l := w.Load(); l.Running != 0 || l.Waiting != 0 {
		t.Errorf("load at the end is %+v", l)
	}
	_ = w.Close()
	if l := w.Load(); l.Environments != 0 || l.MemoryUsedBytes != 0 {
		t.Errorf("load after closing is %+v", l)
	}
	if n, _ := world.look(""); n.alive != 0 || n.running != 0 || n.mostAlive > most {
		t.Errorf("after closing %+v, with at most %d environments allowed", n, most)
	}
}

// TestABurstInRealTimeKeepsTheRules is the same with goroutines that truly run side
// by side.
func TestABurstInRealTimeKeepsTheRules(t *testing.T) {
	before := runtime.NumGoroutine()
	world := &world{memory: 5 * mb}
	world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
		runtime.Gosched()
		return &kiln.Outcome{}, nil
	}
	world.t = t
	w := worker.New(worker.Options{
		Launcher: world, IdleTimeout: time.Minute, MaxEnvironments: 50, MemoryBudget: 1 << 30, Host: host{total: 64 << 30, available: 64 << 30},
	})
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			for range 5 {
				run(t, w, call(fmt.Sprint("f", i%7)))
			}
		})
	}
	for i := range 7 {
		w.Drop(kiln.Revision(fmt.Sprint("f", i)))
	}
	wg.Wait()
	served := 0
	for i := range 7 {
		_, n := world.look(kiln.Revision(fmt.Sprint("f", i)))
		served += n
	}
	n, _ := world.look("")
	if served != 10000 || n.mostAlive > 50 {
		t.Errorf("%d calls were served, %d environments at once; want 10000 and at most 50", served, n.mostAlive)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, alive := world.count(); alive != 0 {
		t.Errorf("%d environments are left", alive)
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}
