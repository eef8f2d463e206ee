package watch_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/internal/watch"
)

// both runs a test with the kernel's notifications and by polling.
func both(t *testing.T, f func(t *testing.T, poll time.Duration)) {
	t.Helper()
	t.Run("notified", func(t *testing.T) { f(t, 0) })
	t.Run("polling", func(t *testing.T) { f(t, 20*time.Millisecond) })
}

func start(t *testing.T, dir string, poll time.Duration) *watch.Watcher {
	t.Helper()
	w, err := watch.Start(t.Context(), dir, watch.Options{Poll: poll, Skip: func(p string) bool {
		return filepath.Base(p) == ".git" || strings.HasSuffix(p, "~")
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Polling(); err != nil {
		t.Fatalf("it polls, because %v", err)
	}
	return w
}

// expect reads changes until all these files were told of, and fails on any other.
func expect(t *testing.T, w *watch.Watcher, files ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for missing := slices.Clone(files); len(missing) > 0; {
		select {
		case c := <-w.Changes():
			if c.Seen.IsZero() || len(c.Files) == 0 {
				t.Fatalf("got %+v", c)
			}
			for _, f := range c.Files {
				if !slices.Contains(files, f) {
					t.Errorf("told of %s, want only %v", f, files)
				}
				missing = slices.DeleteFunc(missing, func(s string) bool { return s == f })
			}
		case <-deadline:
			t.Fatalf("not told of %v", missing)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenMadeMovedAndRemovedIsTold(t *testing.T) {
	both(t, func(t *testing.T, poll time.Duration) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "app.py"), "1")
		write(t, filepath.Join(dir, "lib", "x.py"), "1")
		w := start(t, dir, poll)
		write(t, filepath.Join(dir, "app.py"), "22")
		expect(t, w, "app.py")
		write(t, filepath.Join(dir, "lib", "x.py"), "333")
		expect(t, w, "lib/x.py")
		write(t, filepath.Join(dir, "new", "deep", "y.py"), "1")
		expect(t, w, "new/deep/y.py")
		write(t, filepath.Join(dir, "new", "deep", "y.py"), "22") // in a folder that was not there before
		expect(t, w, "new/deep/y.py")
		if err := os.Rename(filepath.Join(dir, "lib"), filepath.Join(dir, "bib")); err != nil {
			t.Fatal(err)
		}
		expect(t, w, "lib/x.py", "bib/x.py")
		if err := os.RemoveAll(filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		expect(t, w, "new/deep/y.py")
		write(t, filepath.Join(dir, "app.py.tmp"), "4444") // as editors save
		if err := os.Rename(filepath.Join(dir, "app.py.tmp"), filepath.Join(dir, "app.py")); err != nil {
			t.Fatal(err)
		}
		for told := false; !told; {
			c := <-w.Changes()
			told = slices.Contains(c.Files, "app.py")
		}
	})
}

func TestWhatIsSkippedIsNotTold(t *testing.T) {
	both(t, func(t *testing.T, poll time.Duration) {
		dir := t.TempDir()
		w := start(t, dir, poll)
		write(t, filepath.Join(dir, ".git", "index"), "1")
		write(t, filepath.Join(dir, "app.py~"), "1")
		write(t, filepath.Join(dir, "sub", ".git", "index"), "1")
		write(t, filepath.Join(dir, "last.py"), "1")
		expect(t, w, "last.py") // and nothing else
	})
}

func TestAFolderThatIsMadeAnewIsWatchedOn(t *testing.T) {
	both(t, func(t *testing.T, poll time.Duration) {
		dir := filepath.Join(t.TempDir(), "dist")
		write(t, filepath.Join(dir, "a.js"), "1")
		w := start(t, dir, poll)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		expect(t, w, "a.js")
		write(t, filepath.Join(dir, "b.js"), "1")
		expect(t, w, "b.js")
		write(t, filepath.Join(dir, "b.js"), "22")
		expect(t, w, "b.js")
	})
}

func TestFilesAreNoFolderAndNothingIsNone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for _, name := range []string{"file", "missing"} {
		if _, err := watch.Start(t.Context(), filepath.Join(dir, name), watch.Options{}); err == nil {
			t.Errorf("%s is watched", name)
		}
	}
}
