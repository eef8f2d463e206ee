package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/box/sandbox"
	"kiln/engine/worker"
)

// world is a machine made of fakes. It checks the promises that the pool gives to
// an environment and counts what happens.
type world struct {
	t testing.TB

	// launch, if set, is called for each start; its error is the launcher's.
	launch func(ctx context.Context, n int, target kiln.Target) error
	// init is how long an environment's init takes.
	init time.Duration
	// handle, if set, is the function.
	handle func(e *environment, inv *kiln.Invocation) (*kiln.Outcome, error)
	// after is how long an environment goes on after its answer.
	after time.Duration
	// farewell is how long its processes take to end.
	farewell time.Duration
	// memory is what an environment uses.
	memory int64
	// failing is that the inits of environments that are made now fail; guarded by mu.
	failing bool

	mu           sync.Mutex
	n            numbers
	served       map[kiln.Revision]int
	environments []*environment
}

// numbers is what a world counts.
type numbers struct {
	launched, alive, mostAlive, starting, mostStarting, running, mostRunning int
}

func (w *world) Launch(ctx context.Context, key kiln.EnvironmentKey, target kiln.Target) (worker.Environment, error) {
	w.mu.Lock()
	w.n.launched++
	n := w.n.launched
	w.mu.Unlock()
	if w.launch != nil {
		if err := w.launch(ctx, n, target); err != nil {
			return nil, err
		}
	}
	e := &environment{world: w, number: n, key: key, idle: make(chan struct{}, 1), stop: make(chan struct{})}
	w.mu.Lock()
	e.broken = w.failing
	w.environments = append(w.environments, e)
	w.n.alive++
	w.n.mostAlive = max(w.n.mostAlive, w.n.alive)
	w.n.starting++
	w.n.mostStarting = max(w.n.mostStarting, w.n.starting)
	w.mu.Unlock()
	e.own.Go(func() {
		e.pause(w.init)
		w.mu.Lock()
		w.n.starting--
		w.mu.Unlock()
		e.token()
	})
	return e, nil
}

// count gives how many environments were launched and how many live.
func (w *world) count() (launched, alive int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n.launched, w.n.alive
}

// look gives all numbers of now, and how many calls of a revision were served.
func (w *world) look(r kiln.Revision) (n numbers, served int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n, w.served[r]
}

// environment gives the n-th environment that was made, from 1.
func (w *world) environment(n int) *environment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.environments[n-1]
}

// environment is a fake that fails the test when it is used against the rules.
type environment struct {
	world  *world
	number int
	key    kiln.EnvironmentKey
	broken bool
	idle   chan struct{}
	stop   chan struct{}
	own    sync.WaitGroup

	mu     sync.Mutex
	free   bool // a token was given and not used
	inside bool // between Invoke and the token that follows
	over   bool
	tally  tally
	memory int64
}

// tally is what was done to an environment.
type tally struct {
	resting             bool
	rests, thaws, calls int
}

// set changes what this environment uses.
func (e *environment) set(memory int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.memory = memory
}

func (e *environment) counts() tally {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tally
}

var _ worker.Environment = (*environment)(nil)

func (e *environment) ID() string { return fmt.Sprintf("env-%03d", e.number) }

func (e *environment) Idle() <-chan struct{} { return e.idle }

// InitFailed says whether its init has failed.
func (e *environment) InitFailed() bool { return e.broken }

// token makes the slot free, unless the environment is over.
func (e *environment) token() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.free, e.inside = true, false
	e.idle <- struct{}{}
}

// die ends the environment as a crash of its sandbox does.
func (e *environment) die() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.over = true
		close(e.idle)
		close(e.stop)
	}
}

func (e *environment) pause(d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-e.stop:
	}
}

func (e *environment) Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	w := e.world
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return nil, kiln.Errorf(kiln.Unavailable, "the environment is over")
	}
	if !e.free || e.inside {
		w.t.Errorf("environment %d is invoked without being free", e.number)
	}
	if inv.Target.Revision != e.key.Revision || inv.Tenant != e.key.Tenant {
		w.t.Errorf("environment of %v is invoked for %s, tenant %q", e.key, inv.Target.Revision, inv.Tenant)
	}
	e.free, e.inside = false, true
	e.own.Add(1) // Close waits for this call as well
	defer e.own.Done()
	e.tally.calls++
	if e.tally.resting {
		e.tally.resting = false
		e.tally.thaws++
	}
	e.mu.Unlock()

	w.mu.Lock()
	w.n.running++
	w.n.mostRunning = max(w.n.mostRunning, w.n.running)
	if w.served == nil {
		w.served = map[kiln.Revision]int{}
	}
	w.served[e.key.Revision]++
	w.mu.Unlock()

	out, err := &kiln.Outcome{Version: e.ID()}, error(nil)
	if w.handle != nil {
		out, err = w.handle(e, inv)
	}

	w.mu.Lock()
	w.n.running--
	w.mu.Unlock()
	if w.after == 0 {
		e.token()
	} else {
		e.own.Go(func() {
			e.pause(w.after)
			e.token()
		})
	}
	return out, err
}

func (e *environment) Rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inside {
		e.world.t.Errorf("environment %d is frozen during an invocation", e.number)
	}
	e.tally.resting = true
	e.tally.rests++
}

func (e *environment) Usage() (sandbox.Usage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return sandbox.Usage{}, sandbox.ErrGone
	}
	if e.memory > 0 {
		return sandbox.Usage{MemoryBytes: e.memory}, nil
	}
	return sandbox.Usage{MemoryBytes: e.world.memory}, nil
}

func (e *environment) Close() error {
	e.die()
	e.own.Wait()
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	e.world.n.alive--
	return nil
}

var home = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

// call makes an invocation of a function's revision, both called name.
func call(name string) *kiln.Invocation {
	id := kiln.FunctionID{Scope: home, Name: name}
	v := &kiln.Version{Function: id, Config: kiln.Config{MemoryMB: 128}}
	return &kiln.Invocation{ID: "id", Function: id, Target: kiln.Target{Version: v, Revision: kiln.Revision(name)}}
}

// open makes a worker in a world that keeps environments and does not count memory,
// unless the options say otherwise, and closes it with the test.
func open(t testing.TB, world *world, o worker.Options) *worker.Worker {
	t.Helper()
	world.t = t
	o.Launcher = world
	if o.IdleTimeout == 0 {
		o.IdleTimeout = worker.DefaultIdleTimeout
	} else if o.IdleTimeout < 0 {
		o.IdleTimeout = 0
	}
	if o.MemoryBudget == 0 {
		o.MemoryBudget = -1
	}
	if o.Host == nil {
		o.Host = host{total: 64 << 30, available: 64 << 30}
	}
	w := worker.New(o)
	t.Cleanup(func() {
		_ = w.Close()
		if _, alive := world.count(); alive != 0 {
			t.Errorf("%d environments are left after Close", alive)
		}
	})
	return w
}

// host is a machine's memory.
type host struct{ total, available int64 }

func (h host) Total() (int64, error)     { return h.total, nil }
func (h host) Available() (int64, error) { return h.available, nil }

// run invokes and fails the test on an error.
func run(t testing.TB, w *worker.Worker, inv *kiln.Invocation) *kiln.Outcome {
	t.Helper()
	out, err := w.Run(t.Context(), inv)
	if err != nil {
		t.Errorf("%s: %v", inv.Target.Revision, err)
		return &kiln.Outcome{}
	}
	return out
}
