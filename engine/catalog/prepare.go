package catalog

import (
	"context"
	"errors"
	"sync"
	"time"

	"kiln"
)

// job is a version whose package has to be put in place.
type job struct {
	id     kiln.FunctionID
	number int
}

// jobs is the list of what has to be prepared, each version once. It is as long as
// the number of versions that wait, which the book bounds.
type jobs struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []job
	running map[job]int // queued or being prepared
	idle    chan struct{}
	closed  bool
}

func newJobs() *jobs {
	j := &jobs{running: map[job]int{}, idle: make(chan struct{})}
	j.changed = sync.NewCond(&j.mu)
	close(j.idle)
	return j
}

func (j *jobs) add(one job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.running) == 0 {
		j.idle = make(chan struct{})
	}
	j.running[one]++
	j.queue = append(j.queue, one)
	j.changed.Signal()
}

// next waits for a job; false is that the list was closed.
func (j *jobs) next() (job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && !j.closed {
		j.changed.Wait()
	}
	if j.closed {
		return job{}, false
	}
	one := j.queue[0]
	j.queue = j.queue[1:]
	return one, true
}

func (j *jobs) done(one job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running[one]--; j.running[one] == 0 {
		delete(j.running, one)
	}
	if len(j.running) == 0 {
		close(j.idle)
	}
}

func (j *jobs) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.changed.Broadcast()
}

func (j *jobs) waitIdle(ctx context.Context) error {
	j.mu.Lock()
	idle := j.idle
	j.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isWaiting reports whether a version waits for its package.
func isWaiting(v *kiln.Version) bool {
	return v.Status.State == kiln.Pending || v.Status.Update == kiln.InProgress
}

// await asks for the preparation of what a committed draft left waiting.
func (c *Catalog) await(d *draft) {
	if isWaiting(d.next.latest.version) {
		c.jobs.add(job{d.next.fn.ID, 0})
	}
	if newest := d.next.newest(); newest != nil && isWaiting(newest.version) {
		c.jobs.add(job{d.next.fn.ID, newest.version.Number})
	}
}

// prepare takes one job after the other until ctx ends.
func (c *Catalog) prepare(ctx context.Context) {
	for {
		one, ok := c.jobs.next()
		if !ok {
			return
		}
		c.prepareOne(ctx, one)
		c.jobs.done(one)
	}
}

// prepareOne puts one version in place and writes down how that went. It tries
// again only to write it down: as long as the store is full or broken the version
// stays Pending, which is true.
func (c *Catalog) prepareOne(ctx context.Context, one job) {
	p := c.book.page(one.id)
	if p == nil {
		return
	}
	e := p.edition(one.number)
	if e == nil || !isWaiting(e.version) {
		return
	}
	result := c.o.Preparer.Prepare(ctx, e.version)
	if ctx.Err() != nil {
		return // taken up by the next Open
	}
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := c.settle(ctx, one, e.version, result)
		if err == nil {
			return
		}
		c.log.ErrorContext(ctx, "state of a version could not be stored", "function", one.id.String(), "version", e.version.Name(), "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// settle ends the waiting of a version: in place, or failed. It does nothing when
// the version is not the one that was prepared any more.
func (c *Catalog) settle(ctx context.Context, one job, prepared *kiln.Version, result error) error {
	p, handOn, err := c.begin(ctx, one.id, "")
	if err != nil {
		if kiln.CodeOf(err) == kiln.NotFound {
			return nil
		}
		return err
	}
	defer handOn()
	was := p.edition(one.number)
	if was == nil || was.version != prepared {
		return nil
	}
	v := *prepared
	v.RevisionID = kiln.NewID()
	next := &edition{version: &v, serving: was.serving, runs: was.runs, source: was.source}
	if result == nil {
		v.Status = kiln.Status{State: kiln.Active, Update: kiln.Successful}
		next.serving, next.runs = &v, revisionOf(p.fn, &v)
	} else {
		reason, code := why(result)
		c.log.WarnContext(ctx, "version could not be put in place", "function", one.id.String(), "version", v.Name(), "error", result)
		if was.serving == nil {
			v.Status.State, v.Status.Reason, v.Status.ReasonCode = kiln.Failed, reason, code
		}
		v.Status.Update, v.Status.UpdateReason, v.Status.UpdateReasonCode = kiln.UpdateFailed, reason, code
	}
	d := revise(p)
	d.replaceEdition(next)
	return c.commit(ctx, one.id, d)
}

// why gives the reason and the reason code of the AWS model for a failed
// preparation.
func why(err error) (reason, code string) {
	var e *kiln.Error
	if !errors.As(err, &e) {
		return "The function's package could not be put in place.", "InternalError"
	}
	switch e.Code {
	case kiln.BadPackage, kiln.Invalid:
		return e.Message, "InvalidZipFileException"
	case kiln.BadRuntime:
		return e.Message, "InvalidRuntime"
	case kiln.Unsupported:
		return e.Message, "InvalidConfiguration"
	}
	return e.Message, "InternalError"
}
