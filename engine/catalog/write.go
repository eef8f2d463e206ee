package catalog

import (
	"context"
	"errors"

	"kiln"
)

// draft is the next page of a function together with the writes that make it
// durable.
type draft struct {
	old, next *page
	writes    []Write
	set       []func(revision uint64) // where the revision of each write goes
	retired   []kiln.Revision         // that no call is resolved to any more
	changed   bool                    // those who listen are told even when nothing was retired
}

// revise begins a draft for a function that exists; the caller has its turn.
func revise(old *page) *draft { return &draft{old: old, next: old.clone()} }

// putFunction stores the function's own record.
func (d *draft) putFunction() {
	expect := uint64(0)
	if d.old != nil {
		expect = d.old.revision
	}
	d.write(Write{functionKey(d.next.fn.ID), d.next.functionValue(), expect}, func(r uint64) { d.next.revision = r })
}

// putLatest makes e the $LATEST of the next page.
func (d *draft) putLatest(e *edition) {
	expect := uint64(0)
	if d.next.latest != nil {
		expect = d.next.latest.stored
		d.retire(d.next.latest, e)
	}
	d.next.latest = e
	d.putEdition(e, expect)
}

// addEdition adds a published version with a number that is higher than all
// others.
func (d *draft) addEdition(e *edition) {
	d.next.editions = append(d.next.editions, e)
	d.putEdition(e, 0)
}

// replaceEdition puts e in the place of the version with its number, $LATEST
// included.
func (d *draft) replaceEdition(e *edition) {
	if e.version.Number == 0 {
		d.putLatest(e)
		return
	}
	for i, known := range d.next.editions {
		if known.version.Number == e.version.Number {
			d.retire(known, e)
			d.next.editions[i] = e
			d.putEdition(e, known.stored)
		}
	}
}

func (d *draft) putEdition(e *edition, expect uint64) {
	d.write(Write{versionKey(e.version.Function, e.version.Number), e.value(), expect}, func(r uint64) { e.stored = r })
}

func (d *draft) putAlias(a *alias) {
	expect := uint64(0)
	if known := d.next.aliases[a.alias.Name]; known != nil {
		expect = known.stored
	}
	d.next.aliases[a.alias.Name] = a
	d.write(Write{aliasKey(a.alias.Function, a.alias.Name), a.value(), expect}, func(r uint64) { a.stored = r })
}

// remove stores that a record is gone.
func (d *draft) remove(key string, stored uint64) {
	d.write(Write{key, nil, stored}, func(uint64) {})
}

func (d *draft) write(w Write, set func(uint64)) {
	d.writes = append(d.writes, w)
	d.set = append(d.set, set)
}

// retire notes that what old ran is not run any more when next takes its place.
func (d *draft) retire(old, next *edition) {
	if old.serving != nil && (next == nil || old.runs != next.runs) {
		d.retired = append(d.retired, old.runs)
	}
}

// commit makes the draft durable, turns the page and tells those who listen for
// changes. When it fails, the book is as it was. The commit itself is carried
// through even when ctx ends, so that memory never falls behind the store.
func (c *Catalog) commit(ctx context.Context, id kiln.FunctionID, d *draft) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	revisions, err := c.o.Store.Commit(context.WithoutCancel(ctx), d.writes)
	if err != nil {
		return storeError(err)
	}
	for i, set := range d.set {
		set(revisions[i])
	}
	c.book.turn(id, d.old, d.next)
	if len(d.retired) > 0 || d.changed || d.next == nil {
		c.changes.tell(Change{Function: id, Retired: d.retired, Deleted: d.next == nil})
	}
	return nil
}

// storeError keeps a store's own refusal and marks anything else as a fault of the
// platform that may pass.
func storeError(err error) error {
	var refusal *kiln.Error
	if errors.As(err, &refusal) {
		return err
	}
	return &kiln.Error{Code: kiln.Unavailable, Message: "The function's record could not be stored.", Err: err}
}

// begin takes the turn of a function and gives its page; a function that is not
// there is refused.
func (c *Catalog) begin(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) (*page, func(), error) {
	release, err := c.turns.take(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	p := c.book.page(id)
	if p == nil {
		release()
		return nil, nil, notFound(id, q)
	}
	return p, release, nil
}

// beginUpdate is begin for what may not run beside a creation or an update.
func (c *Catalog) beginUpdate(ctx context.Context, id kiln.FunctionID, revisionID string) (*page, func(), error) {
	p, release, err := c.begin(ctx, id, "")
	if err != nil {
		return nil, nil, err
	}
	if err := p.mayChange(revisionID); err != nil {
		release()
		return nil, nil, err
	}
	return p, release, nil
}

// mayChange refuses a change of $LATEST while it waits for its package, or by a
// caller with an old revision.
func (p *page) mayChange(revisionID string) error {
	s := p.latest.version.Status
	switch {
	case s.Update == kiln.InProgress:
		return updateInProgress(p.fn.ID)
	case s.State == kiln.Pending:
		return wrongState(s.State)
	}
	return checkRevision(revisionID, p.latest.version.RevisionID)
}
