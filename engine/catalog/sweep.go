package catalog

import (
	"context"
	"sync"
	"time"

	"kiln"
)

// pins hold packages that were stored and are not in the book yet. While a sweep
// runs no pin is taken off: the sweep looked at the book before the page that
// refers to the package was turned.
type pins struct {
	mu       sync.Mutex
	n        map[string]int
	sweeping int
	late     []string // to be taken off when no sweep runs
}

// pin holds a package until release is called.
func (p *pins) pin(sha256 string) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n[sha256]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.sweeping > 0 {
			p.late = append(p.late, sha256)
			return
		}
		p.take(sha256)
	}
}

func (p *pins) take(sha256 string) {
	if p.n[sha256]--; p.n[sha256] == 0 {
		delete(p.n, sha256)
	}
}

func (p *pins) holds(sha256 string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n[sha256] > 0
}

func (p *pins) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeping++
}

func (p *pins) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeping--; p.sweeping > 0 {
		return
	}
	for _, sha := range p.late {
		p.take(sha)
	}
	p.late = nil
}

// Sweep removes packages that nothing in the book refers to, and reports how many.
func (c *Catalog) Sweep(ctx context.Context) (int, error) {
	c.pins.begin()
	defer c.pins.end()
	used := c.Packages()
	return c.o.Blobs.Sweep(ctx, func(sha256 string) bool {
		_, ok := used[sha256]
		return ok || c.pins.holds(sha256)
	})
}

// Packages gives the digests of all packages that a version is or has as layers, or
// that one which is being updated still runs; of all layer versions; and of what the
// layers of one version make together, see kiln.LayersDigest.
func (c *Catalog) Packages() map[string]struct{} {
	used := map[string]struct{}{}
	refer := func(v *kiln.Version) {
		used[v.Package.SHA256] = struct{}{}
		if len(v.Config.Layers) == 0 {
			return
		}
		used[kiln.LayersDigest(v.Config.Layers)] = struct{}{}
		for _, use := range v.Config.Layers {
			used[use.Package.SHA256] = struct{}{}
		}
	}
	add := func(e *edition) {
		refer(e.version)
		if e.serving != nil {
			refer(e.serving)
		}
	}
	for _, s := range c.shelf.all() {
		for _, p := range s.versions {
			used[p.version.Package.SHA256] = struct{}{}
		}
	}
	c.book.each(func(p *page) {
		add(p.latest)
		for _, e := range p.editions {
			add(e)
		}
	})
	return used
}

func (c *Catalog) sweepNowAndThen(ctx context.Context) {
	for {
		if n, err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "unreferenced packages could not be removed", "error", err)
		} else if n > 0 {
			c.log.InfoContext(ctx, "unreferenced packages removed", "count", n)
		}
		select {
		case <-time.After(c.o.SweepEvery):
		case <-ctx.Done():
			return
		}
	}
}
