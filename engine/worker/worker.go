// Package worker is one machine's environments: a pool for each revision, a budget
// of memory for all of them, cold starts, reaping and draining. A caller takes a
// warm environment or waits for whichever comes first, one that is freed or a new
// one. The worker never resolves a name, never counts concurrency (a permit has
// been given before) and knows nothing of how a box is made.
package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"kiln"
	"kiln/box/sandbox"
)

// Environment is what a pool needs of an execution environment.
type Environment interface {
	// Idle gives one token each time the environment can take an invocation: when
	// its init is over and when an invocation is. It is closed when the environment
	// is over.
	Idle() <-chan struct{}
	// Invoke runs one invocation; it may be called once for each token. An
	// Unavailable error means that the function never saw the event and that the
	// environment is of no more use.
	Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
	// Rest stops the environment until the next Invoke; it returns at once.
	Rest()
	// Usage measures it.
	Usage() (sandbox.Usage, error)
	// Close ends it, whatever it does, and waits until nothing of it is left.
	Close() error
}

// Launcher makes environments. Launch returns when the environment's init has
// begun; an error is a fault of the platform, never of the function.
type Launcher interface {
	Launch(ctx context.Context, key kiln.EnvironmentKey, target kiln.Target) (Environment, error)
}

// Defaults of Options.
const (
	DefaultIdleTimeout     = 10 * time.Minute
	DefaultMaxWait         = 30 * time.Second
	DefaultMaxWaiting      = 10000
	DefaultHeadroom        = 0.25
	DefaultOverCommit      = 1.0
	DefaultLaunchTimeout   = time.Minute
	DefaultStartHold       = 100 * time.Millisecond
	DefaultSettleTime      = 5 * time.Millisecond
	DefaultLinger          = time.Millisecond
	DefaultMaxEnvironments = 4000
)

// Options is what a Worker is made of. Zero values stand for the defaults above,
// but for IdleTimeout. An operator sets what depends on the machine and its tenants (how
// long, how many, how much memory); Headroom, MaxStarting, StartHold, SettleTime and
// Linger are measured once for all and are here for tests and benches.
type Options struct {
	ID       string
	Launcher Launcher
	Logger   *slog.Logger

	// IdleTimeout is how long an environment is kept without an invocation. 0 means
	// that each serves one invocation only: every call is a cold start.
	IdleTimeout time.Duration
	// MaxWaiting and MaxWait bound the callers that wait for an environment and how
	// long each does.
	MaxWaiting int
	MaxWait    time.Duration

	// MemoryBudget is the memory that all environments together may use; 0 is the
	// host's memory without HostReserve, negative does not count memory.
	MemoryBudget int64
	// OverCommit multiplies the budget: above 1 it trusts that not all environments
	// need their headroom at once.
	OverCommit float64
	// Headroom is the share that is added to each environment's measured memory.
	Headroom float64
	// HostReserve is what the host keeps: with less than that available, idle
	// environments are closed and none is started. 0 is a sixteenth of the memory,
	// within 128 MB and 1 GB.
	HostReserve int64
	// Host tells the memory of the host; nil reads it from the kernel.
	Host Host

	// MaxEnvironments bounds the environments of the machine.
	MaxEnvironments int
	// MaxStarting is how many starts go on at once; 0 is one a processor. A start
	// that was made and whose init goes on for longer than StartHold no longer
	// counts: it is likely to wait for something.
	MaxStarting int
	StartHold   time.Duration
	// LaunchTimeout bounds the making of one environment, its init not included.
	LaunchTimeout time.Duration
	// SettleTime is how long a caller counts on an environment that has answered and
	// is not free yet before another one is started for it.
	SettleTime time.Duration
	// Linger is how long an environment stays unfrozen after a call, if the call had
	// come so soon after the one before: in a stream of calls a freeze and a thaw for
	// each cost more than half as much as the call itself. Any other call ends with a
	// freeze at once. Negative is never.
	Linger time.Duration
}

// Worker runs invocations on this machine. It is safe for concurrent use.
type Worker struct {
	o        Options
	log      *slog.Logger
	registry *registry
	starts   starter
	memory   struct {
		sync.Mutex
		budget
		looked time.Time // when a start looked at the host
	}
	waiting atomic.Int64 // callers in all queues
	waiters sync.Pool    // of *waiter

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	owned  sync.WaitGroup // every goroutine of the worker
	wake   chan struct{}  // tells the reaper that there is something to watch
	closer chan struct{}  // holds one token for each environment being closed

	mu      sync.Mutex
	changed *sync.Cond // on mu; told while ending, each time a pool has less to do
	ending  atomic.Bool
	pools   map[*pool]struct{} // also those that left the registry and are not empty yet
	dropped map[kiln.Revision]time.Time
}

