package worker

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"kiln"
)

// registry finds the pool of a key without a lock: each shard is a map that is
// never changed but replaced. Pools come and go with revisions; calls come all the
// time.
type registry struct {
	seed   maphash.Seed
	shards [64]struct {
		mu    sync.Mutex // of writers
		pools atomic.Pointer[map[kiln.EnvironmentKey]*pool]
	}
}

// newRegistry makes an empty registry.
func newRegistry() *registry { return &registry{seed: maphash.MakeSeed()} }

// load gives the pool that serves a key now, or nil.
func (r *registry) load(key *kiln.EnvironmentKey) *pool {
	pools := r.shards[r.shard(key)].pools.Load()
	if pools == nil {
		return nil
	}
	return (*pools)[*key]
}

// store makes p the pool of its key.
func (r *registry) store(p *pool) {
	r.change(&p.key, func(pools map[kiln.EnvironmentKey]*pool) { pools[p.key] = p })
}

// remove takes p out, if it is still the pool of its key.
func (r *registry) remove(p *pool) {
	r.change(&p.key, func(pools map[kiln.EnvironmentKey]*pool) {
		if pools[p.key] == p {
			delete(pools, p.key)
		}
	})
}

// change replaces the map of a key's shard by a changed copy.
func (r *registry) change(key *kiln.EnvironmentKey, how func(map[kiln.EnvironmentKey]*pool)) {
	s := &r.shards[r.shard(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	pools := map[kiln.EnvironmentKey]*pool{}
	if old := s.pools.Load(); old != nil {
		pools = maps.Clone(*old)
	}
	how(pools)
	s.pools.Store(&pools)
}

// shard gives the number of a key's shard, always the same one.
func (r *registry) shard(key *kiln.EnvironmentKey) uint64 {
	return maphash.String(r.seed, string(key.Revision)) % uint64(len(r.shards))
}
