package rootfs_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

// withLayers gives a function whose layers are zips, in this order.
func withLayers(t testing.TB, b *blobs, zips ...[]byte) *kiln.Version {
	t.Helper()
	v := b.add(zipOf(t, item{name: "index.py", body: "1"}))
	for _, text := range zips {
		v.Config.Layers = append(v.Config.Layers, kiln.LayerUse{Package: b.add(text).Package})
	}
	return v
}

// optOf prepares a function and gives the host's directory that it sees at /opt.
func optOf(t testing.TB, c *rootfs.Cache, v *kiln.Version) (string, error) {
	t.Helper()
	r, err := c.Prepare(t.Context(), v, kiln.Runtime{})
	if err != nil {
		return "", err
	}
	last := r.Mounts[len(r.Mounts)-1]
	if last.Target != "/opt" {
		t.Errorf("the last mount is at %s", last.Target)
	}
	return last.Source, nil
}

// tree lists what is in a directory: names with the contents of files and the targets
// of links.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			out[name] = "dir"
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(p)
			out[name] = "-> " + to
			return err
		default:
			text, err := os.ReadFile(p)
			out[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAFunctionWithoutLayersHasNoMountForThem(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	if _, err := prepare(t, c, withLayers(t, b)); err != nil {
		t.Fatal(err)
	}
}

func TestLaterLayersLieOverEarlierOnes(t *testing.T) {
	b := &blobs{}
	c, dir := openCache(t, b)
	low := zipOf(t, item{name: "python/both.py", body: "low"}, item{name: "python/low.py", body: "low"}, item{"bin/tool", "low", 0o755}, link("bin/t", "tool"))
	high := zipOf(t, item{name: "python/both.py", body: "high"}, item{"python/high.py", "high", 0o600})
	top := zipOf(t, item{name: "bin/tool", body: "top"})
	opt, err := optOf(t, c, withLayers(t, b, low, high, top))
	if err != nil {
		t.Fatal(err)
	}
	got := tree(t, opt)
	for name, want := range map[string]string{
		"python": "dir", "python/both.py": "high", "python/low.py": "low", "python/high.py": "high", "bin": "dir", "bin/tool": "top", "bin/t": "-> tool",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("there is more: %v", got)
	}
	for name, want := range map[string]fs.FileMode{"bin/tool": 0o644, "python/high.py": 0o600, ".": fs.ModeDir | 0o755, "python": fs.ModeDir | 0o755} {
		if info, err := os.Lstat(filepath.Join(opt, name)); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	other, err := optOf(t, c, withLayers(t, b, high, low, top))
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, other)["python/both.py"]; got != "low" || other == opt {
		t.Errorf("in the other order there is %q in %s", got, other)
	}
	if left := names(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
}

func TestLayersAreOnTheDiskOnce(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	one, two := zipOf(t, item{name: "a", body: strings.Repeat("x", 1<<20)}), zipOf(t, item{name: "b", body: "2"})
	alone, err := optOf(t, c, withLayers(t, b, one))
	if err != nil {
		t.Fatal(err)
	}
	both, err := optOf(t, c, withLayers(t, b, one, two))
	if err != nil {
		t.Fatal(err)
	}
	x, err := os.Stat(filepath.Join(alone, "a"))
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(filepath.Join(both, "a"))
	if err != nil || !os.SameFile(x, y) {
		t.Errorf("the file is there twice, %v", err)
	}
	opened := b.opened.Load()
	again, err := optOf(t, c, withLayers(t, b, one, two))
	if err != nil || again != both || b.opened.Load() != opened {
		t.Errorf("the same list again: %s instead of %s, %d packages read, %v", again, both, b.opened.Load()-opened, err)
	}
}

func TestWhereAFileMeetsADirectoryTheLaterLayerHasIt(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	file := func(name, body string) []byte { return zipOf(t, item{name: name, body: body}) }
	for _, x := range []struct {
		name      string
		low, high []byte
		want      map[string]string
	}{
		{"a file over a directory", file("a/b/c", "low"), file("a", "high"), map[string]string{"a": "high"}},
		{"a directory over a file", file("a", "low"), file("a/b/c", "high"), map[string]string{"a": "dir", "a/b": "dir", "a/b/c": "high"}},
		{"a link over a directory", file("a/b", "low"), zipOf(t, link("a", "elsewhere")), map[string]string{"a": "-> elsewhere"}},
		{"a directory over a link", zipOf(t, link("a", "d"), item{name: "d/x", body: "low"}), file("a/x", "high"), map[string]string{"a": "dir", "a/x": "high", "d": "dir", "d/x": "low"}},
		{"a file over a link", zipOf(t, link("a", "d"), item{name: "d", body: "low"}), file("a", "high"), map[string]string{"a": "high", "d": "low"}},
		{"a link over a file", file("a", "low"), zipOf(t, link("a", "b")), map[string]string{"a": "-> b"}},
	} {
		opt, err := optOf(t, c, withLayers(t, b, x.low, x.high))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		got := tree(t, opt)
		if len(got) != len(x.want) {
			t.Errorf("%s: got %v, want %v", x.name, got, x.want)
		}
		for name, want := range x.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", x.name, name, got[name], want)
			}
		}
	}
}

