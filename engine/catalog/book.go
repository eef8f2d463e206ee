package catalog

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kiln"
)

// page is all that the book says about one function at one moment. It is never
// changed: a write makes the next page and turns to it.
type page struct {
	fn         *kiln.Function
	last       int      // the highest version number that was ever given
	latest     *edition // $LATEST
	editions   []*edition
	aliases    map[string]*alias
	urls       map[kiln.Qualifier]*address   // by alias; nil is none
	policies   map[kiln.Qualifier]*rule      // by version or alias; nil is none
	provisions map[kiln.Qualifier]*provision // by version or alias; nil is none
	turnouts   map[kiln.Qualifier]*turnout   // by version or alias, $LATEST for the function itself; nil is none
	revision   uint64                        // of the function's record in the store
}

// edition is a version with what the book alone needs to know of it.
type edition struct {
	version *kiln.Version
	// serving is what runs when this version is called: the version itself once it
	// is in place, what it was before while $LATEST is being updated, nil when
	// there is nothing yet.
	serving *kiln.Version
	runs    kiln.Revision // the revision of serving
	source  string        // published versions: the content of $LATEST they were made from
	stored  uint64        // revision of the record in the store
}

type alias struct {
	alias *kiln.Alias
	// other gets a share of weight of the calls; -1 is none. The numbers are those
	// of versions, 0 is $LATEST.
	main, other int
	weight      float64
	stored      uint64
}

// edition gives the version of a number, or nil.
func (p *page) edition(number int) *edition {
	if number == 0 {
		return p.latest
	}
	i, found := slices.BinarySearchFunc(p.editions, number, func(e *edition, n int) int { return e.version.Number - n })
	if !found {
		return nil
	}
	return p.editions[i]
}

// newest gives the published version with the highest number, or nil.
func (p *page) newest() *edition {
	if len(p.editions) == 0 {
		return nil
	}
	return p.editions[len(p.editions)-1]
}

// clone gives a page that can be changed before anybody sees it; what it points to
// is shared.
func (p *page) clone() *page {
	next := *p
	next.editions = slices.Clone(p.editions)
	next.aliases = maps.Clone(p.aliases)
	next.urls = maps.Clone(p.urls)
	next.policies = maps.Clone(p.policies)
	next.turnouts = maps.Clone(p.turnouts)
	next.provisions = maps.Clone(p.provisions)
	return &next
}

// book is the copy in memory that serves all reads. Readers take no lock: they
// load a pointer to a map that is never changed, and from it a pointer to a page.
type book struct {
	seed   maphash.Seed
	shards [512]shard
	scopes atomic.Pointer[map[kiln.Scope]*scope]
	urls   sync.Map   // *kiln.FunctionURL by its ID
	mu     sync.Mutex // for changes of the map of scopes
}

type shard struct {
	entries atomic.Pointer[map[kiln.FunctionID]*entry]
	mu      sync.Mutex // for changes of the map
}

// entry is the place of one function; it is gone when its page is nil.
type entry struct {
	name string
	page atomic.Pointer[page]
}

// scope is what must be known of all functions of a scope together.
type scope struct {
	reserved atomic.Int64
	mu       sync.RWMutex
	names    []*entry // by name
}

func newBook() *book {
	b := &book{seed: maphash.MakeSeed()}
	b.scopes.Store(&map[kiln.Scope]*scope{})
	for i := range b.shards {
		b.shards[i].entries.Store(&map[kiln.FunctionID]*entry{})
	}
	return b
}

// page gives the current page of a function, or nil.
func (b *book) page(id kiln.FunctionID) *page {
	e := (*b.shard(id).entries.Load())[id]
	if e == nil {
		return nil
	}
	return e.page.Load()
}

// turn makes next the page of a function; nil takes the function out. The caller
// has the function's turn, so that no other page is turned meanwhile.
func (b *book) turn(id kiln.FunctionID, old, next *page) {
	sc := b.scope(id.Scope)
	switch {
	case old == nil:
		e := &entry{name: id.Name}
		e.page.Store(next)
		b.shard(id).change(func(m map[kiln.FunctionID]*entry) { m[id] = e })
		sc.insert(e)
	case next == nil:
		e := (*b.shard(id).entries.Load())[id]
		b.shard(id).change(func(m map[kiln.FunctionID]*entry) { delete(m, id) })
		sc.remove(e)
		e.page.Store(nil)
	default:
		(*b.shard(id).entries.Load())[id].page.Store(next)
	}
	sc.reserved.Add(next.held() - old.held())
	b.readdress(old, next)
}

// fill puts in the pages of a book that nobody reads yet.
func (b *book) fill(pages map[kiln.FunctionID]*page) {
	for id, p := range pages {
		e := &entry{name: id.Name}
		e.page.Store(p)
		(*b.shard(id).entries.Load())[id] = e
		sc := b.scope(id.Scope)
		sc.names = append(sc.names, e)
		sc.reserved.Add(p.held())
		b.readdress(nil, p)
	}
	for _, sc := range *b.scopes.Load() {
		slices.SortFunc(sc.names, func(x, y *entry) int { return strings.Compare(x.name, y.name) })
	}
}

// pages gives the current pages of a scope in the order of names.
func (b *book) pages(in kiln.Scope) []*page {
	sc := (*b.scopes.Load())[in]
	if sc == nil {
		return nil
	}
	sc.mu.RLock()
	defer sc.mu.RUnlock()
	out := make([]*page, 0, len(sc.names))
	for _, e := range sc.names {
		if p := e.page.Load(); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// each calls f with every page of the book.
func (b *book) each(f func(*page)) {
	for i := range b.shards {
		for _, e := range *b.shards[i].entries.Load() {
			if p := e.page.Load(); p != nil {
				f(p)
			}
		}
	}
}

func (b *book) reserved(in kiln.Scope) int64 {
	sc := (*b.scopes.Load())[in]
	if sc == nil {
		return 0
	}
	return sc.reserved.Load()
}

func (b *book) shard(id kiln.FunctionID) *shard {
	return &b.shards[maphash.String(b.seed, id.Name)%uint64(len(b.shards))]
}

// scope gives the index of a scope and makes it when there is none.
func (b *book) scope(in kiln.Scope) *scope {
	if sc := (*b.scopes.Load())[in]; sc != nil {
		return sc
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if sc := (*b.scopes.Load())[in]; sc != nil {
		return sc
	}
	m := maps.Clone(*b.scopes.Load())
	sc := &scope{}
	m[in] = sc
	b.scopes.Store(&m)
	return sc
}

func (s *shard) change(f func(map[kiln.FunctionID]*entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := maps.Clone(*s.entries.Load())
	f(m)
	s.entries.Store(&m)
}

func (s *scope) insert(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := s.find(e.name)
	s.names = slices.Insert(s.names, i, e)
}

func (s *scope) remove(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.find(e.name); found {
		s.names = slices.Delete(s.names, i, i+1)
	}
}

func (s *scope) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.names, name, func(e *entry, n string) int { return strings.Compare(e.name, n) })
}
