package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"kiln"
)

// shelf is the copy in memory of all layers. Layers are read when a function is made
// or changed and never on the way of a call, so that a lock is no loss.
type shelf struct {
	mu sync.RWMutex
	m  map[kiln.LayerID]*stack
}

// stack is all that the book says about one layer at one moment; it is never changed.
// It stays when its last version is deleted: numbers are given once.
type stack struct {
	last     int      // the highest version number that was ever given
	versions []*plate // by number
	stored   uint64   // revision of the layer's record in the store
}

// plate is a layer version with what the book alone needs to know of it.
type plate struct {
	version *kiln.LayerVersion
	stored  uint64
}

// of gives the current stack of a layer, or nil.
func (s *shelf) of(id kiln.LayerID) *stack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[id]
}

// put makes next the stack of a layer.
func (s *shelf) put(id kiln.LayerID, next *stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[kiln.LayerID]*stack{}
	}
	s.m[id] = next
}

// all gives every stack as it is now.
func (s *shelf) all() map[kiln.LayerID]*stack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.m)
}

// find gives the version of a number, or nil.
func (s *stack) find(number int) *plate {
	if s == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(s.versions, number, func(p *plate, n int) int { return p.version.Number - n })
	if !found {
		return nil
	}
	return s.versions[i]
}

// newestFirst gives the versions by falling numbers.
func (s *stack) newestFirst() []*kiln.LayerVersion {
	if s == nil {
		return nil
	}
	out := make([]*kiln.LayerVersion, 0, len(s.versions))
	for _, p := range slices.Backward(s.versions) {
		out = append(out, p.version)
	}
	return out
}

// NewLayer is a layer version to be made.
type NewLayer struct {
	ID            kiln.LayerID
	Zip           []byte
	Object        *kiln.S3Object // where the package is, when it is not Zip
	Description   string
	License       string
	Runtimes      []string
	Architectures []string
}

// PublishLayer adds a version to a layer, which is made when there is none, and
// returns it. Its number is higher than all that were given before, also to versions
// that are deleted.
func (c *Catalog) PublishLayer(ctx context.Context, n NewLayer) (*kiln.LayerVersion, error) {
	if err := checkID(kiln.FunctionID(n.ID)); err != nil {
		return nil, kiln.Errorf(kiln.Invalid, "%q does not name a layer", n.ID.String())
	}
	pkg, release, err := c.keep(ctx, code{zip: n.Zip, object: n.Object})
	if err != nil {
		return nil, err
	}
	defer release()
	old, handOn, err := c.beginLayer(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	defer handOn()
	next := &stack{}
	if old != nil {
		*next = *old
	}
	next.last++
	p := &plate{version: &kiln.LayerVersion{
		Layer: n.ID, Number: next.last, Package: pkg, Description: n.Description, License: n.License,
		Runtimes: slices.Clone(n.Runtimes), Architectures: slices.Clone(n.Architectures), Created: c.now(),
	}}
	next.versions = append(slices.Clone(next.versions), p)
	revisions, err := c.o.Store.Commit(context.WithoutCancel(ctx), []Write{
		{layerKey(n.ID), encode(layerRecord{Last: next.last}), next.stored},
		{layerVersionKey(n.ID, next.last), p.value(), 0},
	})
	if err != nil {
		return nil, storeError(err)
	}
	next.stored, p.stored = revisions[0], revisions[1]
	c.shelf.put(n.ID, next)
	return p.version, nil
}

// beginLayer takes the turn of a layer and gives its stack, nil when there is none.
func (c *Catalog) beginLayer(ctx context.Context, id kiln.LayerID) (*stack, func(), error) {
	// no function can have this name
	release, err := c.turns.take(ctx, kiln.FunctionID{Scope: id.Scope, Name: "layer:" + id.Name})
	if err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		release()
		return nil, nil, err
	}
	return c.shelf.of(id), release, nil
}

// DeleteLayerVersion takes a layer version away. Functions that have it keep it. One
// that is not there is no error: what the caller wants is so already.
func (c *Catalog) DeleteLayerVersion(ctx context.Context, id kiln.LayerID, number int) error {
	old, handOn, err := c.beginLayer(ctx, id)
	if err != nil {
		return err
	}
	defer handOn()
	p := old.find(number)
	if p == nil {
		return nil
	}
	if _, err := c.o.Store.Commit(context.WithoutCancel(ctx), []Write{{layerVersionKey(id, number), nil, p.stored}}); err != nil {
		return storeError(err)
	}
	next := *old
	next.versions = slices.DeleteFunc(slices.Clone(old.versions), func(x *plate) bool { return x == p })
	c.shelf.put(id, &next)
	return nil
}

