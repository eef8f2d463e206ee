// Package rootfs makes the read-only directories that an environment sees: a base
// that is put together from the host's own programs and libraries, the runtime,
// and the function's package. Packages are unpacked once and shared by digest.
//
// A package is an enemy's until it was read to its end: names, kinds, headers and
// sizes are checked before and while it is written, and it is written beneath one
// directory by means that cannot leave it. What is in place is complete; a machine
// that starts again unpacks anew.
//
// The package mounts nothing and runs nothing. It fetches nothing.
package rootfs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kiln"
)

// taskDir is where a function finds its package.
const taskDir = "/var/task"

// Blobs gives the zip of a package; it checks its digest.
type Blobs interface {
	Open(sha256 string) (interface {
		io.ReaderAt
		io.Closer
	}, int64, error)
}

// Options says what the base is made of.
type Options struct {
	// Host is the root directory whose programs and libraries the base shows; "" is
	// "/".
	Host string
	// ResolvConf is /etc/resolv.conf of every environment; nil names no server.
	ResolvConf []byte
	// Unpacking is how many packages are unpacked at once; 0 is 2.
	Unpacking int
	// Grace is how long GC must have found an unpacked package unwanted before it
	// removes it: longer than an invocation can run, because the environment of a
	// function that was deleted lives as long. 0 is 20 minutes, negative is none.
	Grace time.Duration
	Now   func() time.Time
	// Boot names this run of the machine; "" asks the kernel.
	Boot string
}

// Cache is the directory of what was unpacked. Its methods are safe for concurrent
// use; one process uses a directory at a time.
type Cache struct {
	dir    string
	codes  string // the directory of unpacked packages
	blobs  Blobs
	host   string
	resolv []byte
	slots  chan struct{} // one for each package that may be unpacked now
	grace  time.Duration
	now    func() time.Time
	// fault, in tests, makes one operation on one file fail.
	fault func(op, name string) error

	mu    sync.Mutex
	busy  map[string]*flight             // digests that are being unpacked or removed, root directories that are being made
	bases map[string][]kiln.RuntimeMount // by what the runtime brings
	roots map[string]string              // root directories by what is in them
	// unwanted is since when nobody wants what was unpacked, as GC found out.
	unwanted map[string]time.Time
}

// flight is the work on one digest that others wait for.
type flight struct {
	done chan struct{} // closed when err is valid
	err  error
}

// Open opens the cache in dataDir, makes its directories when there are none, and
// removes what an interrupted process left half done. Bases are made anew, because
// the host may have changed.
func Open(dataDir string, blobs Blobs, o Options) (*Cache, error) {
	if o.Host == "" {
		o.Host = "/"
	}
	if o.Unpacking <= 0 {
		o.Unpacking = 2
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Boot == "" {
		o.Boot = bootID()
	}
	dir := filepath.Join(dataDir, "rootfs")
	c := &Cache{
		dir: dir, codes: filepath.Join(dir, codePrefix+o.Boot), blobs: blobs, host: o.Host, resolv: o.ResolvConf,
		slots: make(chan struct{}, o.Unpacking), grace: o.Grace, now: o.Now,
		busy: map[string]*flight{}, bases: map[string][]kiln.RuntimeMount{}, roots: map[string]string{}, unwanted: map[string]time.Time{},
	}
	for _, stale := range []string{"tmp", "base"} {
		if err := os.RemoveAll(filepath.Join(c.dir, stale)); err != nil {
			return nil, fmt.Errorf("open rootfs cache: %w", err)
		}
	}
	for _, dir := range []string{filepath.Join(c.dir, "tmp"), filepath.Join(c.dir, "base"), c.codes} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("open rootfs cache: %w", err)
		}
	}
	return c, nil
}

// codePrefix begins the names of directories of unpacked packages; the name of the
// machine's run follows.
const codePrefix = "code-"

// bootID names this run of the machine. Files that were written during it and not
// synced are whole as long as it lasts, however the process ends. Where the kernel
// does not tell, every process is a run of its own.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return kiln.NewID()
	}
	return strings.TrimSpace(string(text))
}

// Prepare unpacks the package of a version and its layers unless that was done, and
// gives the directories of an environment that runs it on a runtime. Many callers for
// one package wait for one unpacking.
func (c *Cache) Prepare(ctx context.Context, v *kiln.Version, rt kiln.Runtime) (kiln.Rootfs, error) {
	code := v.Package.Directory
	if code == "" {
		var err error
		if code, err = c.code(ctx, v.Package.SHA256); err != nil {
			return kiln.Rootfs{}, err
		}
	}
	opt, err := c.layers(ctx, v.Config.Layers)
	if err != nil {
		return kiln.Rootfs{}, err
	}
	files, err := c.Compose(code, rt)
	if err == nil && opt != "" {
		files.Mounts = append(files.Mounts, kiln.RuntimeMount{Source: opt, Target: optDir})
	}
	return files, err
}

