package catalog

import (
	"context"
	"sync"

	"kiln"
)

// Change says that calls of a function are resolved to other revisions now.
type Change struct {
	Function kiln.FunctionID
	// Retired are the revisions that no new call is resolved to. A call that was
	// resolved before may still run one.
	Retired []kiln.Revision
	Deleted bool // the function itself is gone
}

// changes hands each change to every listener in order. What a slow listener did
// not take yet is kept per function, so that it is never lost and is bounded by
// the number of functions.
type changes struct {
	mu        sync.Mutex
	ctx       context.Context // of the catalog's work
	work      *sync.WaitGroup
	listeners []*listener
}

type listener struct {
	out     chan Change
	wake    chan struct{} // holds one token when pending is not empty
	mu      sync.Mutex
	order   []kiln.FunctionID
	pending map[kiln.FunctionID]Change
}

func (c *changes) open(ctx context.Context, work *sync.WaitGroup) { c.ctx, c.work = ctx, work }

// close ends the listeners by stop, so that none can begin afterwards.
func (c *changes) close(stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop()
}

// Changes gives a channel on which every change from now on arrives; changes of
// one function that were not taken yet arrive as one. It is closed when the
// catalog is.
func (c *Catalog) Changes() <-chan Change {
	l := &listener{out: make(chan Change), wake: make(chan struct{}, 1), pending: map[kiln.FunctionID]Change{}}
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	if c.changes.ctx.Err() != nil {
		close(l.out)
		return l.out
	}
	c.changes.listeners = append(c.changes.listeners, l)
	c.changes.work.Go(func() { l.run(c.changes.ctx) })
	return l.out
}

func (c *changes) tell(one Change) {
	c.mu.Lock()
	listeners := c.listeners
	c.mu.Unlock()
	for _, l := range listeners {
		l.add(one)
	}
}

func (l *listener) add(one Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.pending[one.Function]; ok {
		one.Retired = append(known.Retired, one.Retired...)
		one.Deleted = one.Deleted || known.Deleted
	} else {
		l.order = append(l.order, one.Function)
		one.Retired = append([]kiln.Revision(nil), one.Retired...)
	}
	l.pending[one.Function] = one
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() (Change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return Change{}, false
	}
	id := l.order[0]
	l.order = l.order[1:]
	one := l.pending[id]
	delete(l.pending, id)
	return one, true
}

func (l *listener) run(ctx context.Context) {
	defer close(l.out)
	for {
		one, ok := l.take()
		if !ok {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case l.out <- one:
		case <-ctx.Done():
			return
		}
	}
}
