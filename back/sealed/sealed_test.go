package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"kiln/back/sealed"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

func open(t *testing.T, under catalog.Store, key byte, prefixes ...string) *sealed.Store {
	t.Helper()
	s, err := sealed.New(under, [32]byte{key}, prefixes...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t *testing.T, s catalog.Store, key, value string) {
	t.Helper()
	if _, err := s.Commit(t.Context(), []catalog.Write{{Key: key, Value: []byte(value)}}); err != nil {
		t.Fatal(err)
	}
}

// all reads a store.
func all(ctx context.Context, s catalog.Store) (map[string]string, error) {
	got := map[string]string{}
	err := s.Scan(ctx, "", func(r catalog.Record) error { got[r.Key] = string(r.Value); return nil })
	return got, err
}

func TestItIsAStoreLikeAnyOther(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		under := &storetest.Store{}
		s := open(t, under, 1, "")
		return storetest.Subject{Store: s, Reopen: func() catalog.Store { return open(t, under, 1, "") }}
	})
}

func TestWhatLiesBelowIsNotReadableAndStaysInItsPlace(t *testing.T) {
	under := &storetest.Store{}
	commit(t, under, "v/before", "plain from before")
	s := open(t, under, 1, "v/")
	commit(t, s, "v/a", "secret")
	commit(t, s, "v/b", "secret")
	commit(t, s, "f/a", "open")
	lower, err := all(t.Context(), under)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"v/a", "v/b"} {
		if bytes.Contains([]byte(lower[key]), []byte("secret")) {
			t.Errorf("%s is readable: %q", key, lower[key])
		}
	}
	if lower["f/a"] != "open" || lower["v/a"] == lower["v/b"] {
		t.Errorf("got %q", lower)
	}
	upper, err := all(t.Context(), s)
	if err != nil || upper["v/a"] != "secret" || upper["v/b"] != "secret" || upper["f/a"] != "open" || upper["v/before"] != "plain from before" {
		t.Errorf("got %q, %v", upper, err)
	}

	if _, err := all(t.Context(), open(t, under, 2, "v/")); !errors.Is(err, sealed.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	moved := &storetest.Store{}
	commit(t, moved, "v/c", lower["v/a"])
	if _, err := all(t.Context(), open(t, moved, 1, "v/")); !errors.Is(err, sealed.ErrKey) {
		t.Errorf("a value of another record: %v", err)
	}
}
