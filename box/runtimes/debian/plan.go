package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// Request says what a root is made of.
type Request struct {
	Suite string
	// Packages are wanted, with all that they need.
	Packages []string
	// IfThere are wanted where the suite has them.
	IfThere []string
	// Omit are packages that are not needed although others say so, such as those
	// that only maintainer scripts use.
	Omit []string
}

// Plan is exactly which packages a root will be made of.
type Plan struct {
	archive *Archive
	request Request
	parcels []*parcel
	lists   []string // digests of the lists of packages that it was made from
}

// Package is one package of a plan.
type Package struct {
	Name, Version, SHA256 string
}

// layoutVersion changes when another root is made of the same packages.
const layoutVersion = "1"

// Plan asks the mirror for the suite's index, and for that of its security updates
// where the machine's apt has them, and works out what a root needs.
func (a *Archive) Plan(ctx context.Context, r Request) (*Plan, error) {
	o, err := a.origin(r.Suite)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.options.Downloads, 0o700); err != nil {
		return nil, err
	}
	s := &shelf{parcels: make(map[string]*parcel)}
	p := &Plan{archive: a, request: r}
	if err := a.list(ctx, o, s, p); err != nil {
		return nil, stopped(ctx, err)
	}
	updates, found, err := a.security(r.Suite)
	if err != nil {
		return nil, err
	}
	if found {
		err := a.list(ctx, updates, s, p)
		switch {
		case isNotFound(err):
			a.log.Info("the mirror has no security updates of this suite", "suite", r.Suite)
		case err != nil:
			return nil, stopped(ctx, err)
		}
	}
	s.index()
	p.parcels, err = s.resolve(r.Packages, r.IfThere, r.Omit)
	if err != nil {
		return nil, kiln.Errorf(kiln.Unavailable, "Debian %s at this mirror: %w", r.Suite, err)
	}
	return p, nil
}

// list takes the packages of a suite in.
func (a *Archive) list(ctx context.Context, o origin, s *shelf, p *Plan) error {
	r, err := a.release(ctx, o)
	if err != nil {
		return err
	}
	f, names, err := r.packages()
	if err != nil {
		return err
	}
	p.lists = append(p.lists, f.sha256)
	path, err := a.fetch(ctx, o, f, names, func(int64) {})
	if err != nil {
		return err
	}
	if err := readList(path, filepath.Ext(f.name), func(text io.Reader) error { return s.add(text, r) }); err != nil {
		return unavailable("the list of packages of Debian %s is not understood: %w", o.suite, err)
	}
	return nil
}

// readList reads a compressed list of packages.
func readList(path, form string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, end, err := decompress(f, form)
	if err != nil {
		return err
	}
	defer end()
	return read(text)
}

// Packages lists what the root will be made of, by name.
func (p *Plan) Packages() []Package {
	all := make([]Package, 0, len(p.parcels))
	for _, q := range p.parcels {
		all = append(all, Package{Name: q.name, Version: q.version, SHA256: q.file.sha256})
	}
	return all
}

// Digest names the root that will be made: the same for the same packages.
func (p *Plan) Digest() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "debian root %s\n%s\n%s\n", layoutVersion, p.request.Suite, architecture())
	for _, q := range p.parcels {
		fmt.Fprintf(sum, "%s %s %s\n", q.name, q.version, q.file.sha256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Bytes is how much there is to fetch when nothing is here yet.
func (p *Plan) Bytes() int64 {
	var n int64
	for _, q := range p.parcels {
		n += q.file.size
	}
	return n
}

// Fill fetches the packages, unpacks them into an empty directory and writes what
// their maintainer scripts would have. A directory that was begun and not finished
// is of no use; what was downloaded is.
func (p *Plan) Fill(ctx context.Context, dir string, progress func(done, total int64)) error {
	total := p.Bytes()
	progress(0, total)
	debs, err := p.archive.fetchAll(ctx, p.parcels, func(done int64) { progress(done, total) })
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := newUnpacker(root)
	for i, q := range p.parcels {
		if err := u.unpack(ctx, q, debs[i]); err != nil {
			return stopped(ctx, err)
		}
	}
	if err := settle(root); err != nil {
		return fmt.Errorf("set up the root: %w", err)
	}
	return nil
}

// Forget removes the downloads that the root was made of.
func (p *Plan) Forget() error {
	var errs []error
	digests := slices.Clone(p.lists)
	for _, q := range p.parcels {
		digests = append(digests, q.file.sha256)
	}
	for _, digest := range digests {
		err := os.Remove(filepath.Join(p.archive.options.Downloads, digest))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// String gives the suite and its packages in one line, for logs.
func (p *Plan) String() string {
	names := make([]string, 0, len(p.parcels))
	for _, q := range p.parcels {
		names = append(names, q.name+"="+q.version)
	}
	return "debian " + p.request.Suite + ": " + strings.Join(names, " ")
}
