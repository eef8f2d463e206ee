package worker

import (
	"context"
	"time"

	"kiln"
)

// Drop makes a revision stale: its idle environments are closed, its busy ones
// serve to the end and are closed then, and who waits for one is still served.
// None is ever handed to a call that comes later.
//
// Its pools become stale after the registry has forgotten them and the drop was noted:
// whoever is resolved before and arrives after finds out by the note.
func (w *Worker) Drop(r kiln.Revision) {
	var pools []*pool
	w.mu.Lock()
	w.prune()
	w.dropped[r] = time.Now()
	for p := range w.pools {
		if p.key.Revision == r {
			w.registry.remove(p)
			pools = append(pools, p)
		}
	}
	w.mu.Unlock()
	for _, p := range pools {
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
		p.expire(time.Time{})
		w.retire(p, true)
	}
}

// Drain stops accepting invocations: from now on Run answers Unavailable. It waits
// until those that were accepted are over, waiting ones included, or until ctx
// ends; then it says how many are left, and those that still wait for an
// environment are refused. Close must follow.
func (w *Worker) Drain(ctx context.Context) error {
	pools := w.end()
	for _, p := range pools {
		p.expire(time.Time{})
	}
	if w.await(ctx, w.unfinished) {
		return nil
	}
	for _, p := range pools {
		p.refuse(errEnding)
	}
	w.mu.Lock()
	n := w.unfinished()
	w.mu.Unlock()
	if n == 0 {
		return nil
	}
	return kiln.Errorf(kiln.Unavailable, "%d invocations are not over: %w", n, context.Cause(ctx))
}

// Close ends every environment at once, whatever it does, and returns when none is
// left, no caller is inside Run and no goroutine of the worker runs. It is
// idempotent.
func (w *Worker) Close() error {
	pools := w.end()
	w.closeStarts()
	w.cancel()
	for _, p := range pools {
		p.refuse(errEnding)
		p.mu.Lock()
		for s := range p.slots {
			s.close()
		}
		p.mu.Unlock()
	}
	w.owned.Wait()
	for _, p := range pools { // who was just about to wait when the first round came by
		p.refuse(errEnding)
	}
	w.await(context.Background(), w.inside)
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.pools {
		w.registry.remove(p)
	}
	clear(w.pools)
	return nil
}

// end makes the worker and all its pools refuse new callers and gives the pools.
func (w *Worker) end() []*pool {
	w.mu.Lock()
	w.ending.Store(true)
	w.mu.Unlock()
	pools := w.all()
	for _, p := range pools {
		p.mu.Lock()
		p.ending = true
		p.mu.Unlock()
	}
	return pools
}

// unfinished counts the invocations that were accepted and are not over. It needs
// the lock.
func (w *Worker) unfinished() int {
	n := 0
	for p := range w.pools {
		p.mu.Lock()
		n += p.waiting.length + max(p.running, p.count[busy]+p.count[settling]+p.count[slow])
		p.mu.Unlock()
	}
	return n
}

// inside counts the callers that hold a slot. It needs the lock.
func (w *Worker) inside() int {
	n := 0
	for p := range w.pools {
		p.mu.Lock()
		n += p.running
		p.mu.Unlock()
	}
	return n
}

// await waits until a count, taken with the lock held, is zero; false when ctx ends
// before.
func (w *Worker) await(ctx context.Context, count func() int) bool {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for count() > 0 {
		if ctx.Err() != nil {
			return false
		}
		w.changed.Wait()
	}
	return true
}

// tell wakes whoever waits for the end, if somebody does.
func (w *Worker) tell() {
	if !w.ending.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed.Broadcast()
}
