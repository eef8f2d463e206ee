package worker

import (
	"time"

	"kiln"
)

// Keep has as many environments of a target kept initialised as its Provision wants,
// and keeps the Provision's numbers true. It returns at once. Called again it looks at
// what is wanted now.
func (w *Worker) Keep(target kiln.Target) error {
	key := kiln.EnvironmentKey{Revision: target.Revision, InitType: kiln.Provisioned}
	for {
		p, err := w.open(&key, &target)
		if err != nil {
			return err
		}
		p.mu.Lock()
		if p.gone {
			p.mu.Unlock()
			continue // it was taken away between the two lines
		}
		p.kept = target.Provision
		p.tellKept()
		p.mu.Unlock()
		p.expire(time.Time{})
		p.consider()
		w.nudge()
		return nil
	}
}

// tellKept says how many environments of a pool are initialised. It needs the lock.
func (p *pool) tellKept() {
	if p.kept == nil {
		return
	}
	ready := p.count[idle] + p.count[busy] + p.count[settling] + p.count[slow]
	if p.stale || p.ending {
		ready = 0
	}
	p.kept.Have(ready, p.failures > 0 && ready < p.kept.Wanted())
}

// failer is an environment that can say that its init has failed.
type failer interface{ InitFailed() bool }

// hasFailed reports whether an environment says that its init has failed.
func hasFailed(e Environment) bool {
	f, ok := e.(failer)
	return ok && f.InitFailed()
}
