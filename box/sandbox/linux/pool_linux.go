package linux

import (
	"context"
	"errors"
	"sync"
	"time"
)

// pool keeps blanks and scratch directories ready, so that Create does not wait
// for the kernel to make them. One goroutine fills it, and only while no box is
// being made.
type pool struct {
	driver *Driver
	size   int

	mu        sync.Mutex
	blanks    map[bool][]*blank    // by whether they have a way out
	asked     map[bool]bool        // which of them are kept ready
	scratches map[int64][]*scratch // by size
	sizes     []int64              // asked for, the latest last; at most warmSizes
	busy      int                  // Create calls under way
	last      time.Time            // when the last of them ended

	wake   chan struct{} // something was taken
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
}

const (
	// warmSizes is for how many sizes scratch directories are kept ready.
	warmSizes = 3
	// quiet is how long no box may have been made before the pool is filled: what was
	// just made is about to use the processor.
	quiet = 20 * time.Millisecond
	// soon and late are how long the pool waits at first and at most after it could not
	// make something: descriptors or users may be free again then, and nobody tells.
	soon, late = 100 * time.Millisecond, 5 * time.Second
)

// newPool begins to fill a pool.
func newPool(d *Driver) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pool{
		driver:    d,
		blanks:    map[bool][]*blank{},
		asked:     map[bool]bool{d.outbound(): true},
		size:      max(0, d.options.PoolSize),
		scratches: map[int64][]*scratch{},
		wake:      make(chan struct{}, 1),
		cancel:    cancel,
		done:      make(chan struct{}),
	}
	p.poke()
	go p.fill(ctx)
	return p
}

// poke tells the filling goroutine to look again.
func (p *pool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hurry says that a box is being made, until the returned function is called.
func (p *pool) hurry() (done func()) {
	p.mu.Lock()
	p.busy++
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		p.busy--
		p.last = time.Now()
		p.mu.Unlock()
		p.poke()
	}
}

// takeBlank gives a blank with or without a way out: one that was made ahead, or a new
// one, and notes that this kind is in use.
func (p *pool) takeBlank(ctx context.Context, outbound bool) (*blank, error) {
	for {
		b := p.popBlank(outbound)
		if b == nil {
			break
		}
		select {
		case <-b.dead: // its init was killed while it waited
			if err := p.driver.destroyBlank(b); err != nil {
				p.driver.log.Warn("remove a blank that died in the pool", "error", err)
			}
		default:
			return b, nil
		}
	}
	release, err := p.driver.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return p.driver.makeBlank(outbound)
}

// popBlank takes a blank out of the pool, or nil.
func (p *pool) popBlank(outbound bool) *blank {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[outbound] = true
	list := p.blanks[outbound]
	n := len(list)
	if n == 0 {
		return nil
	}
	p.blanks[outbound] = list[:n-1]
	return list[n-1]
}

// takeScratch gives a scratch directory of a size, and notes that this size is in
// use.
func (p *pool) takeScratch(ctx context.Context, bytes int64) (*scratch, error) {
	if c := p.popScratch(bytes); c != nil {
		return c, nil
	}
	release, err := p.driver.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return p.driver.scratches.make(ctx, bytes)
}

// popScratch takes a scratch directory out of the pool, or nil.
func (p *pool) popScratch(bytes int64) *scratch {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.sizes[:0]
	for _, s := range p.sizes {
		if s != bytes {
			kept = append(kept, s)
		}
	}
	p.sizes = append(kept, bytes)
	list := p.scratches[bytes]
	n := len(list)
	if n == 0 {
		return nil
	}
	p.scratches[bytes] = list[:n-1]
	return list[n-1]
}

// fill makes what is missing, one thing at a time, until ctx ends. What fails is tried
// again later.
func (p *pool) fill(ctx context.Context) {
	defer close(p.done)
	retry := time.NewTimer(0)
	defer retry.Stop()
	wait := soon
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-retry.C:
		}
		err := p.fillAll(ctx)
		switch {
		case err == nil:
			wait = soon
			continue
		case ctx.Err() != nil:
			return
		case wait == soon: // once for each time of need
			p.driver.log.Warn("make a box ahead", "error", err)
		}
		retry.Reset(wait)
		wait = min(2*wait, late)
	}
}

// fillAll makes what is missing; it ends early with ctx.
func (p *pool) fillAll(ctx context.Context) error {
	for p.calm(ctx) {
		if more, err := p.fillOne(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// calm waits until no box has been made for a moment; it returns false when ctx
// ends.
func (p *pool) calm(ctx context.Context) bool {
	for {
		wait := p.restless()
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

// restless is how long it takes at least until the pool may be filled.
func (p *pool) restless() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy > 0 {
		return quiet
	}
	return quiet - time.Since(p.last)
}

// fillOne makes the next thing that is missing and says whether there was one. What
// nobody asks for any more is destroyed.
func (p *pool) fillOne(ctx context.Context) (bool, error) {
	p.mu.Lock()
	var stale []*scratch
	if len(p.sizes) > warmSizes {
		p.sizes = p.sizes[len(p.sizes)-warmSizes:]
	}
	wanted := int64(0)
	for size, list := range p.scratches {
		asked := false
		for _, s := range p.sizes {
			asked = asked || s == size
		}
		if !asked {
			stale = append(stale, list...)
			delete(p.scratches, size)
		}
	}
	for _, s := range p.sizes {
		if len(p.scratches[s]) < p.size {
			wanted = s
		}
	}
	needBlank, outbound := false, false
	for kind := range p.asked {
		if len(p.blanks[kind]) < p.size {
			needBlank, outbound = true, kind
		}
	}
	p.mu.Unlock()
	for _, c := range stale {
		if err := c.close(); err != nil {
			return true, err
		}
	}
	switch {
	case needBlank:
		b, err := p.driver.makeBlank(outbound)
		if err != nil {
			return true, err
		}
		p.mu.Lock()
		p.blanks[outbound] = append(p.blanks[outbound], b)
		p.mu.Unlock()
	case wanted > 0:
		c, err := p.driver.scratches.make(ctx, wanted)
		if err != nil {
			return true, err
		}
		p.mu.Lock()
		p.scratches[wanted] = append(p.scratches[wanted], c)
		p.mu.Unlock()
	default:
		return false, nil
	}
	return true, nil
}

// close stops filling and destroys what is in the pool. Nothing is taken any more.
func (p *pool) close() error {
	p.cancel()
	<-p.done
	p.mu.Lock()
	blanks, scratches := p.blanks, p.scratches
	p.blanks, p.scratches = map[bool][]*blank{}, map[int64][]*scratch{}
	p.mu.Unlock()
	var errs []error
	for _, list := range blanks {
		for _, b := range list {
			errs = append(errs, p.driver.destroyBlank(b))
		}
	}
	for _, list := range scratches {
		for _, c := range list {
			errs = append(errs, c.close())
			if c.loop != nil {
				errs = append(errs, c.loop.gone())
			}
		}
	}
	return errors.Join(errs...)
}
