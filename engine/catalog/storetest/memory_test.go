package storetest_test

import (
	"testing"

	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Suite(t, func(*testing.T) storetest.Subject {
		s := &storetest.Store{}
		return storetest.Subject{Store: s, Reopen: func() catalog.Store { return s }}
	})
}

func TestMemoryBlobs(t *testing.T) {
	storetest.BlobSuite(t, func(*testing.T) catalog.Blobs { return &storetest.Blobs{} })
}
