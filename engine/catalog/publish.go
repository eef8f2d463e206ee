package catalog

import (
	"context"

	"kiln"
)

// Publication says under which conditions to publish.
type Publication struct {
	Description *string // nil keeps that of $LATEST
	CodeSHA256  string  // base64, as clients see it; "" is any
	RevisionID  string  // "" is any
}

// Publish makes a version of what $LATEST is now and returns it; when nothing
// changed since the newest version, it returns that one. Numbers grow and are
// never given twice in the life of a function.
func (c *Catalog) Publish(ctx context.Context, id kiln.FunctionID, how Publication) (*kiln.Version, error) {
	old, handOn, err := c.beginUpdate(ctx, id, how.RevisionID)
	if err != nil {
		return nil, err
	}
	defer handOn()
	latest := old.latest.version
	if s := latest.Status; s.State == kiln.Inactive {
		return nil, wrongState(s.State)
	} else if s.State == kiln.Failed || s.Update == kiln.UpdateFailed {
		// what would be published has never run and cannot
		return nil, wrongState(kiln.Failed)
	}
	if current := codeSHA256(latest.Package); how.CodeSHA256 != "" && how.CodeSHA256 != current {
		return nil, kiln.Errorf(kiln.Invalid, "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", how.CodeSHA256, current)
	}
	d := revise(old)
	e := d.publish(how.Description)
	if e == nil {
		return old.newest().version, nil
	}
	d.putFunction()
	if err := c.commit(ctx, id, d); err != nil {
		return nil, err
	}
	return e.version, nil
}

// publish adds a version that is a snapshot of the next page's $LATEST, or gives
// nil when the newest version is that already. The function's record has to be
// stored with it: the number is used up.
func (d *draft) publish(description *string) *edition {
	latest := d.next.latest.version
	source := contentOf(latest).digest()
	if newest := d.next.newest(); newest != nil && newest.source == source {
		return nil
	}
	d.next.last++
	v := *latest
	v.Number = d.next.last
	v.RevisionID = kiln.NewID()
	if description != nil {
		v.Config.Description = *description
	}
	e := &edition{version: &v, source: source}
	if isWaiting(latest) {
		v.Status = creating
	} else {
		v.Status = kiln.Status{State: kiln.Active, Update: kiln.Successful}
		e.serving, e.runs = &v, revisionOf(d.next.fn, &v)
	}
	d.addEdition(e)
	return e
}
