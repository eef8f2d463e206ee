package catalog

import (
	"context"
	"sync"

	"kiln"
)

// turns lets one writer at a time work on a function, or on what the functions of
// a scope share (the zero name). Readers need no turn.
type turns struct {
	mu sync.Mutex
	m  map[kiln.FunctionID]*turn
}

type turn struct {
	free  chan struct{} // holds one token when nobody has the turn
	users int           // that have it or wait for it
}

// take waits for the turn of id and gives the function that hands it on, or the
// error of ctx.
func (t *turns) take(ctx context.Context, id kiln.FunctionID) (release func(), err error) {
	t.mu.Lock()
	one := t.m[id]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.m[id] = one
	}
	one.users++
	t.mu.Unlock()

	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; t.leave(id, one) }, nil
	case <-ctx.Done():
		t.leave(id, one)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(id kiln.FunctionID, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.m, id)
	}
}