// New makes a worker and starts its reaper. It panics without a launcher: that is
// a fault of the wiring.
func New(o Options) *Worker {
	if o.Launcher == nil {
		panic("worker: no launcher")
	}
	o.ID = cmp.Or(o.ID, "local")
	o.MaxWaiting = cmp.Or(o.MaxWaiting, DefaultMaxWaiting)
	o.MaxWait = cmp.Or(o.MaxWait, DefaultMaxWait)
	o.OverCommit = cmp.Or(o.OverCommit, DefaultOverCommit)
	o.Headroom = cmp.Or(o.Headroom, DefaultHeadroom)
	o.MaxEnvironments = cmp.Or(o.MaxEnvironments, DefaultMaxEnvironments)
	o.MaxStarting = cmp.Or(o.MaxStarting, runtime.GOMAXPROCS(0))
	o.StartHold = cmp.Or(o.StartHold, DefaultStartHold)
	o.LaunchTimeout = cmp.Or(o.LaunchTimeout, DefaultLaunchTimeout)
	o.SettleTime = cmp.Or(o.SettleTime, DefaultSettleTime)
	o.Linger = cmp.Or(o.Linger, DefaultLinger)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Host == nil {
		o.Host = Kernel{}
	}
	w := &Worker{
		o: o, log: o.Logger, registry: newRegistry(),
		wake: make(chan struct{}, 1), closer: make(chan struct{}, 64),
		pools: map[*pool]struct{}{}, dropped: map[kiln.Revision]time.Time{},
	}
	w.changed = sync.NewCond(&w.mu)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.starts.free = o.MaxStarting
	w.memory.limit, w.memory.most = w.size(), o.MaxEnvironments
	w.owned.Go(w.reap)
	return w
}

// ID names the worker.
func (w *Worker) ID() string { return w.o.ID }

// Run serves one invocation whose Target is set. It obeys ctx only while it waits
// for an environment. An environment that broke before the function saw the event
// is replaced once, without the caller noticing.
func (w *Worker) Run(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	if inv.Target.Version == nil {
		return nil, kiln.Errorf(kiln.Internal, "the invocation was not resolved")
	}
	key := kiln.EnvironmentKey{Revision: inv.Target.Revision, Tenant: inv.Tenant, InitType: cmp.Or(inv.InitType, kiln.OnDemand)}
	var queued time.Duration
	for retry := false; ; retry = true {
		s, use, waited, err := w.take(ctx, &key, &inv.Target)
		if err != nil {
			return nil, err
		}
		queued += waited
		out, err := s.env.Invoke(w.ctx, inv) // the caller's context counts in the queue only
		unseen := err != nil && kiln.CodeOf(err) == kiln.Unavailable
		s.pool.answered(s, use, unseen)
		if unseen && !retry {
			continue
		}
		if out != nil {
			out.Report.Queue = queued
		}
		return out, err
	}
}

// take gets an environment of the key's pool, which is made if there is none.
func (w *Worker) take(ctx context.Context, key *kiln.EnvironmentKey, target *kiln.Target) (*slot, uint64, time.Duration, error) {
	for {
		p := w.registry.load(key)
		if p == nil {
			var err error
			if p, err = w.open(key, target); err != nil {
				return nil, 0, 0, err
			}
		}
		s, use, waited, err := p.take(ctx)
		if !errors.Is(err, errGone) { // else the pool was taken away between the two lines
			return s, use, waited, err
		}
	}
}

// open makes the pool of a key. A revision that was dropped a moment ago gets one
// that the registry does not know and that keeps nothing: its caller was resolved
// just before the drop.
func (w *Worker) open(key *kiln.EnvironmentKey, target *kiln.Target) (*pool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending.Load() {
		return nil, errEnding
	}
	if p := w.registry.load(key); p != nil {
		return p, nil
	}
	p := newPool(w, *key, *target)
	p.stale = w.isDropped(key.Revision)
	w.pools[p] = struct{}{}
	if !p.stale {
		w.registry.store(p)
	}
	return p, nil
}

// Load tells what the worker has and what of it is used.
func (w *Worker) Load() kiln.Load {
	var l kiln.Load
	for _, p := range w.all() {
		p.mu.Lock()
		l.Environments += len(p.slots)
		l.Running += p.running
		l.Waiting += p.waiting.length
		p.mu.Unlock()
	}
	w.memory.Lock()
	defer w.memory.Unlock()
	l.MemoryBytes, l.MemoryUsedBytes = w.memory.limit, w.memory.used
	return l
}

// all gives the pools of now.
func (w *Worker) all() []*pool {
	w.mu.Lock()
	defer w.mu.Unlock()
	pools := make([]*pool, 0, len(w.pools))
	for p := range w.pools {
		pools = append(pools, p)
	}
	return pools
}

// isDropped reports whether the revision was dropped so shortly ago that a call may
// still be under way to it. It needs the lock.
func (w *Worker) isDropped(r kiln.Revision) bool {
	w.prune()
	_, dropped := w.dropped[r]
	return dropped
}

// prune forgets old drops: by now a call to such a revision was resolved anew, as
// after a roll-back. It needs the lock.
func (w *Worker) prune() {
	now := time.Now()
	for key, at := range w.dropped {
		if now.Sub(at) > lateness {
			delete(w.dropped, key)
		}
	}
}

// nudge wakes the reaper, which sleeps while there is nothing to watch.
func (w *Worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
