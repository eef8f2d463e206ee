package main

import (
	"context"
	"errors"
	"log/slog"

	"kiln"
	"kiln/box/runtimes"
)

// ownShelf is the shelf of a data directory that no server uses.
type ownShelf struct {
	book *runtimes.Book
	lock *lock

	config *config
	log    *slog.Logger
}

// openShelf takes the runtimes of a data directory, or says which server has it.
func openShelf(w world, c *config) (shelf, error) {
	l, err := takeLock(c.DataDir)
	if err != nil {
		return nil, heldByOther(err)
	}
	book, err := runtimes.Open(runtimes.Options{
		DataDir: c.DataDir, Logger: newLogger(w, "warn"), HostOnly: c.Sandbox == "process",
		DebianMirror: c.DebianMirror, DebianKeyring: c.DebianKeyring,
	})
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return ownShelf{book, l, c, newLogger(w, "warn")}, nil
}

func (s ownShelf) list(ctx context.Context) ([]runtimeEntry, error) {
	out := []runtimeEntry{}
	for _, e := range (runtimesDoor{s.book}).List(ctx) {
		out = append(out, runtimeEntry(e))
	}
	return out, nil
}

func (s ownShelf) add(ctx context.Context, identifier, image string, progress func(done, total int64)) (err error) {
	if image != "" {
		g, err := openImages(s.config.DataDir, s.config, s.log, s.book)
		if err != nil {
			return err
		}
		g.nowhere = s.config.Sandbox == "process"
		return said(errors.Join(g.AddRuntime(ctx, identifier, image, progress), g.store.Close()))
	}
	return said(s.book.Add(ctx, identifier, runtimes.AddOptions{}, progress))
}

func (s ownShelf) remove(_ context.Context, identifier string) error {
	return said(s.book.Remove(identifier))
}

func (s ownShelf) close() error { return s.lock.close() }

// said turns an error of a room into one of a command.
func said(err error) error {
	var e *kiln.Error
	if errors.As(err, &e) {
		return &failure{code: exitPlatform, err: err}
	}
	return err
}
