package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kiln"
)

// unpack writes a package to a temporary directory and gives it its name when it is
// complete. When it fails, nothing is left. Nothing is synced: thousands of small
// files would take seconds and hold up everybody's disk. What a package becomes is
// therefore believed in only until the machine starts again; see bootID.
func (c *Cache) unpack(ctx context.Context, sha string, zip io.ReaderAt, size int64) (err error) {
	a, err := readArchive(zip, size)
	if err != nil {
		return badPackage(err)
	}
	tmp, err := os.MkdirTemp(filepath.Join(c.dir, "tmp"), "unpack-")
	if err != nil {
		return diskError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return diskError(err)
	}
	defer root.Close()
	if err := c.write(ctx, root, a); err != nil {
		return diskError(badPackage(err))
	}
	if err := c.step("rename", sha); err != nil {
		return diskError(err)
	}
	if err := os.Rename(tmp, c.codeDir(sha)); err != nil {
		return diskError(err)
	}
	return nil
}

// write puts everything in place beneath root: directories, files, and links last,
// so that nothing is ever written through one.
func (c *Cache) write(ctx context.Context, root *os.Root, a *archive) error {
	left := int64(kiln.MaxUnzippedSize)
	for _, e := range a.dirs {
		if err := c.mkdir(root, e); err != nil {
			return err
		}
	}
	for _, e := range a.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.writeFile(root, e, &left); err != nil {
			return err
		}
	}
	targets, err := a.targets(&left)
	if err != nil {
		return err
	}
	for _, e := range a.links {
		if err := errors.Join(c.step("symlink", e.name), root.Symlink(targets[e.name], filepath.FromSlash(e.name))); err != nil {
			return err
		}
	}
	for _, e := range a.dirs {
		if err := root.Chmod(filepath.FromSlash(e.name), e.mode.Perm()); err != nil {
			return err
		}
	}
	return root.Chmod(".", 0o755)
}

func (c *Cache) mkdir(root *os.Root, e entry) error {
	if err := c.step("mkdir", e.name); err != nil {
		return err
	}
	return root.Mkdir(filepath.FromSlash(e.name), 0o700)
}

func (c *Cache) writeFile(root *os.Root, e entry, left *int64) (err error) {
	if err := c.step("create", e.name); err != nil {
		return err
	}
	f, err := root.OpenFile(filepath.FromSlash(e.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := e.inflate(&steps{c, e.name, f}, left); err != nil {
		return err
	}
	return f.Chmod(e.mode.Perm()) // the umask does not count
}

// step lets a test fail one operation; in the program it does nothing.
func (c *Cache) step(op, name string) error {
	if c.fault == nil {
		return nil
	}
	return c.fault(op, name)
}

// steps asks step before every write to a file.
type steps struct {
	c    *Cache
	name string
	w    io.Writer
}

func (s *steps) Write(p []byte) (int, error) {
	if err := s.c.step("write", s.name); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// badPackage turns the refusal of an upload into that of a stored package.
func badPackage(err error) error {
	var e *kiln.Error
	if errors.As(err, &e) && e.Code == kiln.Invalid {
		return &kiln.Error{Code: kiln.BadPackage, Message: e.Message, Err: err}
	}
	return err
}

// diskError says to the user what a full or failing disk did.
func diskError(err error) error {
	var known *kiln.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	reason := "the server's disk failed"
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err.Error() // "no space left on device"
	}
	return &kiln.Error{Code: kiln.Unavailable, Message: "The function's package could not be unpacked: " + reason + ".", Err: fmt.Errorf("unpack: %w", err)}
}
