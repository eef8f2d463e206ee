package runtimes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// imageRoot makes the root directory of an image with some programs.
func imageRoot(t *testing.T, programs ...string) runtimes.ImageRoot {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	for _, name := range programs {
		place := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.WriteFile(place, []byte("#!"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return runtimes.ImageRoot{Dir: dir, Reference: "r.io/image@sha256:ab", Digest: strings.Repeat("ab", 32), Env: map[string]string{"PATH": "/opt/py/bin:/usr/bin", "MORE": "1"}}
}

// openEmpty opens a book that finds no interpreter on the machine.
func openEmpty(t *testing.T, data string, check func(context.Context, kiln.Runtime, []string) error) *runtimes.Book {
	t.Helper()
	b, err := runtimes.Open(runtimes.Options{DataDir: data, Places: []string{t.TempDir()}, Check: check})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entryOf(t *testing.T, b *runtimes.Book, identifier string) runtimes.Entry {
	t.Helper()
	for _, e := range b.List(t.Context()) {
		if e.Identifier == identifier {
			return e
		}
	}
	t.Fatalf("%s is not listed", identifier)
	return runtimes.Entry{}
}

func TestAnImageWithAnInterpreterServesARuntimeWithKilnsBootstrap(t *testing.T) {
	data := t.TempDir()
	var asked [][]string
	check := func(_ context.Context, rt kiln.Runtime, command []string) error {
		asked = append(asked, command)
		return nil
	}
	b := openEmpty(t, data, check)
	if err := b.Import(t.Context(), "python3.8", imageRoot(t, "opt/py/bin/python3", "usr/bin/python3.8")); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0][0] != "/usr/bin/python3.8" || !strings.Contains(asked[0][2], "'3.8'") {
		t.Errorf("the sandbox was asked %q", asked)
	}
	for range 2 { // a second book finds what the first one added, and asks no more
		rt, err := b.Runtime(t.Context(), "python3.8", "")
		if err != nil {
			t.Fatal(err)
		}
		if !rt.Whole || rt.Command[0] != "/usr/bin/python3.8" || rt.Env["MORE"] != "1" || len(rt.Mounts) != 1 || rt.Mounts[0].Target != "/var/runtime" {
			t.Errorf("the runtime is %+v", rt)
		}
		for _, name := range []string{filepath.Join(rt.Root, "usr/bin/python3.8"), filepath.Join(rt.Mounts[0].Source, "bootstrap.py")} {
			if _, err := os.Stat(name); err != nil {
				t.Error(err)
			}
		}
		if e := entryOf(t, b, "python3.8"); e.State != runtimes.Ready || e.Source != "r.io/image@sha256:ab (image)" {
			t.Errorf("it is listed as %+v", e)
		}
		b = openEmpty(t, data, check)
	}
	if len(asked) != 1 {
		t.Errorf("it was asked %d times", len(asked))
	}
	if err := b.Remove("python3.8"); err != nil {
		t.Fatal(err)
	}
	if e := entryOf(t, b, "python3.8"); e.State == runtimes.Ready {
		t.Errorf("after its removal it is listed as %+v", e)
	}
}

func TestAnImageWithAClientServesARuntimeThatNothingElseDoes(t *testing.T) {
	b := openEmpty(t, t.TempDir(), nil)
	if err := b.Import(t.Context(), "ruby4.0", imageRoot(t, "var/runtime/bootstrap")); err != nil {
		t.Fatal(err)
	}
	rt, err := b.Runtime(t.Context(), "ruby4.0", "")
	if err != nil || len(rt.Command) != 1 || rt.Command[0] != "/var/runtime/bootstrap" || len(rt.Mounts) != 0 || rt.HeapFlag != "" {
		t.Errorf("the runtime is %+v, %v", rt, err)
	}
}

func TestAnImageThatCannotServeARuntimeChangesNothing(t *testing.T) {
	data := t.TempDir()
	b := openEmpty(t, data, func(context.Context, kiln.Runtime, []string) error { return errors.New("it is 3.9") })
	for identifier, root := range map[string]runtimes.ImageRoot{
		"python3.8":       imageRoot(t, "usr/bin/python3.8"), // which says that it is another
		"ruby3.4":         imageRoot(t, "usr/bin/python3.8"),
		"provided.al2023": imageRoot(t, "bootstrap"),
		"cobol85":         imageRoot(t, "usr/bin/cobol"),
	} {
		if err := b.Import(t.Context(), identifier, root); err == nil {
			t.Errorf("%s was added", identifier)
		}
		if _, err := b.Runtime(t.Context(), identifier, ""); err == nil && identifier != "provided.al2023" {
			t.Errorf("%s is served", identifier)
		}
	}
	left, _ := filepath.Glob(filepath.Join(data, "runtimes/fetched/*/*"))
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
