package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// group is what a server opened, in order. Closing runs through it backwards, each
// part even when another failed, so that nothing is used after its end.
type group struct {
	parts []part
	once  sync.Once
	err   error
}

type part struct {
	name  string
	close func(context.Context) error
}

// add puts a part on top of what is there. close must return when ctx ends at the
// latest, having let go of everything.
func (g *group) add(name string, close func(context.Context) error) {
	g.parts = append(g.parts, part{name, close})
}

// addCloser is add for a part that does not wait for others.
func (g *group) addCloser(name string, close func() error) {
	g.add(name, func(context.Context) error { return close() })
}

// close ends all parts, the newest first, and gives what went wrong. What waits
// for others waits until ctx ends. A second call gives the same answer.
func (g *group) close(ctx context.Context) error {
	g.once.Do(func() {
		var errs []error
		for i := len(g.parts) - 1; i >= 0; i-- {
			if err := g.parts[i].close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("end %s: %w", g.parts[i].name, err))
			}
		}
		g.err = errors.Join(errs...)
	})
	return g.err
}

// deadline gives a context for closing: it ends after d, or at once when the user
// asks a second time.
func deadline(d time.Duration, again <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-again:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}
