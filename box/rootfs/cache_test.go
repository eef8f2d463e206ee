package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/box/rootfs"
)

func sample(t testing.TB) []byte {
	return zipOf(t, item{name: "index.py", body: strings.Repeat("print(1)\n", 20_000)}, item{"lib/a", "1", 0o755}, link("lib/b", "a"), item{name: "lib/empty/", mode: fs.ModeDir | 0o755})
}

func TestManyCallersShareOneUnpacking(t *testing.T) {
	b := &blobs{gate: make(chan struct{})}
	c, _ := openCache(t, b)
	v := b.add(sample(t))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := prepare(t, c, v); err != nil {
				t.Error(err)
			}
		})
	}
	close(b.gate)
	all.Wait()
	if got := b.opened.Load(); got != 1 {
		t.Errorf("the package was opened %d times, want once", got)
	}
	if _, err := prepare(t, c, v); err != nil || b.opened.Load() != 1 {
		t.Errorf("a later caller unpacked again, %v", err)
	}
}

func TestACallerMayGiveUpWaitingAndAnotherGoesOn(t *testing.T) {
	b := &blobs{gate: make(chan struct{})}
	c, _ := openCache(t, b)
	v := b.add(sample(t))
	first, stopFirst := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.Prepare(first, v, kiln.Runtime{})
		gone <- err
	}()
	for b.opened.Load() == 0 { // the first one is at work
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	second, stopSecond := context.WithCancel(t.Context())
	stopSecond()
	if _, err := c.Prepare(second, v, kiln.Runtime{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waited got %v, want %v", err, context.Canceled)
	}
	third := make(chan error, 1)
	go func() {
		_, err := c.Prepare(t.Context(), v, kiln.Runtime{})
		third <- err
	}()
	stopFirst()
	close(b.gate)
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the one at work got %v, want %v", err, context.Canceled)
	}
	if err := <-third; err != nil {
		t.Errorf("the one that stayed got %v", err)
	}
}

func TestAPackageThatIsNotStoredIsAnErrorEachTime(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	text := sample(t)
	v := (&blobs{}).add(text)
	if _, err := prepare(t, c, v); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("prepare gave %v, want NotFound", err)
	}
	b.add(text)
	if _, err := prepare(t, c, v); err != nil {
		t.Errorf("once it is stored prepare gave %v", err)
	}
	for _, sha := range []string{"", "../../etc", strings.Repeat("g", 64)} {
		if _, err := prepare(t, c, &kiln.Version{Package: kiln.Package{SHA256: sha}}); kiln.CodeOf(err) != kiln.BadPackage {
			t.Errorf("digest %q: %v", sha, err)
		}
	}
}

func TestAFailingDiskLeavesNothingHalfDone(t *testing.T) {
	text := sample(t)
	for _, op := range []string{"mkdir", "create", "write", "symlink", "rename"} {
		for n := 1; ; n++ {
			b := &blobs{}
			c, dir := openCache(t, b)
			v := b.add(text)
			var mu sync.Mutex
			left, hit := n, false
			c.Fail(func(o, name string) error {
				mu.Lock()
				defer mu.Unlock()
				if o != op {
					return nil
				}
				if left--; left != 0 {
					return nil
				}
				hit = true
				return &fs.PathError{Op: o, Path: name, Err: syscall.ENOSPC}
			})
			_, err := prepare(t, c, v)
			if !hit {
				if n == 1 {
					t.Errorf("%s never happened", op)
				}
				if err != nil {
					t.Errorf("%s: without a fault: %v", op, err)
				}
				break
			}
			if kiln.CodeOf(err) != kiln.Unavailable || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("%s %d: prepare gave %v, want Unavailable that names the cause", op, n, err)
			}
			if left := slices.Concat(names(t, filepath.Join(dir, "tmp")), names(t, filepath.Join(dir, "code-1"))); len(left) > 0 {
				t.Errorf("%s %d: %q was left", op, n, left)
			}
			c.Fail(nil)
			if _, err := prepare(t, c, v); err != nil {
				t.Errorf("%s %d: with space again: %v", op, n, err)
			}
		}
	}
}

