package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"kiln"
	"kiln/box/image"
	"kiln/box/runtimes"
	"kiln/door/api"
	"kiln/engine/catalog"
	"kiln/engine/worker"
)

// gallery is the store of images in the words of the rooms that ask it: the book
// resolves and pulls, the worker places, the door tells the progress.
type gallery struct {
	store    *image.Store
	runtimes *runtimes.Book
	dir      string              // for what is on its way to the runtimes
	lost     func(*kiln.Version) // tells the book
	nowhere  bool                // boxes have no filesystem of their own
}

var (
	_ catalog.Images = (*gallery)(nil)
	_ worker.Images  = (*gallery)(nil)
	_ api.Images     = (*gallery)(nil)
)

// openImages opens the store of images of a data directory.
func openImages(dataDir string, c *config, log *slog.Logger, book *runtimes.Book) (*gallery, error) {
	store, err := image.Open(dataDir, image.Options{
		Mirrors: c.RegistryMirrors, NoLocal: !c.LocalImages, Stall: c.RegistryStall, ResolvConf: []byte(resolvConf), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return &gallery{store: store, runtimes: book, dir: dataDir, lost: func(*kiln.Version) {}}, nil
}

// errNoImages is the answer where an image could not be run.
var errNoImages = kiln.Errorf(kiln.Unsupported, "A container image needs a sandbox with a filesystem of its own: --sandbox linux.")

// Resolve is catalog.Images.
func (g *gallery) Resolve(ctx context.Context, reference, architecture string) (kiln.Package, error) {
	if g.nowhere {
		return kiln.Package{}, errNoImages
	}
	return g.store.Resolve(ctx, reference, architecture)
}

// Missing is catalog.Images.
func (g *gallery) Missing(ctx context.Context, p kiln.Package) bool {
	_, err := g.store.Image(ctx, p.SHA256)
	return errors.Is(err, image.ErrLost)
}

// prepare pulls the image of a version.
func (g *gallery) prepare(ctx context.Context, v *kiln.Version) error {
	if g.nowhere {
		return errNoImages
	}
	return g.store.Pull(ctx, v.Package, v.Config.Architecture)
}

// Place is worker.Images. An image that is here no more is pulled again: its version
// says so, and callers are told to come later.
func (g *gallery) Place(ctx context.Context, v *kiln.Version) (kiln.Runtime, kiln.Rootfs, error) {
	if g.nowhere {
		return kiln.Runtime{}, kiln.Rootfs{}, errNoImages
	}
	if err := g.runtimes.Runs(v.Config.Architecture); err != nil {
		return kiln.Runtime{}, kiln.Rootfs{}, err
	}
	rt, files, err := g.store.Place(ctx, v)
	if errors.Is(err, image.ErrLost) {
		g.lost(v)
		err = kiln.Errorf(kiln.Conflict, "The operation cannot be performed at this time. The function is currently in the following state: Pending")
	}
	return rt, files, err
}

// Pulling is api.Images.
func (g *gallery) Pulling(v *kiln.Version) (api.PullProgress, bool) {
	p, ok := g.store.Progress(v.Package.SHA256)
	return api.PullProgress(p), ok
}

// AddRuntime is api.Images.
func (g *gallery) AddRuntime(ctx context.Context, identifier, reference string, progress func(done, total int64)) error {
	if g.nowhere {
		return errNoImages
	}
	if err := g.runtimes.MayImport(identifier); err != nil {
		return err
	}
	p, err := g.store.Resolve(ctx, reference, hostArchitecture())
	if err != nil {
		return err
	}
	if err := g.pullFor(ctx, p, progress); err != nil {
		return err
	}
	i, err := g.store.Image(ctx, p.SHA256)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(g.dir, ".root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root")
	if err := g.store.Materialise(ctx, p.SHA256, root); err != nil {
		return err
	}
	return g.runtimes.Import(ctx, identifier, runtimes.ImageRoot{
		Dir: root, Reference: p.ImageResolved, Digest: p.SHA256, Env: i.Environment(),
	})
}

// pullFor pulls an image and tells its progress meanwhile.
func (g *gallery) pullFor(ctx context.Context, p kiln.Package, progress func(done, total int64)) error {
	done := make(chan error, 1)
	go func() { done <- g.store.Pull(ctx, p, hostArchitecture()) }()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-look.C:
			if now, ok := g.store.Progress(p.SHA256); ok {
				progress(now.Done, now.Total)
			}
		}
	}
}

// restore looks, after a start, for the images that functions need: those that are
// here are unpacked ahead if the machine has started since, those that are not are
// pulled again.
func (g *gallery) restore(ctx context.Context, versions []*kiln.Version) {
	for _, v := range versions {
		switch _, err := g.store.Image(ctx, v.Package.SHA256); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, image.ErrLost):
			g.lost(v)
		}
	}
}
