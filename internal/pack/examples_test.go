package pack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"kiln/internal/pack"
)

// The examples are starters with nothing changed, so that what a new user reads is
// what kiln init gives.
func TestExamplesAreWhatInitWrites(t *testing.T) {
	for _, language := range pack.Starters() {
		dir := t.TempDir()
		files, err := pack.WriteStarter(dir, language)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			want, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("..", "..", "examples", "hello-"+language, name)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
				continue
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from the starter in %s", path, language)
			}
		}
	}
}
