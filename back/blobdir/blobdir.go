// Package blobdir keeps packages in a directory, each under the SHA-256 of its
// bytes. A package is there as a whole or not at all, also after a crash: it is
// written to a temporary file, synced, renamed, and the directory is synced before
// Put returns. Whatever is read was checked against its digest first.
//
// It never overwrites a package that is whole, never looks inside one, and does not
// know who refers to it: Sweep asks.
package blobdir

import (
	"context"
	"crypto/sha256"
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

// part begins the names of files that are being written.
const part = ".part-"

// Options tunes a directory.
type Options struct {
	// Grace is the age below which Sweep removes nothing: a package that was just
	// uploaded is not referred to yet. 0 is ten minutes, negative is none.
	Grace time.Duration
	Now   func() time.Time
}

// Dir is an open directory of packages. Its methods are safe for concurrent use.
type Dir struct {
	path  string
	grace time.Duration
	now   func() time.Time
	// fault, in tests, makes one operation on one file fail.
	fault func(op, name string) error

	mu     sync.Mutex
	busy   map[string]chan struct{} // digests that somebody puts or removes; closed when done
	failed error                    // after a sync failed: what the disk holds is unknown
}

// Open makes the directory when there is none and removes what interrupted uploads
// left.
func Open(path string, o Options) (*Dir, error) {
	if o.Grace == 0 {
		o.Grace = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dir{path: path, grace: o.Grace, now: o.Now, busy: map[string]chan struct{}{}}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open packages: %w", err)
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open packages: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("open packages: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), part) {
			if err := os.Remove(filepath.Join(path, e.Name())); err != nil {
				return nil, fmt.Errorf("remove an interrupted upload: %w", err)
			}
		}
	}
	return d, nil
}

// Put stores what r gives and returns its digest and size when both are durable.
// When it fails, or r does, nothing is left.
func (d *Dir) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	if err := d.usable(); err != nil {
		return "", 0, err
	}
	f, err := d.create()
	if err != nil {
		return "", 0, diskError(err)
	}
	defer func() {
		_ = f.Close()           // closed before when all went well
		_ = os.Remove(f.Name()) // renamed when all went well; swept by the next Open otherwise
	}()
	hash := sha256.New()
	size, err := io.Copy(&writer{d, ctx, f}, io.TeeReader(r, hash))
	if err != nil {
		return "", 0, diskError(err)
	}
	sha := hex.EncodeToString(hash.Sum(nil))
	release, err := d.claim(ctx, sha)
	if err != nil {
		return "", 0, err
	}
	defer release()
	if err := d.install(f, sha); err != nil {
		return "", 0, diskError(err)
	}
	return sha, size, nil
}

// install gives the written file its name. One that is there and whole stays, and
// counts as new for Sweep.
func (d *Dir) install(f *os.File, sha string) error {
	if err := d.usable(); err != nil {
		return err
	}
	name := d.name(sha)
	if blob, _, err := d.Open(sha); err == nil {
		now := d.now()
		if err := errors.Join(blob.Close(), os.Chtimes(name, now, now)); err != nil {
			return err
		}
		return d.settle() // whoever renamed it may have died before this
	}
	if err := d.syncFile(f); err != nil {
		return d.fail(err)
	}
	if err := errors.Join(d.step("close", f.Name()), f.Close()); err != nil {
		return err
	}
	if err := errors.Join(d.step("chtimes", name), os.Chtimes(f.Name(), d.now(), d.now())); err != nil {
		return err
	}
	if err := d.step("rename", name); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return d.settle()
}

// settle makes the names of the directory durable.
func (d *Dir) settle() error {
	if err := d.syncDir(d.path); err != nil {
		return d.fail(err)
	}
	return nil
}

// Open opens a package after it read all of it and found its digest right.
func (d *Dir) Open(sha string) (interface {
	io.ReaderAt
	io.Closer
}, int64, error) {
	if !isDigest(sha) {
		return nil, 0, kiln.Errorf(kiln.NotFound, "%q is not the digest of a package", sha)
	}
	f, err := os.Open(d.name(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &kiln.Error{Code: kiln.NotFound, Message: "The package " + sha + " is not stored here.", Err: err}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open package: %w", err)
	}
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err == nil && hex.EncodeToString(hash.Sum(nil)) != sha {
		err = &kiln.Error{Code: kiln.BadPackage, Message: "The package " + sha + " is damaged on the server's disk; upload it again.", Err: ErrDamaged}
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, 0, fmt.Errorf("open package: %w", err)
	}
	return f, size, nil
}

// ErrDamaged is the cause when a package's bytes do not have its digest.
var ErrDamaged = errors.New("package does not have its digest")

// Sweep removes the packages for which keep says no and that are older than the
// grace, and reports how many.
func (d *Dir) Sweep(ctx context.Context, keep func(sha256 string) bool) (int, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return 0, fmt.Errorf("sweep packages: %w", err)
	}
	removed := 0
	for _, e := range entries {
		if !isDigest(e.Name()) || keep(e.Name()) {
			continue
		}
		gone, err := d.sweep(ctx, e.Name(), keep)
		if err != nil {
			return removed, fmt.Errorf("sweep packages: %w", err)
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

func (d *Dir) sweep(ctx context.Context, sha string, keep func(string) bool) (bool, error) {
	release, err := d.claim(ctx, sha)
	if err != nil {
		return false, err
	}
	defer release()
	info, err := os.Stat(d.name(sha))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if d.now().Sub(info.ModTime()) < d.grace || keep(sha) {
		return false, nil
	}
	if err := d.step("remove", sha); err != nil {
		return false, err
	}
	return true, os.Remove(d.name(sha))
}

// claim waits until nobody else puts or removes a digest and holds it until
// release.
func (d *Dir) claim(ctx context.Context, sha string) (release func(), err error) {
	for {
		d.mu.Lock()
		other := d.busy[sha]
		if other == nil {
			mine := make(chan struct{})
			d.busy[sha] = mine
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				delete(d.busy, sha)
				d.mu.Unlock()
				close(mine)
			}, nil
		}
		d.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *Dir) name(sha string) string { return filepath.Join(d.path, sha) }

// isDigest reports whether s is a SHA-256 in lower-case hex, and so a safe name.
func isDigest(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
