// Package storetest holds the contracts of catalog.Store and catalog.Blobs as tests
// that every implementation runs, and the simplest implementations of both, in
// memory, for the tests of others. It is not for the program.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"kiln/engine/catalog"
)

// Subject is a store under test.
type Subject struct {
	Store catalog.Store
	// Reopen ends the store as a crash would, or closes it, and gives it back with
	// what was durable; nil when nothing outlives the store.
	Reopen func() catalog.Store
}

// Suite runs the contract of catalog.Store against new, empty stores that open
// gives.
func Suite(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"a new store is empty", testEmpty},
		{"what was committed is scanned", testRoundTrip},
		{"records come in the order of their keys and only those with the prefix", testOrder},
		{"a commit is all or nothing", testAtomic},
		{"a write that expects another revision is stale", testExpect},
		{"a deleted record is gone and can be made again", testDelete},
		{"revisions grow over all records", testRevisions},
		{"of many writers to one record one wins each time", testContention},
		{"a scan sees one moment", testSnapshot},
		{"a scan ends with the error of its function", testScanError},
		{"a commit whose context has ended writes nothing", testCancelled},
		{"a thousand writes are one commit", testLarge},
		{"neither side shares bytes with the other", testNoSharing},
		{"what was committed is there after opening again", testReopen},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func testEmpty(t *testing.T, s Subject) {
	if got := scan(t, s.Store, ""); len(got) != 0 {
		t.Errorf("scan gave %v, want nothing", got)
	}
}

func testRoundTrip(t *testing.T, s Subject) {
	values := map[string]string{"a": "text", "b": "", "c": "\x00\xff\n'\"", "d": strings.Repeat("x", 1<<20)}
	for key, value := range values {
		commit(t, s.Store, catalog.Write{Key: key, Value: []byte(value)})
	}
	got := scan(t, s.Store, "")
	if len(got) != len(values) {
		t.Fatalf("scan gave %d records, want %d", len(got), len(values))
	}
	for _, r := range got {
		if string(r.Value) != values[r.Key] {
			t.Errorf("record %q has %d bytes, want %d", r.Key, len(r.Value), len(values[r.Key]))
		}
		if r.Revision == 0 {
			t.Errorf("record %q has revision 0", r.Key)
		}
	}
}

func testOrder(t *testing.T, s Subject) {
	keys := []string{"v/b", "v/a/10", "v/a/2", "v/a-b/1", "v/a", "f/x", "v", "v/A", "v/$LATEST", "w"}
	for _, k := range keys {
		commit(t, s.Store, catalog.Write{Key: k, Value: []byte("1")})
	}
	for _, prefix := range []string{"", "v", "v/", "v/a", "v/a/", "v/a/10", "v/a/100", "x", "f/"} {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		slices.Sort(want)
		var got []string
		for _, r := range scan(t, s.Store, prefix) {
			got = append(got, r.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("scan of %q gave %q, want %q", prefix, got, want)
		}
	}
}

func testAtomic(t *testing.T, s Subject) {
	commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("1")})
	before := scan(t, s.Store, "")
	_, err := s.Store.Commit(t.Context(), []catalog.Write{
		{Key: "b", Value: []byte("2")},
		{Key: "a", Value: []byte("2"), Expect: before[0].Revision},
		{Key: "c", Value: []byte("2"), Expect: 7_000_000}, // there is none
	})
	if !errors.Is(err, catalog.ErrStale) {
		t.Errorf("commit gave %v, want ErrStale", err)
	}
	same(t, scan(t, s.Store, ""), before)
}

func testExpect(t *testing.T, s Subject) {
	first := commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("1")})[0]
	second := commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("2"), Expect: first})[0]
	for _, w := range []catalog.Write{
		{Key: "a", Value: []byte("3")},
		{Key: "a", Value: []byte("3"), Expect: first},
		{Key: "a", Value: []byte("3"), Expect: second + 1},
		{Key: "a", Expect: first},
		{Key: "b", Expect: second},
	} {
		if _, err := s.Store.Commit(t.Context(), []catalog.Write{w}); !errors.Is(err, catalog.ErrStale) {
			t.Errorf("commit of %+v gave %v, want ErrStale", w, err)
		}
	}
	got := scan(t, s.Store, "")
	if len(got) != 1 || string(got[0].Value) != "2" || got[0].Revision != second {
		t.Errorf("store holds %v, want a=2 at %d", got, second)
	}
}

func testDelete(t *testing.T, s Subject) {
	first := commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("1")})[0]
	commit(t, s.Store, catalog.Write{Key: "a", Expect: first})
	if got := scan(t, s.Store, ""); len(got) != 0 {
		t.Errorf("after the deletion the store holds %v", got)
	}
	again := commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("2")})[0]
	if again <= first {
		t.Errorf("a record that was made again has revision %d, want more than %d", again, first)
	}
}

func testRevisions(t *testing.T, s Subject) {
	var last uint64
	for i := range 20 {
		for _, r := range commit(t, s.Store, catalog.Write{Key: fmt.Sprint("a", i), Value: []byte("1")}, catalog.Write{Key: fmt.Sprint("b", i), Value: []byte("1")}) {
			if r <= last {
				t.Fatalf("revision %d follows %d", r, last)
			}
			last = r
		}
	}
	for _, r := range scan(t, s.Store, "") {
		if r.Revision > last {
			t.Errorf("record %q has revision %d, want at most %d", r.Key, r.Revision, last)
		}
	}
}

