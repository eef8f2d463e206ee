package rootfs_test

import (
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

// What every cold start asks for when the package is in place.
func BenchmarkPrepareInPlace(b *testing.B) {
	store := &blobs{}
	c, err := rootfs.Open(b.TempDir(), store, rootfs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	v := store.add(sample(b))
	for b.Loop() {
		if _, err := c.Prepare(b.Context(), v, kiln.Runtime{}); err != nil {
			b.Fatal(err)
		}
	}
}
