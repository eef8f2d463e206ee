package catalog

import (
	"context"
	"io"

	"kiln"
)

// Function gives a function.
func (c *Catalog) Function(id kiln.FunctionID) (*kiln.Function, error) {
	if p := c.book.page(id); p != nil {
		return p.fn, nil
	}
	return nil, notFound(id, "")
}

// Version gives the version that a qualifier names: a number, $LATEST, nothing
// (which is $LATEST), or an alias, of which it gives the main version.
func (c *Catalog) Version(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Version, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, q)
	}
	if e := p.find(q, nil); e != nil {
		return e.version, nil
	}
	return nil, notFound(id, q)
}

// Versions gives $LATEST and then the published versions by number.
func (c *Catalog) Versions(id kiln.FunctionID) ([]*kiln.Version, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	return p.versions(make([]*kiln.Version, 0, 1+len(p.editions))), nil
}

// Functions gives the $LATEST of every function of a scope, by name.
func (c *Catalog) Functions(in kiln.Scope) []*kiln.Version {
	pages := c.book.pages(in)
	out := make([]*kiln.Version, len(pages))
	for i, p := range pages {
		out[i] = p.latest.version
	}
	return out
}

// Count gives the number of functions of all scopes.
func (c *Catalog) Count() int {
	n := 0
	c.book.each(func(*page) { n++ })
	return n
}

// AllVersions gives every version of every function of a scope: by name, $LATEST
// first.
func (c *Catalog) AllVersions(in kiln.Scope) []*kiln.Version {
	var out []*kiln.Version
	for _, p := range c.book.pages(in) {
		out = p.versions(out)
	}
	return out
}

func (p *page) versions(out []*kiln.Version) []*kiln.Version {
	out = append(out, p.latest.version)
	for _, e := range p.editions {
		out = append(out, e.version)
	}
	return out
}

// Package opens the zip of a version.
func (c *Catalog) Package(ctx context.Context, v *kiln.Version) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	blob, size, err := c.o.Blobs.Open(v.Package.SHA256)
	if err != nil {
		return nil, 0, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(blob, 0, size), blob}, size, nil
}