// TestC11NoLayerWritesThroughALinkOfAnother lays a file below what another layer has as
// a link, to a directory of its own, of the host and of the function: nothing may
// appear there.
func TestC11NoLayerWritesThroughALinkOfAnother(t *testing.T) {
	for _, target := range []string{"/tmp", "/var/task", "/opt/d", "d", "d/e/.."} {
		b := &blobs{}
		c, dir := openCache(t, b)
		mine := zipOf(t, link("a", target), item{name: "d/e/f", body: "mine"})
		evil := zipOf(t, item{name: "a/kiln-evil", body: "evil"}, item{name: "a/f", body: "evil"})
		for _, order := range [][][]byte{{mine, evil}, {evil, mine}} {
			opt, err := optOf(t, c, withLayers(t, b, order...))
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			if got := tree(t, opt)["d/e/f"]; got != "mine" {
				t.Errorf("%s: the neighbour's file is %q", target, got)
			}
			found := 0
			_ = filepath.WalkDir(filepath.Dir(dir), func(p string, d fs.DirEntry, err error) error {
				if err == nil && d.Name() == "kiln-evil" {
					if found++; filepath.Base(filepath.Dir(p)) != "a" {
						t.Errorf("%s: %s was written", target, p)
					}
				}
				return nil
			})
			if found == 0 {
				t.Errorf("%s: the file was not written anywhere", target)
			}
			for _, place := range []string{"/tmp/kiln-evil", "/var/task/kiln-evil", "/opt/d/kiln-evil"} {
				if _, err := os.Lstat(place); err == nil {
					t.Errorf("%s was written", place)
				}
			}
		}
	}
}

func TestC02ALayerIsHeldToWhatCodeIsHeldTo(t *testing.T) {
	b := &blobs{}
	c, dir := openCache(t, b)
	good := zipOf(t, item{name: "x", body: "1"})
	for name, evil := range map[string][]byte{
		"a link out":      zipOf(t, link("a", "/etc/passwd")),
		"a name that out": rawZip(stored("../x", "evil")),
		"not a zip":       []byte("PK nothing"),
	} {
		_, err := optOf(t, c, withLayers(t, b, good, evil))
		if kiln.CodeOf(err) != kiln.BadPackage {
			t.Errorf("%s: got %v, want BadPackage", name, err)
		}
	}
	if left := names(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
}

func TestAFailingDiskLeavesNothingOfLayers(t *testing.T) {
	for _, op := range []string{"mkdir", "link", "rename"} {
		b := &blobs{}
		c, dir := openCache(t, b)
		one, two := zipOf(t, item{name: "a/b", body: "1"}), zipOf(t, item{name: "c/d", body: "2"})
		v := withLayers(t, b, one, two)
		for _, layer := range v.Config.Layers { // in place already: what fails is the rest
			if _, err := optOf(t, c, &kiln.Version{Package: v.Package, Config: kiln.Config{Layers: []kiln.LayerUse{layer}}}); err != nil {
				t.Fatal(err)
			}
		}
		hit := false
		c.Fail(func(o, name string) error {
			if o != op {
				return nil
			}
			hit = true
			return &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
		})
		_, err := optOf(t, c, v)
		if kiln.CodeOf(err) != kiln.Unavailable || !hit || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: got %v (happened: %v)", op, err, hit)
		}
		if left := names(t, filepath.Join(dir, "tmp")); len(left) > 0 {
			t.Errorf("%s: %q was left", op, left)
		}
		c.Fail(nil)
		if _, err := optOf(t, c, v); err != nil {
			t.Errorf("%s: once the disk works again: %v", op, err)
		}
	}
}

func TestManyFunctionsShareOneMakingOfTheirLayers(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	v := withLayers(t, b, sample(t), zipOf(t, item{name: "z", body: "1"}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if opt, err := optOf(t, c, v); err != nil || tree(t, opt)["z"] != "1" {
				t.Errorf("%s: %v", opt, err)
			}
		})
	}
	all.Wait()
	if got := b.opened.Load(); got != 3 {
		t.Errorf("packages were opened %d times, want 3", got)
	}
}

func TestACallerWhoGivesUpLeavesNoLayers(t *testing.T) {
	b := &blobs{}
	c, dir := openCache(t, b)
	ctx, stop := context.WithCancel(t.Context())
	c.Fail(func(op, _ string) error {
		if op == "link" {
			stop()
		}
		return nil
	})
	v := withLayers(t, b, sample(t), sample(t))
	v.Config.Layers[1].Package = b.add(zipOf(t, item{name: "q/1", body: "1"}, item{name: "q/2", body: "1"})).Package
	if _, err := c.Prepare(ctx, v, kiln.Runtime{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if left := names(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
	c.Fail(nil)
	if _, err := optOf(t, c, v); err != nil {
		t.Error(err)
	}
}

func TestGCRemovesLayersThatNobodyHasTogether(t *testing.T) {
	b := &blobs{}
	c, dir := openCache(t, b)
	v := withLayers(t, b, zipOf(t, item{name: "a", body: "1"}), zipOf(t, item{name: "b", body: "2"}))
	if _, err := optOf(t, c, v); err != nil {
		t.Fatal(err)
	}
	together := kiln.LayersDigest(v.Config.Layers)
	if err := c.GC(func(sha string) bool { return sha != together }); err != nil {
		t.Fatal(err)
	}
	left := names(t, filepath.Join(dir, "code-1"))
	if slices.Contains(left, together) || len(left) != 3 {
		t.Errorf("after GC there is %q", left)
	}
	if opt, err := optOf(t, c, v); err != nil || tree(t, opt)["b"] != "2" {
		t.Errorf("made again: %v", err)
	}
}