func testContention(t *testing.T, s Subject) {
	const writers, rounds = 8, 25
	commit(t, s.Store, catalog.Write{Key: "n", Value: []byte("0")})
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < rounds; {
				r := scan(t, s.Store, "n")[0]
				n, _ := strconv.Atoi(string(r.Value))
				_, err := s.Store.Commit(t.Context(), []catalog.Write{{Key: "n", Value: []byte(strconv.Itoa(n + 1)), Expect: r.Revision}})
				if err != nil && !errors.Is(err, catalog.ErrStale) {
					t.Error(err)
					return
				}
				if err == nil {
					done++
				}
			}
		})
	}
	all.Wait()
	if got, want := string(scan(t, s.Store, "n")[0].Value), strconv.Itoa(writers*rounds); got != want {
		t.Errorf("counter is %s, want %s", got, want)
	}
}

func testSnapshot(t *testing.T, s Subject) {
	const records = 20
	var writes []catalog.Write
	for i := range records {
		writes = append(writes, catalog.Write{Key: fmt.Sprintf("k%02d", i), Value: []byte("0")})
	}
	revisions := commit(t, s.Store, writes...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			next := slices.Clone(writes)
			for i := range next {
				next[i].Value, next[i].Expect = []byte(strconv.Itoa(n)), revisions[i]
			}
			got, err := s.Store.Commit(context.WithoutCancel(ctx), next)
			if err != nil {
				t.Error(err)
				return
			}
			revisions = got
		}
	})
	for range 100 {
		got := scan(t, s.Store, "")
		for _, r := range got {
			if string(r.Value) != string(got[0].Value) {
				t.Errorf("one scan saw %s and %s", got[0].Value, r.Value)
			}
		}
	}
	stop()
	all.Wait()
}

func testScanError(t *testing.T, s Subject) {
	commit(t, s.Store, catalog.Write{Key: "a", Value: []byte("1")}, catalog.Write{Key: "b", Value: []byte("1")})
	enough := errors.New("enough")
	calls := 0
	err := s.Store.Scan(t.Context(), "", func(catalog.Record) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("scan gave %v after %d calls, want %v after 1", err, calls, enough)
	}
	commit(t, s.Store, catalog.Write{Key: "c", Value: []byte("1")}) // nothing is held
}

func testCancelled(t *testing.T, s Subject) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Store.Commit(ctx, []catalog.Write{{Key: "a", Value: []byte("1")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit gave %v, want %v", err, context.Canceled)
	}
	if got := scan(t, s.Store, ""); len(got) != 0 {
		t.Errorf("store holds %v, want nothing", got)
	}
}

func testLarge(t *testing.T, s Subject) {
	var writes []catalog.Write
	for i := range 1000 {
		writes = append(writes, catalog.Write{Key: fmt.Sprintf("k%04d", i), Value: []byte(strconv.Itoa(i))})
	}
	if got := len(commit(t, s.Store, writes...)); got != len(writes) {
		t.Errorf("commit gave %d revisions, want %d", got, len(writes))
	}
	if got := len(scan(t, s.Store, "")); got != len(writes) {
		t.Errorf("store holds %d records, want %d", got, len(writes))
	}
}

func testNoSharing(t *testing.T, s Subject) {
	value := []byte("old")
	commit(t, s.Store, catalog.Write{Key: "a", Value: value})
	copy(value, "new")
	got := scan(t, s.Store, "")
	copy(got[0].Value, "bad")
	if again := scan(t, s.Store, ""); string(again[0].Value) != "old" {
		t.Errorf("record holds %q, want %q", again[0].Value, "old")
	}
}

func testReopen(t *testing.T, s Subject) {
	if s.Reopen == nil {
		t.Skip("this store outlives nothing")
	}
	for i := range 50 {
		commit(t, s.Store, catalog.Write{Key: fmt.Sprint("k", i), Value: []byte(fmt.Sprint(i))})
	}
	first := scan(t, s.Store, "")
	commit(t, s.Store, catalog.Write{Key: first[0].Key, Expect: first[0].Revision})
	want := scan(t, s.Store, "")
	s.Store = s.Reopen()
	same(t, scan(t, s.Store, ""), want)
	var newest uint64
	for _, r := range want {
		newest = max(newest, r.Revision)
	}
	if next := commit(t, s.Store, catalog.Write{Key: "new", Value: []byte("1")})[0]; next <= newest {
		t.Errorf("after opening again the next revision is %d, want more than %d", next, newest)
	}
}

func commit(t *testing.T, s catalog.Store, writes ...catalog.Write) []uint64 {
	t.Helper()
	revisions, err := s.Commit(t.Context(), writes)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return revisions
}

func scan(t *testing.T, s catalog.Store, prefix string) []catalog.Record {
	t.Helper()
	var out []catalog.Record
	if err := s.Scan(t.Context(), prefix, func(r catalog.Record) error { out = append(out, r); return nil }); err != nil {
		t.Errorf("scan: %v", err)
	}
	return out
}

func same(t *testing.T, got, want []catalog.Record) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(x, y catalog.Record) bool {
		return x.Key == y.Key && x.Revision == y.Revision && string(x.Value) == string(y.Value)
	}) {
		t.Errorf("store holds %v, want %v", got, want)
	}
}