// ChangeLayerPolicy lets change edit a copy of the policy of a layer version and
// returns the version with the result. A caller who names a revision that is not the
// latest is refused. When change fails, nothing happens.
func (c *Catalog) ChangeLayerPolicy(ctx context.Context, id kiln.LayerID, number int, revisionID string, change func(*kiln.LayerPolicy) error) (*kiln.LayerVersion, error) {
	old, handOn, err := c.beginLayer(ctx, id)
	if err != nil {
		return nil, err
	}
	defer handOn()
	p := old.find(number)
	if p == nil {
		return nil, layerNotThere(id, number)
	}
	v := *p.version
	v.Policy.Statements = slices.Clone(v.Policy.Statements)
	if revisionID != "" && revisionID != v.Policy.RevisionID {
		return nil, errLayerRevision
	}
	if err := change(&v.Policy); err != nil {
		return nil, err
	}
	v.Policy.RevisionID = kiln.NewID()
	changed := &plate{version: &v}
	revisions, err := c.o.Store.Commit(context.WithoutCancel(ctx), []Write{{layerVersionKey(id, number), changed.value(), p.stored}})
	if err != nil {
		return nil, storeError(err)
	}
	changed.stored = revisions[0]
	next := *old
	next.versions = slices.Clone(old.versions)
	next.versions[slices.Index(next.versions, p)] = changed
	c.shelf.put(id, &next)
	return changed.version, nil
}

// LayerVersion gives a version of a layer.
func (c *Catalog) LayerVersion(id kiln.LayerID, number int) (*kiln.LayerVersion, error) {
	if p := c.shelf.of(id).find(number); p != nil {
		return p.version, nil
	}
	return nil, kiln.Errorf(kiln.NotFound, "The resource you requested does not exist.")
}

// LayerVersions gives the versions of a layer, the newest first; none for a layer that
// is not there.
func (c *Catalog) LayerVersions(id kiln.LayerID) []*kiln.LayerVersion {
	return c.shelf.of(id).newestFirst()
}

// Layers gives the layers of a scope that have versions, by name; of each its
// versions, the newest first.
func (c *Catalog) Layers(in kiln.Scope) [][]*kiln.LayerVersion {
	var out [][]*kiln.LayerVersion
	for id, s := range c.shelf.all() {
		if id.Scope == in && len(s.versions) > 0 {
			out = append(out, s.newestFirst())
		}
	}
	slices.SortFunc(out, func(x, y []*kiln.LayerVersion) int { return strings.Compare(x[0].Layer.Name, y[0].Layer.Name) })
	return out
}

// holdLayers holds the packages of layers that a function is to have and did not have
// before against removal until release is called: by then the book must refer to them.
// One that was deleted since the caller looked is refused.
func (c *Catalog) holdLayers(want, had []kiln.LayerUse) (release func(), err error) {
	var held []func()
	release = func() {
		for _, f := range held {
			f()
		}
	}
	for _, use := range want {
		if slices.Contains(had, use) {
			continue
		}
		held = append(held, c.pins.pin(use.Package.SHA256))
		id, number, ok := kiln.ParseLayerARN(use.ARN)
		if p := c.shelf.of(id).find(number); !ok || p == nil || p.version.Package != use.Package {
			release()
			return nil, kiln.Errorf(kiln.Invalid, "Layer version %s does not exist.", use.ARN)
		}
	}
	return release, nil
}

// checkSum refuses a version whose code and layers unzip to more than a function may
// have.
func checkSum(v *kiln.Version) error {
	layers := int64(0)
	for _, use := range v.Config.Layers {
		layers += use.Package.UnzippedSize
	}
	sum := layers + v.Package.UnzippedSize
	switch {
	case layers == 0:
		return nil // the package was judged by itself
	case layers > kiln.MaxUnzippedSize:
		return kiln.Errorf(kiln.Invalid, "Layers consume more than the available size of %d bytes", kiln.MaxUnzippedSize)
	case sum > kiln.MaxUnzippedSize:
		return kiln.Errorf(kiln.Invalid, "Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", kiln.MaxUnzippedSize, sum)
	}
	return nil
}
