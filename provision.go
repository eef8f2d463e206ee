package kiln

import (
	"sync/atomic"
	"time"
)

// Provision is environments of one version that are kept initialised for calls by one
// qualifier. Its numbers are read on the path of calls; the worker keeps them true. The
// zero value has none.
type Provision struct {
	wanted atomic.Int64
	ready  atomic.Int64
	used   atomic.Int64
	failed atomic.Bool
}

// Want says how many environments there should be.
func (p *Provision) Want(n int) { p.wanted.Store(int64(n)) }

// Wanted gives how many environments there should be.
func (p *Provision) Wanted() int { return int(p.wanted.Load()) }

// Have says how many environments are initialised, and whether their function fails
// its init.
func (p *Provision) Have(ready int, failed bool) {
	p.ready.Store(int64(ready))
	p.failed.Store(failed)
}

// Ready gives how many environments are initialised, running ones included.
func (p *Provision) Ready() int { return int(min(p.ready.Load(), p.wanted.Load())) }

// Failed reports whether the function fails its init.
func (p *Provision) Failed() bool { return p.failed.Load() }

// Used gives how many of the environments run an invocation.
func (p *Provision) Used() int { return int(p.used.Load()) }

// Acquire takes the right to use one of the environments; false is that all are in use.
// What was acquired is released once.
func (p *Provision) Acquire() bool {
	for {
		n := p.used.Load()
		if n >= int64(p.Ready()) {
			return false
		}
		if p.used.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives back what Acquire took.
func (p *Provision) Release() { p.used.Add(-1) }

// ProvisionReport is what is known of the provisioned concurrency of a version or an alias.
type ProvisionReport struct {
	Function  FunctionID
	Qualifier Qualifier
	Requested int
	Allocated int // initialised
	Available int // of these, those that run nothing
	Failed    bool
	Modified  time.Time
}
