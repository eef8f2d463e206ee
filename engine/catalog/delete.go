package catalog

import (
	"context"
	"slices"
	"strings"

	"kiln"
)

// DeleteFunction takes a function away with its versions, aliases and URLs. A function
// that is made later under the name has nothing of it, and numbers its versions
// from 1.
func (c *Catalog) DeleteFunction(ctx context.Context, id kiln.FunctionID) error {
	p, handOn, err := c.begin(ctx, id, "")
	if err != nil {
		return err
	}
	defer handOn()
	d := &draft{old: p}
	d.remove(functionKey(id), p.revision)
	for _, e := range append([]*edition{p.latest}, p.editions...) {
		d.remove(versionKey(id, e.version.Number), e.stored)
		d.retire(e, nil)
	}
	for name, a := range p.aliases {
		d.remove(aliasKey(id, name), a.stored)
	}
	for q := range p.urls {
		d.dropURL(q)
	}
	for q := range p.policies {
		d.dropPolicy(q)
	}
	for q := range p.turnouts {
		d.dropTurnout(q)
	}
	for q := range p.provisions {
		d.dropProvision(q)
	}
	return c.commit(ctx, id, d)
}

// DeleteVersion takes a published version away. Neither $LATEST nor a version that
// an alias points to can be deleted.
func (c *Catalog) DeleteVersion(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error {
	p, handOn, err := c.begin(ctx, id, q)
	if err != nil {
		return err
	}
	defer handOn()
	n, isNumber := number(q)
	switch {
	case isNumber && n == 0:
		return kiln.Errorf(kiln.Invalid, "$LATEST version cannot be deleted without deleting the function.")
	case p.aliases[string(q)] != nil:
		return kiln.Errorf(kiln.Invalid, "Deletion of aliases is not currently supported.")
	case !isNumber || p.edition(n) == nil:
		return notFound(id, q)
	}
	if names := p.pointingTo(n); len(names) > 0 {
		return kiln.Errorf(kiln.Conflict, "Unable to delete version %d because the following aliases reference it: [%s]", n, strings.Join(names, ", "))
	}
	e := p.edition(n)
	d := revise(p)
	d.next.editions = slices.DeleteFunc(d.next.editions, func(x *edition) bool { return x == e })
	d.remove(versionKey(id, n), e.stored)
	d.dropPolicy(q)
	d.dropTurnout(q)
	d.dropProvision(q)
	d.retire(e, nil)
	return c.commit(ctx, id, d)
}

// pointingTo gives the names of the aliases that lead to a version, sorted.
func (p *page) pointingTo(number int) []string {
	var names []string
	for name, a := range p.aliases {
		if a.main == number || a.other == number {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
