package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// ImageRoot is the root directory of a container image that is to serve a runtime.
type ImageRoot struct {
	Dir       string // moved away by Import; on the file system of the data directory
	Reference string // of the image, for people
	Digest    string // of the image, hex
	Env       map[string]string
}

// imported is what is kept of an image beside its root directory.
type imported struct {
	Reference string
	Digest    string
	// Client is true when the image brings AWS's own client of the Runtime API; else
	// kiln's bootstrap runs on Interpreter.
	Client      bool
	Interpreter string // its path inside; "" when it was not looked for
	Env         map[string]string
}

const (
	importedFile = "image.json"
	// awsClient is what AWS's base images start, and kiln with them.
	awsClient = runtimeDir + "/bootstrap"
)

// MayImport says why an image cannot serve a runtime, or nil.
func (b *Book) MayImport(identifier string) error {
	d, ok := b.descriptors[identifier]
	switch {
	case !ok:
		return kiln.Errorf(kiln.NotFound, "there is no runtime %q", identifier)
	case d.needsNothing():
		return kiln.Errorf(kiln.Conflict, "%s needs nothing: the function brings its own program", identifier)
	case b.options.HostOnly:
		return kiln.Errorf(kiln.Unsupported, "the root of an image can only be used where sandboxes have a filesystem of their own (--sandbox linux)")
	}
	return nil
}

// needsNothing reports whether functions of a runtime bring their own program.
func (d *descriptor) needsNothing() bool { return d.Family == "provided" || d.Family == "go" }

