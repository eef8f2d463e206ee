package blobdir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/back/blobdir"
)

// nth fails the n-th operation of a kind with err; hit tells whether it came to it.
func nth(kind string, n int, err error, hit *bool) func(op, name string) error {
	return func(op, name string) error {
		if op != kind {
			return nil
		}
		if n--; n == 0 {
			*hit = true
			return &os.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAPutThatTheDiskFailsLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		op     string
		n      int
		err    error
		passes bool // the next put works
	}{
		{"create", 1, syscall.ENOSPC, true},
		{"write", 1, syscall.ENOSPC, true},
		{"write", 7, syscall.ENOSPC, true},
		{"write", 3, syscall.EIO, true},
		{"close", 1, syscall.EIO, true},
		{"rename", 1, syscall.ENOSPC, true},
		{"sync", 1, syscall.EIO, false},
		{"syncdir", 1, syscall.EIO, false},
	} {
		dir := t.TempDir()
		d := open(t, dir, blobdir.Options{})
		hit := false
		d.Fail(nth(c.op, c.n, c.err, &hit))
		package1 := bytes.Repeat([]byte("x"), 1<<20)
		_, _, err := d.Put(t.Context(), bytes.NewReader(package1))
		if !hit {
			t.Fatalf("%s %d: never happened", c.op, c.n)
		}
		if err == nil || !errors.Is(err, c.err) {
			t.Errorf("%s %d: put gave %v, want %v", c.op, c.n, err, c.err)
		}
		if errors.Is(err, syscall.ENOSPC) && (kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), "no space is left")) {
			t.Errorf("%s %d: put gave %v, want Unavailable that names the cause", c.op, c.n, err)
		}
		for _, name := range files(t, dir) {
			if strings.HasPrefix(name, ".part-") {
				t.Errorf("%s %d: %s was left", c.op, c.n, name)
			}
		}
		d.Fail(nil)
		_, _, err = d.Put(t.Context(), bytes.NewReader(package1))
		if (err == nil) != c.passes {
			t.Errorf("%s %d: the next put gave %v, want that it works: %v", c.op, c.n, err, c.passes)
		}
		if !c.passes && kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("%s %d: the next put gave %v, want Unavailable", c.op, c.n, err)
		}
	}
}

func TestOpenRemovesWhatInterruptedUploadsLeft(t *testing.T) {
	dir := t.TempDir()
	sha, _, err := open(t, dir, blobdir.Options{}).Put(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".part-123", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, blobdir.Options{})
	if got, want := files(t, dir), []string{"README", sha}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func sorted(names []string) []string { slices.Sort(names); return names }

func TestADamagedPackageIsNotServedAndIsRepairedByAnUpload(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, blobdir.Options{})
	text := strings.Repeat("package ", 1000)
	sha, _, err := d.Put(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, sha)
	for name, damage := range map[string][]byte{
		"a flipped bit": append([]byte("Q"), text[1:]...),
		"cut":           []byte(text[:100]),
		"longer":        []byte(text + "!"),
		"empty":         {},
	} {
		if err := os.WriteFile(path, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := d.Open(sha)
		if !errors.Is(err, blobdir.ErrDamaged) || kiln.CodeOf(err) != kiln.BadPackage {
			t.Errorf("%s: open gave %v, want ErrDamaged", name, err)
		}
		if _, _, err := d.Put(t.Context(), strings.NewReader(text)); err != nil {
			t.Errorf("%s: the repair gave %v", name, err)
		}
		blob, size, err := d.Open(sha)
		if err != nil || size != int64(len(text)) {
			t.Errorf("%s: after the repair open gave %d bytes, %v", name, size, err)
			continue
		}
		blob.Close()
	}
}

func TestSweepSparesWhatIsYoung(t *testing.T) {
	now := time.Now()
	d := open(t, t.TempDir(), blobdir.Options{Grace: time.Minute, Now: func() time.Time { return now }})
	if _, _, err := d.Put(t.Context(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	none := func(string) bool { return false }
	now = now.Add(50 * time.Second)
	if n, err := d.Sweep(t.Context(), none); n != 0 || err != nil {
		t.Errorf("after 50 s sweep gave %d, %v", n, err)
	}
	// putting it again makes it young again
	if _, _, err := d.Put(t.Context(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(50 * time.Second)
	if n, err := d.Sweep(t.Context(), none); n != 0 || err != nil {
		t.Errorf("50 s after the second put sweep gave %d, %v", n, err)
	}
	now = now.Add(11 * time.Second)
	if n, err := d.Sweep(t.Context(), none); n != 1 || err != nil {
		t.Errorf("after the grace sweep gave %d, %v", n, err)
	}
}

func TestPackagesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "packages")
	sha, _, err := open(t, dir, blobdir.Options{}).Put(t.Context(), strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, sha): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %v, want %v", path, got, want)
		}
	}
}
