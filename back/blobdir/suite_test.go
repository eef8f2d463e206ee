package blobdir_test

import (
	"testing"

	"kiln/back/blobdir"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

var _ catalog.Blobs = (*blobdir.Dir)(nil)

func open(t *testing.T, path string, o blobdir.Options) *blobdir.Dir {
	t.Helper()
	d, err := blobdir.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirKeepsTheContract(t *testing.T) {
	storetest.BlobSuite(t, func(t *testing.T) catalog.Blobs {
		return open(t, t.TempDir(), blobdir.Options{Grace: -1})
	})
}
