package catalog

import (
	"context"
	"errors"
	"time"

	"kiln"
)

// isWaiting reports whether a version waits for its package.
func isWaiting(v *kiln.Version) bool {
	return v.Status.State == kiln.Pending || v.Status.Update == kiln.InProgress
}

// await asks for the preparation of what a committed draft left waiting.
func (c *Catalog) await(d *draft) {
	if v := d.next.latest.version; isWaiting(v) {
		c.queue(v).add(job{id: d.next.fn.ID})
	}
	if newest := d.next.newest(); newest != nil && isWaiting(newest.version) {
		c.queue(newest.version).add(job{id: d.next.fn.ID, number: newest.version.Number})
	}
}

// prepare takes one job after the other from a list until ctx ends.
func (c *Catalog) prepare(ctx context.Context, from *jobs) {
	for {
		one, ok := from.next()
		if !ok {
			return
		}
		if err := c.prepareOne(ctx, one); err != nil && ctx.Err() == nil {
			wait := backoff(one.tries)
			c.log.WarnContext(ctx, "version is not in place yet", "function", one.id.String(), "version", one.number, "again in", wait, "error", err)
			one.tries++
			from.later(one, wait)
		} else {
			from.forget(one)
		}
		from.done()
	}
}

// backoff is how long to wait after a number of tries: from a quarter of a second
// to half a minute.
func backoff(tries int) time.Duration {
	return min(250*time.Millisecond<<min(tries, 10), 30*time.Second)
}

// prepareOne puts one version in place and writes down how that went. An error is
// that it has to be tried again: the platform cannot do it now, or cannot write it
// down. Meanwhile the version stays Pending, which is true; only when the platform
// cannot for as long as the patience lasts, the version fails.
func (c *Catalog) prepareOne(ctx context.Context, one job) error {
	if one.restore {
		if v, err := c.restore(ctx, one); v == nil || err != nil {
			return err
		}
	}
	p := c.book.page(one.id)
	if p == nil {
		return nil
	}
	e := p.edition(one.number)
	if e == nil || !isWaiting(e.version) {
		return nil
	}
	result := c.o.Preparer.Prepare(ctx, e.version)
	release := e.version.Updates.Release
	if r, ok := c.o.Preparer.(Releaser); ok && e.version.Updates.Mode == kiln.UpdateOnFunction && !one.restore {
		release = r.Release(ctx, e.version)
	}
	if err := ctx.Err(); err != nil {
		return err // taken up by the next Open
	}
	if result != nil && kiln.CodeOf(result) == kiln.Unavailable && waited(one.tries) < c.o.Patience {
		return result
	}
	return c.settle(ctx, one, e.version, release, result)
}

// waited is for how long a job was put off, all tries together.
func waited(tries int) (sum time.Duration) {
	for n := range tries {
		sum += backoff(n)
	}
	return sum
}

// settle ends the waiting of a version: in place, on a release of its runtime, or failed. It does nothing when
// the version is not the one that was prepared any more.
func (c *Catalog) settle(ctx context.Context, one job, prepared *kiln.Version, release string, result error) error {
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
		v.Updates.Release = release
		next.serving, next.runs = &v, revisionOf(p.fn, &v)
	} else {
		reason, code := why(result)
		c.log.WarnContext(ctx, "version could not be put in place", "function", one.id.String(), "version", v.Name(), "error", result)
		switch {
		case prepared.Status.ReasonCode == restoringCode: // the next call tries again
			v.Status.State, v.Status.Reason, v.Status.ReasonCode = kiln.Inactive, reason, code
		case was.serving == nil:
			v.Status.State, v.Status.Reason, v.Status.ReasonCode = kiln.Failed, reason, code
		}
		v.Status.Update, v.Status.UpdateReason, v.Status.UpdateReasonCode = kiln.UpdateFailed, reason, code
	}
	d := revise(p)
	d.replaceEdition(next)
	d.changed = len(p.provisions) > 0
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
	case kiln.BadPackage:
		if e.Reason != "" { // an image has its own
			return e.Message, e.Reason
		}
		return e.Message, "InvalidZipFileException"
	case kiln.Invalid:
		return e.Message, "InvalidZipFileException"
	case kiln.BadRuntime:
		return e.Message, "InvalidRuntime"
	case kiln.Unsupported:
		return e.Message, "InvalidConfiguration"
	}
	return e.Message, "InternalError"
}
