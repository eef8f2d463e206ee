package catalog

import (
	"context"
	"maps"

	"kiln"
)

// ChangeFunction lets change edit a copy of what is said of a function as a whole: its
// tags, and whether it may be in a loop. When change fails, nothing happens.
func (c *Catalog) ChangeFunction(ctx context.Context, id kiln.FunctionID, change func(*kiln.Function) error) error {
	p, handOn, err := c.begin(ctx, id, "")
	if err != nil {
		return err
	}
	defer handOn()
	fn := *p.fn
	fn.Tags = maps.Clone(fn.Tags)
	if err := change(&fn); err != nil {
		return err
	}
	fn.Tags = maps.Clone(fn.Tags)
	d := revise(p)
	d.next.fn = &fn
	d.putFunction()
	return c.commit(ctx, id, d)
}

// AccountUsage is what the functions and layers of a scope use.
type AccountUsage struct {
	Functions int
	CodeBytes int64 // of all versions and layers, as they were sent
}

// Usage counts what the functions of a scope use.
func (c *Catalog) Usage(in kiln.Scope) AccountUsage {
	var u AccountUsage
	for _, p := range c.book.pages(in) {
		u.Functions++
		u.CodeBytes += p.latest.version.Package.Size
		for _, e := range p.editions {
			u.CodeBytes += e.version.Package.Size
		}
	}
	for _, versions := range c.Layers(in) {
		for _, v := range versions {
			u.CodeBytes += v.Package.Size
		}
	}
	return u
}
