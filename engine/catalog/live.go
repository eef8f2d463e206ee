package catalog

import (
	"maps"
	"sync"
	"sync/atomic"

	"kiln"
)

// live is the book of functions under development: for as long as one is bound, calls
// of its $LATEST run the files of a directory instead of its package. Nothing of it is
// stored, so that a function has its package again when whoever works on it, or the
// server, goes away.
type live struct {
	mu    sync.Mutex // for changes
	bound atomic.Pointer[map[kiln.FunctionID]*Binding]
}

// of gives the binding of a function, or nil: one load when nobody develops anything.
func (l *live) of(id kiln.FunctionID) *Binding {
	if m := l.bound.Load(); m != nil {
		return (*m)[id]
	}
	return nil
}

// set binds or, with nil, frees a function.
func (l *live) set(id kiln.FunctionID, b *Binding) {
	next := map[kiln.FunctionID]*Binding{}
	if m := l.bound.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if b == nil {
		delete(next, id)
	} else {
		next[id] = b
	}
	if len(next) == 0 {
		l.bound.Store(nil)
		return
	}
	l.bound.Store(&next)
}

// Binding is the hold that somebody who develops a function has on it.
type Binding struct {
	catalog *Catalog
	id      kiln.FunctionID

	mu         sync.Mutex
	directory  string
	generation int
	over       bool
	shown      atomic.Pointer[shown]
}

// shown is what calls of a bound function run now.
type shown struct {
	of       *kiln.Version // the version whose settings it has
	version  *kiln.Version
	revision kiln.Revision
}

// Bind makes calls of a function's $LATEST run the files of a directory, which the
// caller vouches for, until the binding is released. A function is bound once at a
// time.
func (c *Catalog) Bind(id kiln.FunctionID, directory string) (*Binding, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	if p.latest.serving == nil {
		return nil, wrongState(p.latest.version.Status.State)
	}
	if p.latest.version.Package.SHA256 == "" {
		return nil, kiln.Errorf(kiln.Unsupported, "%s is made of a container image; only functions with a package of files can show a directory", id.Name)
	}
	b := &Binding{catalog: c, id: id, directory: directory, generation: 1}
	c.live.mu.Lock()
	if c.live.of(id) != nil {
		c.live.mu.Unlock()
		return nil, kiln.Errorf(kiln.Conflict, "%s is under development already, by another command", id.Name)
	}
	c.live.set(id, b)
	c.live.mu.Unlock()
	return b, nil // the environments of the package stay for when it is over, or go as idle ones do
}

// Changed begins a new generation: calls from now on run the files as they are, in
// environments that start anew, while calls that run end in theirs. directory is where
// the files are now. It gives the number of the generation.
func (b *Binding) Changed(directory string) int {
	b.mu.Lock()
	b.directory = directory
	b.generation++
	n, old := b.generation, b.shown.Swap(nil)
	b.mu.Unlock()
	b.retire(old)
	return n
}

// Release gives the function its package back. It may be called again.
func (b *Binding) Release() {
	c := b.catalog
	c.live.mu.Lock()
	if c.live.of(b.id) == b {
		c.live.set(b.id, nil)
	}
	c.live.mu.Unlock()
	b.mu.Lock()
	b.over = true
	old := b.shown.Swap(nil)
	b.mu.Unlock()
	b.retire(old)
}

func (b *Binding) retire(old *shown) {
	if old != nil {
		b.catalog.changes.tell(Change{Function: b.id, Retired: []kiln.Revision{old.revision}})
	}
}

// target gives what a call runs that would run v of fn by the book.
func (b *Binding) target(fn *kiln.Function, v *kiln.Version, runs kiln.Revision) (*kiln.Version, kiln.Revision) {
	if s := b.shown.Load(); s != nil && s.of == v {
		return s.version, s.revision
	}
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return v, runs
	}
	old := b.shown.Load()
	if old != nil && old.of == v {
		b.mu.Unlock()
		return old.version, old.revision
	}
	bound := *v
	bound.Package.Directory = b.directory
	s := &shown{of: v, version: &bound, revision: kiln.Revision(digestOf(struct {
		Of         kiln.Revision
		Directory  string
		Generation int
	}{revisionOf(fn, v), b.directory, b.generation}))}
	b.shown.Store(s)
	b.mu.Unlock()
	b.retire(old)
	return s.version, s.revision
}
