// Package dispatch decides whether an invocation may run now and which worker
// runs it. It resolves the qualifier once, takes a permit from the ledger, places
// the call and gives the permit back when the worker is done. It never starts an
// environment, never queues, never retries and writes nothing anywhere.
package dispatch

import (
	"context"
	"sync/atomic"

	"kiln"
)

// Catalog is what dispatch asks the book of functions. Both answers come from
// memory: they stand on the path of every call.
type Catalog interface {
	// Resolve turns what the caller wrote into the one version that runs.
	Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error)
	// Reserved is what the functions of a scope have for themselves: their reserved
	// concurrency, or else what is provisioned for them.
	Reserved(scope kiln.Scope) int
}

// Worker is one machine that runs invocations.
type Worker interface {
	ID() string
	Load() kiln.Load
	// Run serves one invocation whose Target is set. It returns when the answer is
	// there, or with an error when the platform could not run the function.
	Run(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
}

// Options is what a Dispatcher is made of.
type Options struct {
	Catalog Catalog
	Workers []Worker
	// AccountConcurrency is how many invocations of one scope may run at once;
	// 0 is kiln.DefaultAccountConcurrency.
	AccountConcurrency int
}

// Dispatcher takes invocations to workers. It is safe for concurrent use and owns
// no goroutine.
type Dispatcher struct {
	catalog Catalog
	workers []Worker
	ledger  *Ledger
	turn    atomic.Uint32 // spreads equal placements over the workers
}

// New makes a dispatcher. It panics without a catalog: that is a fault of the
// wiring.
func New(o Options) *Dispatcher {
	if o.Catalog == nil {
		panic("dispatch: no catalog")
	}
	if o.AccountConcurrency == 0 {
		o.AccountConcurrency = kiln.DefaultAccountConcurrency
	}
	return &Dispatcher{catalog: o.Catalog, workers: o.Workers, ledger: NewLedger(o.AccountConcurrency)}
}

// Invoke runs one invocation and returns its outcome. It sets inv.Target. A limit
// that is reached answers at once with a Throttled error that names it; the permit
// is held from there until the worker returns, whatever it returns.
func (d *Dispatcher) Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	target, err := d.catalog.Resolve(inv.Function, inv.Qualifier)
	if err != nil {
		return nil, err
	}
	inv.Target = target
	if err := target.CheckTenant(inv.Tenant); err != nil {
		return nil, err
	}
	var calls int
	if inv.Trace, calls = descend(inv.Trace, inv.Function); calls >= mostInChain && !target.Loops {
		return nil, kiln.Errorf(kiln.Recursion, "The function was called %d times in one chain of calls, which is taken for a loop without an end; PutFunctionRecursionConfig with Allow lets it.", calls)
	}
	permit, err := d.permit(inv)
	if err != nil {
		return nil, err
	}
	defer permit.Release()
	worker := d.place(target.Version)
	if worker == nil {
		return nil, kiln.Errorf(kiln.Unavailable, "no machine is there to run the function")
	}
	return worker.Run(ctx, inv)
}

// permit takes the right to run an invocation now: one of the environments that are
// provisioned for it, or else a share of what the function may have besides.
func (d *Dispatcher) permit(inv *kiln.Invocation) (kiln.Permit, error) {
	target := &inv.Target
	if target.Provision != nil {
		if p := d.ledger.Provisioned(inv.Function.Scope, target.Provision); p != nil {
			inv.InitType = kiln.Provisioned
			return p, nil
		}
	}
	inv.InitType = kiln.OnDemand
	reserved := target.Reserved
	if reserved != nil && target.Provisioned > 0 {
		rest := max(0, *reserved-target.Provisioned)
		reserved = &rest
	}
	return d.ledger.Acquire(inv.Function, shares(d.ledger.account, d.catalog.Reserved(inv.Function.Scope), reserved))
}

// Resolve answers a dry run: the version that an invocation would run now, or the
// error it would get. It takes no permit and runs nothing.
func (d *Dispatcher) Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error) {
	return d.catalog.Resolve(id, q)
}

// Usage tells what the invocations of a scope hold now and what they may.
func (d *Dispatcher) Usage(scope kiln.Scope) Usage {
	u := d.ledger.Usage(scope)
	u.Reserved = d.catalog.Reserved(scope)
	u.UnreservedLimit = max(0, u.AccountLimit-u.Reserved)
	return u
}

// place asks the workers for their load, if there is a choice, and picks one; nil
// when there is none.
func (d *Dispatcher) place(v *kiln.Version) Worker {
	switch len(d.workers) {
	case 0:
		return nil
	case 1:
		return d.workers[0]
	}
	var buf [16]kiln.Load
	loads := buf[:0]
	for _, w := range d.workers {
		loads = append(loads, w.Load())
	}
	var need int64
	if v != nil {
		need = int64(v.Config.MemoryMB) << 20
	}
	return d.workers[Place(loads, need, int(d.turn.Add(1)%uint32(len(loads))))]
}
