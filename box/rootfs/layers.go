package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"kiln"
)

// optDir is where a function finds its layers.
const optDir = "/opt"

// layers gives the directory in which the layers of a function lie over each other,
// "" when it has none. It is made once for each list of packages: what one layer has
// is shown as it is, several are linked together, so that their files are on the disk
// once.
func (c *Cache) layers(ctx context.Context, list []kiln.LayerUse) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	digest := kiln.LayersDigest(list)
	if len(list) == 1 {
		return c.code(ctx, digest)
	}
	return c.place(ctx, digest, func() error {
		if _, err := os.Lstat(c.codeDir(digest)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var dirs []string
		for _, use := range list {
			dir, err := c.code(ctx, use.Package.SHA256)
			if err != nil {
				return err
			}
			dirs = append(dirs, dir)
		}
		return c.merge(ctx, digest, dirs)
	})
}

// merge lays directories over each other, later ones over earlier ones, and gives the
// result its name when it is complete. When it fails, nothing is left.
func (c *Cache) merge(ctx context.Context, digest string, dirs []string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Join(c.dir, "tmp"), "layers-")
	if err != nil {
		return diskError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return diskError(err)
	}
	defer root.Close()
	m := &merger{cache: c, root: root}
	to, err := filepath.Rel(c.dir, tmp)
	if err != nil {
		return err
	}
	// The last one comes first: what it has, no earlier one can have, and nothing that
	// is there is ever written to again.
	for i := len(dirs) - 1; i >= 0; i-- {
		from, err := filepath.Rel(c.dir, dirs[i])
		if err != nil {
			return err
		}
		if err := m.into(ctx, from, to); err != nil {
			return diskError(fmt.Errorf("lay layers over each other: %w", err))
		}
	}
	if err := errors.Join(c.step("rename", digest), root.Chmod(to, 0o755)); err != nil {
		return diskError(err)
	}
	if err := os.Rename(tmp, c.codeDir(digest)); err != nil {
		return diskError(err)
	}
	return nil
}

// merger links trees into one. All names are beneath the cache's own directory, and
// every directory on the way to one is a real one that it looked at: it follows no
// link.
type merger struct {
	cache *Cache
	root  *os.Root
}

// into adds to a directory what it does not have yet of another one. A directory that
// both have holds what both hold; where one of the two is something else, what is
// there stays as it is.
func (m *merger) into(ctx context.Context, from, to string) error {
	entries, err := fs.ReadDir(m.root.FS(), filepath.ToSlash(from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		source, target := path.Join(from, e.Name()), path.Join(to, e.Name())
		if e.IsDir() {
			err = m.directory(ctx, source, target)
		} else {
			err = errors.Join(m.cache.step("link", target), m.root.Link(source, target))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// directory adds a directory, with all that is in it. Where something else is in its
// place the error is fs.ErrExist.
func (m *merger) directory(ctx context.Context, from, to string) error {
	err := errors.Join(m.cache.step("mkdir", to), m.root.Mkdir(to, 0o700))
	if errors.Is(err, fs.ErrExist) {
		there, err := m.root.Lstat(to)
		if err != nil {
			return err
		}
		if !there.IsDir() {
			return fs.ErrExist
		}
		return m.into(ctx, from, to)
	}
	if err != nil {
		return err
	}
	if err := m.into(ctx, from, to); err != nil {
		return err
	}
	info, err := m.root.Lstat(from)
	if err != nil {
		return err
	}
	return m.root.Chmod(to, info.Mode().Perm()) // the umask does not count
}
