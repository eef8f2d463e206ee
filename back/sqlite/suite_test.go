package sqlite_test

import (
	"path/filepath"
	"testing"

	"kiln/back/sqlite"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		path := filepath.Join(t.TempDir(), "a dir with ?#% in it", "catalog.db")
		s := open(t, path)
		return storetest.Subject{Store: s, Reopen: func() catalog.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, path)
		}}
	})
}
