package catalog

import (
	"context"

	"kiln"
)

// SetRuntimeUpdates says when a version may get another release of its runtime; without
// a qualifier, $LATEST. Calls run in environments of the release that it keeps from then
// on. A version that is on its way is refused, and so is an alias: it has no runtime.
func (c *Catalog) SetRuntimeUpdates(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, u kiln.RuntimeUpdates) (*kiln.Version, error) {
	p, handOn, err := c.begin(ctx, id, q)
	if err != nil {
		return nil, err
	}
	defer handOn()
	n, isNumber := 0, true
	if q != "" {
		n, isNumber = number(q)
	}
	was := p.edition(n)
	switch {
	case !isNumber || was == nil:
		return nil, notFound(id, q)
	case was.version.Status.Update == kiln.InProgress:
		return nil, updateInProgress(id)
	case was.version.Status.State == kiln.Pending:
		return nil, wrongState(kiln.Pending)
	}
	v := *was.version
	v.Updates, v.RevisionID = u, kiln.NewID()
	next := &edition{version: &v, source: was.source}
	if was.serving != nil {
		serving := v
		if was.serving != was.version {
			serving = *was.serving
			serving.Updates = u
		}
		next.serving, next.runs = &serving, revisionOf(p.fn, &serving)
		if was.serving == was.version {
			next.serving = &v
		}
	}
	d := revise(p)
	d.replaceEdition(next)
	return &v, c.commit(ctx, id, d)
}
