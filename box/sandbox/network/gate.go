package network

import (
	"context"
	"sync"
)

// gate holds back what is meant for programs that are frozen. The zero value is
// open.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil when open; closed when it opens
}

// close makes whoever comes wait.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// open lets everybody pass.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// wait returns when the gate is open or ctx ends, and says whether it had to wait.
func (g *gate) wait(ctx context.Context) (waited bool) {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil || ctx.Err() != nil {
			return waited
		}
		waited = true
		select {
		case <-shut:
		case <-ctx.Done():
		}
	}
}
