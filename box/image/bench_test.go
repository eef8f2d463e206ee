package image_test

import (
	"archive/tar"
	"fmt"
	"path/filepath"
	"testing"

	"kiln/box/image"
)

// BenchmarkImageOf20000Files measures both halves of what is done for an image: the
// unpacking of its layers, and the linking of its root from layers that are there.
func BenchmarkImageOf20000Files(b *testing.B) {
	base := newImage()
	for l := range 4 {
		var entries []tar.Header
		for n := range 5000 {
			entries = append(entries, file(fmt.Sprintf("usr/lib/python3/site-packages/p%d/l%d/f%d.py", n%50, l, n), "some code of a module\n"))
		}
		base.layer(b, "gzip", entries...)
	}
	b.Run("unpack", func(b *testing.B) {
		ref := "oci:" + base.layout(b)
		for b.Loop() {
			pull(b, openIn(b, b.TempDir(), image.Options{}), ref)
		}
	})
	b.Run("link", func(b *testing.B) {
		s := openIn(b, b.TempDir(), image.Options{})
		i := pull(b, s, "oci:"+base.layout(b))
		for n := 0; b.Loop(); n++ {
			if err := s.Materialise(b.Context(), i.Digest, filepath.Join(b.TempDir(), "root")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