// Import makes the root directory of an image the base of a runtime, in the place of
// what served it before, and proves that its language is of the right version. An AWS
// base image runs its own client; in any other one, kiln's bootstrap runs on the
// interpreter that the image has.
func (b *Book) Import(ctx context.Context, identifier string, from ImageRoot) error {
	if err := b.MayImport(identifier); err != nil {
		return err
	}
	d := b.descriptors[identifier]
	select {
	case b.adding <- struct{}{}:
		defer func() { <-b.adding }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	home := b.fetchedDir(identifier)
	target := filepath.Join(home, "image-"+from.Digest[:16])
	if !isDir(target) {
		work, err := newWork(home)
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start
		if err := b.takeRoot(d, from, work); err != nil {
			return err
		}
		syncDisk()
		if err := os.Rename(work, target); err != nil {
			return err
		}
	}
	b.forget(identifier)
	_, err := b.servedBy(ctx, d, target)
	if err != nil {
		return errors.Join(kiln.Errorf(kiln.Invalid, "the image %s cannot serve %s: %w", from.Reference, identifier, err), os.RemoveAll(target))
	}
	return b.discardOthers(identifier, home, target)
}

// takeRoot moves a root directory to its place and notes what it is good for.
func (b *Book) takeRoot(d *descriptor, from ImageRoot, work string) error {
	root := filepath.Join(work, "root")
	if err := os.Rename(from.Dir, root); err != nil {
		return err
	}
	i := imported{Reference: from.Reference, Digest: from.Digest, Env: from.Env}
	i.Client = executableIn(root, awsClient)
	if f := families[d.Family]; f != nil {
		i.Interpreter = findIn(root, from.Env["PATH"], f.programs(d.Version))
	}
	if !i.Client && i.Interpreter == "" {
		return kiln.Errorf(kiln.Invalid, "the image %s cannot serve %s: it has neither %s nor %s %s", from.Reference, d.Identifier, awsClient, d.language(), d.Version)
	}
	boot := filepath.Join(work, "runtime")
	if !i.Client {
		if err := openBootstrap(d.Family).write(boot); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(i, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(work, importedFile), text, 0o644), makeDir(work))
}

// findIn gives the path inside a root directory of the first of some programs that the
// search path has, "" when it has none.
func findIn(root, search string, programs []string) string {
	if search == "" {
		search = "/usr/local/bin:/usr/bin:/bin"
	}
	for _, name := range programs {
		for _, dir := range append([]string{langDir + "/bin"}, strings.Split(search, ":")...) {
			if place := path.Join("/", dir, name); executableIn(root, place) {
				return place
			}
		}
	}
	return ""
}

// executableIn reports whether a path inside a root directory leads to a program.
func executableIn(root, name string) bool {
	place, err := insideRoot(root, name)
	if err != nil {
		return false
	}
	info, err := os.Stat(place)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o005 == 0o005
}

// serves gives what serves a runtime from an image: from memory while it is there as
// it was. nil is that no image was added for it.
func (b *Book) serves(ctx context.Context, d *descriptor) (*serving, error) {
	if d.needsNothing() {
		return nil, nil
	}
	if s := b.remembered(d); s != nil {
		if s.runtime.Whole {
			return s, nil
		}
		return nil, nil
	}
	s, err := b.imported(ctx, d)
	if s == nil || err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.served[d.Identifier], b.used[d.Identifier] = s, true
	return s, nil
}

// imported gives what serves a runtime from an image, nil when no image was added for
// it.
func (b *Book) imported(ctx context.Context, d *descriptor) (*serving, error) {
	found, err := filepath.Glob(filepath.Join(b.fetchedDir(d.Identifier), "image-*", importedFile))
	if err != nil || len(found) == 0 || b.options.HostOnly {
		return nil, err
	}
	return b.servedBy(ctx, d, filepath.Dir(found[0]))
}

// servedBy gives what serves a runtime from the directory of an image, once it was
// checked in a box.
func (b *Book) servedBy(ctx context.Context, d *descriptor, dir string) (*serving, error) {
	file := filepath.Join(dir, importedFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var i imported
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s, err := stampOf(file)
	if err != nil {
		return nil, err
	}
	rt := d.fromImage(dir, &i)
	if err := b.checkImage(ctx, d, rt, &i, file, s); err != nil {
		return nil, err
	}
	return &serving{runtime: rt, program: file, stamp: s, source: i.Reference + " (image)"}, nil
}

// fromImage gives the runtime that the root of an image makes.
func (d *descriptor) fromImage(dir string, i *imported) kiln.Runtime {
	rt := d.runtime()
	rt.Root, rt.Whole, rt.Links = filepath.Join(dir, "root"), true, nil
	rt.Release = d.Family + ":" + strings.TrimSuffix(d.Version, ".x") + ".image." + i.Digest[:12]
	rt.ReleaseARN = releaseARN(i.Digest)
	maps.Copy(rt.Env, i.Env)
	if i.Client {
		rt.Command, rt.HeapFlag = []string{awsClient}, ""
		return rt
	}
	rt.Command = slices.Clone(rt.Command)
	rt.Command[0] = i.Interpreter
	rt.Mounts = []kiln.RuntimeMount{{Source: filepath.Join(dir, "runtime"), Target: runtimeDir}}
	return rt
}

// checkImage proves that the language of an image is of the right version, in a box,
// once. Where there is no box it is believed until there is one.
func (b *Book) checkImage(ctx context.Context, d *descriptor, rt kiln.Runtime, i *imported, file string, s stamp) error {
	question := versionQuestion(d.Family, d.Version)
	if b.options.Check == nil || question == nil || i.Interpreter == "" {
		return nil
	}
	known := b.records.get(file, s)
	if known == nil {
		known = &record{Stamp: s}
	}
	if known.passed("box " + rt.ReleaseARN) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := b.options.Check(ctx, rt, append([]string{i.Interpreter}, question...)); err != nil {
		return fmt.Errorf("its %s %s is not version %s: %w", d.language(), i.Interpreter, d.Version, err)
	}
	b.keep(file, known.withPass("box", rt.ReleaseARN))
	return nil
}

// versionQuestion gives the arguments by which an interpreter succeeds only when it is
// of a version, and else says which it is; nil where the language is not asked.
func versionQuestion(family, version string) []string {
	switch family {
	case "python":
		return []string{"-c", "import sys; v = '%d.%d' % sys.version_info[:2]; v == '" + version + "' or sys.exit('it is ' + v)"}
	case "nodejs":
		return []string{"-e", "const v = process.versions.node; if (v.split('.')[0] !== '" + strings.TrimSuffix(version, ".x") + "') { console.error('it is ' + v); process.exit(1) }"}
	case "ruby":
		return []string{"-e", "abort('it is ' + RUBY_VERSION) unless RUBY_VERSION.start_with?('" + version + ".')"}
	case "java":
		return []string{"-version"}
	}
	return nil
}