func TestAFullDiskIsSaidAndPasses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	b := &blobs{}
	c, err := rootfs.Open(dir, b, rootfs.Options{Host: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Prepare(t.Context(), b.add(zipOf(t, item{name: "big", body: strings.Repeat("x", 3<<20)})), kiln.Runtime{})
	if kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("prepare gave %v, want Unavailable that names the cause", err)
	}
	if left := names(t, filepath.Join(dir, "rootfs", "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
	// what fits is taken: the space came back
	v := b.add(zipOf(t, item{name: "small", body: strings.Repeat("x", 1<<20)}))
	if err := os.Mkdir(filepath.Join(dir, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	c2, err := rootfs.Open(dir, b, rootfs.Options{Host: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c2.Prepare(t.Context(), v, kiln.Runtime{}); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

func TestC18OpenRemovesWhatWasHalfDone(t *testing.T) {
	b := &blobs{}
	dir := t.TempDir()
	c, err := rootfs.Open(dir, b, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := b.add(sample(t))
	code, err := prepare(t, c, v)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "rootfs", "tmp", "unpack-1", "d")
	if err := errors.Join(os.MkdirAll(half, 0o700), os.WriteFile(filepath.Join(half, "f"), []byte("half"), 0o000), os.Chmod(half, 0o500)); err != nil {
		t.Fatal(err)
	}
	if c, err = rootfs.Open(dir, b, rootfs.Options{}); err != nil {
		t.Fatal(err)
	}
	if left := names(t, filepath.Join(dir, "rootfs", "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
	opened := b.opened.Load()
	again, err := prepare(t, c, v)
	if err != nil || again != code || b.opened.Load() != opened {
		t.Errorf("what was complete was not used again: %s, %v", again, err)
	}
}

func TestAMachineThatStartsAgainUnpacksAnew(t *testing.T) {
	b := &blobs{}
	dir := t.TempDir()
	v := b.add(sample(t))
	opened := func(boot string) (*rootfs.Cache, int) {
		t.Helper()
		c, err := rootfs.Open(dir, b, rootfs.Options{Host: emptyHost(t), Boot: boot})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prepare(t, c, v); err != nil {
			t.Fatal(err)
		}
		return c, int(b.opened.Load())
	}
	opened("1")
	if _, n := opened("1"); n != 1 {
		t.Errorf("a server that started again unpacked anew")
	}
	c, n := opened("2")
	if n != 2 {
		t.Errorf("a machine that started again did not unpack anew")
	}
	if err := c.GC(func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, filepath.Join(dir, "rootfs")), []string{"base", "code-2", "tmp"}; !slices.Equal(got, want) {
		t.Errorf("after GC there is %q, want %q", got, want)
	}
}

func TestGCRemovesWhatIsNotKept(t *testing.T) {
	b := &blobs{}
	c, dir := openCache(t, b)
	one := b.add(zipOf(t, item{name: "one", body: "1"}))
	two := b.add(zipOf(t, item{"d/", "", fs.ModeDir | 0o100}, item{"d/two", "2", 0o400}))
	for _, v := range []*kiln.Version{one, two} {
		if _, err := prepare(t, c, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.GC(func(sha string) bool { return sha == one.Package.SHA256 }); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(dir, "code-1")); !slices.Equal(got, []string{one.Package.SHA256}) {
		t.Errorf("after GC there is %q", got)
	}
	if left := names(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("%q was left", left)
	}
	if _, err := prepare(t, c, two); err != nil {
		t.Errorf("after its removal prepare gave %v", err)
	}
}

func TestPrepareAndGCAgainstEachOther(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	v := b.add(sample(t))
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			if err := c.GC(func(string) bool { return false }); err != nil {
				t.Error(err)
			}
		}
	})
	for range 60 {
		if _, err := prepare(t, c, v); err != nil {
			t.Error(err)
		}
	}
	stop()
	all.Wait()
}

func TestGCSparesWhatWasUnwantedForAShortTimeOnly(t *testing.T) {
	now := time.Now()
	b := &blobs{}
	dir := t.TempDir()
	c, err := rootfs.Open(dir, b, rootfs.Options{Host: emptyHost(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	v := b.add(sample(t))
	code, err := prepare(t, c, v)
	if err != nil {
		t.Fatal(err)
	}
	gc := func(kept bool) (there bool) {
		if err := c.GC(func(string) bool { return kept }); err != nil {
			t.Error(err)
		}
		_, err := os.Lstat(code)
		return err == nil
	}
	for _, step := range []struct {
		after   time.Duration
		kept    bool
		prepare bool
		want    bool
	}{
		{after: 24 * time.Hour, want: true}, // unwanted from now on
		{after: 19 * time.Minute, want: true},
		{after: time.Minute, kept: true, want: true}, // wanted again
		{after: 24 * time.Hour, want: true},
		{after: 19 * time.Minute, prepare: true, want: true}, // a call came in between
		{after: 2 * time.Minute, want: true},
		{after: 17 * time.Minute, want: true},
		{after: time.Minute, want: false},
	} {
		now = now.Add(step.after)
		if step.prepare {
			if _, err := prepare(t, c, v); err != nil {
				t.Fatal(err)
			}
		}
		if got := gc(step.kept); got != step.want {
			t.Fatalf("%+v: there is %v", step, got)
		}
	}
}

func FuzzZip(f *testing.F) {
	f.Add(sample(f))
	f.Add(zipOf(f, link("a", "/etc"), item{name: "a/passwd", body: "x"}))
	f.Add(rawZip(stored("../x", "1"), stored("a\x00", "2")))
	inner := stored("b", "bbbb")
	outer := stored("a", string(append(inner.localHeader(), inner.data...)))
	inner.at = 31
	f.Add(rawZip(outer, inner))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := inspect(text)
		if err != nil {
			if kiln.CodeOf(err) != kiln.Invalid {
				t.Fatalf("inspect gave %v, want Invalid", err)
			}
			return
		}
		b := &blobs{}
		dir := t.TempDir()
		c, err := rootfs.Open(dir, b, rootfs.Options{Host: emptyHost(t)})
		if err != nil {
			t.Fatal(err)
		}
		code, err := prepare(t, c, b.add(text))
		if err != nil {
			t.Fatalf("inspect took it, prepare gave %v", err)
		}
		var size int64
		err = filepath.WalkDir(code, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if m := info.Mode(); !m.IsRegular() && !m.IsDir() && m.Type() != fs.ModeSymlink || m&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
				return fmt.Errorf("%s has mode %v", name, m)
			}
			if !d.IsDir() {
				size += info.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if size != n {
			t.Errorf("there are %d bytes, inspect counted %d", size, n)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"rootfs"}) {
			t.Errorf("the data directory holds %q", got)
		}
	})
}
