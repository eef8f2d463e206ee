package rootfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever tangle of links a package has: when it is taken, the kernel's own way of
// following them never leaves its directory.
func TestNoTangleOfLinksThatIsTakenLeadsOut(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "d", "e", "..", "..", "."})
	target := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "/")
	})
	place := rapid.SampledFrom([]string{"a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b"})
	taken, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		items := []item{{name: "d/e/file", body: "1"}}
		for name, to := range rapid.MapOfN(place, target, 1, 4).Draw(rt, "links") {
			items = append(items, link(name, to))
		}
		text := zipOf(t, items...)
		if _, err := inspect(text); err != nil {
			refused++
			return
		}
		taken++
		b := &blobs{}
		c, _ := openCache(t, b)
		dir, err := prepare(t, c, b.add(text))
		if err != nil {
			rt.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer root.Close()
		err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			if _, err := root.Stat(rel); err != nil && strings.Contains(err.Error(), "escapes") {
				to, _ := os.Readlink(name)
				rt.Errorf("%s leads out to %s", rel, to)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d packages were taken and %d refused, want some of both", taken, refused)
	}
}