// code gives the directory of a package.
func (c *Cache) code(ctx context.Context, sha string) (string, error) {
	if !isDigest(sha) {
		return "", kiln.Errorf(kiln.BadPackage, "%q is not the digest of a package", sha)
	}
	return c.place(ctx, sha, func() error { return c.unpackUnlessThere(ctx, sha) })
}

// place gives the directory of a digest when fill, or somebody else's, put it there.
// fill is called by one caller at a time and does nothing when it is there.
func (c *Cache) place(ctx context.Context, sha string, fill func() error) (string, error) {
	dir := c.codeDir(sha)
	for {
		f, mine := c.claim(sha)
		if mine {
			c.want(sha)
			f.err = fill()
			c.release(sha, f)
			return dir, f.err
		}
		select {
		case <-f.done:
			// it may have been a removal, or somebody whose context ended: look again
			if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
				return "", f.err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if _, err := os.Lstat(dir); err == nil {
			return dir, nil
		}
	}
}

// unpackUnlessThere unpacks a package when one of the few slots for that is free.
func (c *Cache) unpackUnlessThere(ctx context.Context, sha string) error {
	if _, err := os.Lstat(c.codeDir(sha)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	blob, size, err := c.blobs.Open(sha)
	if err != nil {
		return err
	}
	defer blob.Close()
	return c.unpack(ctx, sha, blob, size)
}

// GC removes the unpacked packages for which keep has said no for as long as the
// grace, and which nobody prepared meanwhile; and all that were unpacked before the
// machine started. The caller keeps those that the catalog knows.
func (c *Cache) GC(keep func(sha256 string) bool) error {
	entries, err := os.ReadDir(c.codes)
	if err != nil {
		return fmt.Errorf("collect packages: %w", err)
	}
	errs := []error{c.removeOld()}
	for _, e := range entries {
		sha := e.Name()
		switch {
		case !isDigest(sha):
		case keep(sha):
			c.want(sha)
		case c.ripe(sha):
			errs = append(errs, c.remove(sha, keep))
		}
	}
	return errors.Join(errs...)
}

// removeOld removes what was unpacked before the machine started.
func (c *Cache) removeOld() error {
	old, err := filepath.Glob(filepath.Join(c.dir, codePrefix+"*"))
	for _, dir := range old {
		if dir != c.codes {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// want forgets that nobody wanted a package.
func (c *Cache) want(sha string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unwanted, sha)
}

// ripe notes that nobody wants a package and reports whether that is so for long
// enough.
func (c *Cache) ripe(sha string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.unwanted[sha]; !known {
		c.unwanted[sha] = c.now()
	}
	return c.now().Sub(c.unwanted[sha]) >= c.grace
}

// isUnwanted reports whether GC found a package unwanted and nobody prepared it
// since.
func (c *Cache) isUnwanted(sha string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.unwanted[sha]
	return known
}

// remove takes an unpacked package away in one step and then deletes it. One that
// somebody works on, or prepared again, stays.
func (c *Cache) remove(sha string, keep func(string) bool) error {
	f, mine := c.claim(sha)
	if !mine {
		return nil
	}
	if keep(sha) || !c.isUnwanted(sha) {
		c.release(sha, f)
		return nil
	}
	gone, err := os.MkdirTemp(filepath.Join(c.dir, "tmp"), "gone-")
	if err == nil {
		err = os.Rename(c.codeDir(sha), filepath.Join(gone, sha))
	}
	c.want(sha) // it is not there to be unwanted
	c.release(sha, f)
	return errors.Join(err, os.RemoveAll(gone))
}

// claim makes the caller the one who works on a digest, or gives the flight of who
// does.
func (c *Cache) claim(sha string) (f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.busy[sha]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	c.busy[sha] = f
	return f, true
}

func (c *Cache) release(sha string, f *flight) {
	c.mu.Lock()
	delete(c.busy, sha)
	c.mu.Unlock()
	close(f.done)
}

func (c *Cache) codeDir(sha string) string { return filepath.Join(c.codes, sha) }

// isDigest reports whether s is a SHA-256 in lower-case hex, and so a safe name.
func isDigest(s string) bool {
	return len(s) == hex.EncodedLen(32) && strings.Trim(s, "0123456789abcdef") == ""
}
