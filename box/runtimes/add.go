package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"kiln"
)

// AddOptions says what Add fetches.
type AddOptions struct {
	// Version is an exact version ("20.11.1"); "" is the newest of the identifier.
	Version string
}

var exactVersion = regexp.MustCompile(`^\d{1,4}\.\d{1,4}\.\d{1,4}$`)

// Add brings an interpreter here that serves the identifier, and proves that it
// does; or the AWS SDK of a language. It tells how many bytes have come; total is 0
// while it is not known. What is here already is not fetched again. Node.js comes
// through npm; Python, Java and Ruby come as root directories of Debian packages, and
// .NET Core as both.
func (b *Book) Add(ctx context.Context, identifier string, o AddOptions, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if s := b.sdkNamed(identifier); s != nil {
		if o.Version != "" {
			return kiln.Errorf(kiln.Invalid, "%s has one version, %s %s: none can be chosen", s.Name, s.Holds, s.Version)
		}
		return b.addSDK(ctx, s, progress)
	}
	d, ok := b.descriptors[identifier]
	if !ok {
		return kiln.Errorf(kiln.NotFound, "there is no runtime %q", identifier)
	}
	if !d.interpreted() {
		return kiln.Errorf(kiln.Conflict, "%s needs nothing: the function brings its own program", identifier)
	}
	fetch, err := b.fetcher(d, o)
	if err != nil {
		return err
	}
	select {
	case b.adding <- struct{}{}:
		defer func() { <-b.adding }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := fetch(ctx, progress); err != nil {
		return err
	}
	b.forget(identifier)
	s, err := b.find(ctx, d)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(s.program, b.fetchedDir(identifier)+"/") {
		return kiln.Errorf(kiln.Unavailable, "what was fetched for %s does not work here: %s serves it instead", identifier, s.program)
	}
	return nil
}

// fetcher gives what fetches a runtime's interpreter, or says why nothing can.
func (b *Book) fetcher(d *descriptor, o AddOptions) (func(ctx context.Context, progress func(done, total int64)) error, error) {
	switch {
	case d.Family == "nodejs":
		wanted := d.Version
		if o.Version != "" {
			if !exactVersion.MatchString(o.Version) || !strings.HasPrefix(o.Version, d.Version+".") {
				return nil, kiln.Errorf(kiln.Invalid, "%q is not a version of %s: it must read %s.<minor>.<patch>", o.Version, d.Identifier, d.Version)
			}
			wanted = o.Version
		}
		return func(ctx context.Context, progress func(done, total int64)) error {
			return b.fetchNode(ctx, d, wanted, progress)
		}, nil
	case d.Debian != nil:
		if o.Version != "" {
			return nil, kiln.Errorf(kiln.Invalid, "%s comes from Debian %s, which has one version of it: none can be chosen", d.Identifier, d.Debian.Suite)
		}
		return func(ctx context.Context, progress func(done, total int64)) error {
			return b.fetchRoot(ctx, d, progress)
		}, nil
	}
	return nil, kiln.Errorf(kiln.Unsupported, "%s is nowhere that kiln knows to fetch from; bring it with --image REF, or %s", d.language()+" "+d.Version, d.install())
}

// Remove deletes what Add brought. Environments that run on it keep it until they
// end.
func (b *Book) Remove(identifier string) error {
	if s := b.sdkNamed(identifier); s != nil {
		return b.removeSDK(s)
	}
	if _, ok := b.descriptors[identifier]; !ok {
		return kiln.Errorf(kiln.NotFound, "there is no runtime %q", identifier)
	}
	dir := b.fetchedDir(identifier)
	if _, err := os.Stat(dir); err != nil {
		return kiln.Errorf(kiln.NotFound, "%s was not added: an interpreter that this machine has is not kiln's to remove", identifier)
	}
	if err := b.discard(identifier, dir); err != nil {
		return fmt.Errorf("remove runtime %s: %w", identifier, err)
	}
	b.forget(identifier)
	return nil
}

// discard deletes a directory of a runtime. When environments of this process may run
// on it, it is only put aside, and a start on another day deletes it: a box whose
// files went away would fail in the middle of an invocation.
func (b *Book) discard(identifier, dir string) error {
	b.mu.Lock()
	used := b.used[identifier]
	b.mu.Unlock()
	if !used {
		return os.RemoveAll(dir)
	}
	aside, err := os.MkdirTemp(b.dir, ".gone-")
	if err != nil {
		return err
	}
	return os.Rename(dir, filepath.Join(aside, filepath.Base(dir)))
}

// discardOthers discards everything in home but keep: older versions.
func (b *Book) discardOthers(identifier, home, keep string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := filepath.Join(home, entry.Name())
		if name != keep && !strings.HasPrefix(keep, name) && !strings.HasPrefix(entry.Name(), ".new-") {
			if err := b.discard(identifier, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// canFetch gives nil when Add can bring the runtime's interpreter here, else why not.
func (b *Book) canFetch(d *descriptor) error {
	if _, err := b.fetcher(d, AddOptions{}); err != nil {
		return err
	}
	if err := d.canCarry(); err != nil {
		return err
	}
	if d.Debian != nil {
		return b.reachesDebian(d)
	}
	return nil
}

func (b *Book) fetchedDir(identifier string) string {
	return filepath.Join(b.dir, "fetched", identifier)
}

// fetched gives the interpreter that Add brought for a runtime. Of several the newest
// counts.
func (b *Book) fetched(d *descriptor) (c candidate, ok bool) {
	rooted := d.Family != "nodejs"
	matches, err := filepath.Glob(filepath.Join(b.fetchedDir(d.Identifier), "[0-9]*"))
	if err != nil || rooted && b.options.HostOnly {
		return candidate{}, false
	}
	sort.Slice(matches, func(i, j int) bool { return naturalLess(matches[j], matches[i]) })
	for _, dir := range matches {
		if c.path = d.programOf(dir); c.path == "" {
			continue
		}
		if rooted {
			c.root = filepath.Join(dir, "root")
		}
		return c, true
	}
	return candidate{}, false
}
