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
// does. It tells how many bytes have come; total is 0 while it is not known. What is
// here already is not fetched again. In this version of kiln only Node.js can be
// fetched.
func (b *Book) Add(ctx context.Context, identifier string, o AddOptions, progress func(done, total int64)) error {
	d, ok := b.descriptors[identifier]
	if !ok {
		return kiln.Errorf(kiln.NotFound, "there is no runtime %q", identifier)
	}
	if d.Missing != "" {
		return kiln.Errorf(kiln.Unsupported, "%s cannot be added: %s", identifier, d.Missing)
	}
	if !d.interpreted() {
		return kiln.Errorf(kiln.Conflict, "%s needs nothing: the function brings its own program", identifier)
	}
	if !b.canFetch(d) {
		return kiln.Errorf(kiln.Unsupported,
			"kiln cannot fetch %s yet; %s", d.language()+" "+d.Version, d.install())
	}
	if o.Version != "" && (!exactVersion.MatchString(o.Version) || !strings.HasPrefix(o.Version, d.Version+".")) {
		return kiln.Errorf(kiln.Invalid, "%q is not a version of %s: it must read %s.<minor>.<patch>", o.Version, identifier, d.Version)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	select {
	case b.adding <- struct{}{}:
		defer func() { <-b.adding }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	wanted := d.Version
	if o.Version != "" {
		wanted = o.Version
	}
	if err := b.fetchNode(ctx, d, wanted, progress); err != nil {
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

// Remove deletes what Add brought. Environments that run on it keep it until they
// end.
func (b *Book) Remove(identifier string) error {
	if _, ok := b.descriptors[identifier]; !ok {
		return kiln.Errorf(kiln.NotFound, "there is no runtime %q", identifier)
	}
	dir := b.fetchedDir(identifier)
	if _, err := os.Stat(dir); err != nil {
		return kiln.Errorf(kiln.NotFound, "%s was not added: an interpreter that this machine has is not kiln's to remove", identifier)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove runtime %s: %w", identifier, err)
	}
	b.forget(identifier)
	return nil
}

// canFetch reports whether Add knows where the runtime's interpreter is to be had.
func (b *Book) canFetch(d *descriptor) bool { return d.Family == "nodejs" }

func (b *Book) fetchedDir(identifier string) string {
	return filepath.Join(b.dir, "fetched", identifier)
}

// fetchedProgram gives the program that Add brought for an identifier, or "". Of
// several the newest counts.
func (b *Book) fetchedProgram(identifier string) string {
	matches, err := filepath.Glob(filepath.Join(b.fetchedDir(identifier), "[0-9]*", "bin", "node"))
	if err != nil || len(matches) == 0 {
		return ""
	}
	sort.Slice(matches, func(i, j int) bool { return naturalLess(matches[i], matches[j]) })
	return matches[len(matches)-1]
}
