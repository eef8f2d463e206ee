package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"kiln"
	"kiln/engine/catalog"
)

var (
	_ catalog.Store = (*Store)(nil)
	_ catalog.Blobs = (*Blobs)(nil)
)

// Store is the contract in memory, for tests. The zero value is an empty store.
type Store struct {
	mu      sync.Mutex
	fail    func([]catalog.Write) error
	last    uint64
	records map[string]catalog.Record
}

// FailWith sets what is asked before each commit and makes it fail; nil is nothing.
func (s *Store) FailWith(fail func([]catalog.Write) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// Scan calls f for a copy of every record with the prefix.
func (s *Store) Scan(ctx context.Context, prefix string, f func(catalog.Record) error) error {
	s.mu.Lock()
	var found []catalog.Record
	for key, r := range s.records {
		if strings.HasPrefix(key, prefix) {
			r.Value = bytes.Clone(r.Value)
			found = append(found, r)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(found, func(x, y catalog.Record) int { return strings.Compare(x.Key, y.Key) })
	for _, r := range found {
		if err := f(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Commit applies all writes or none.
func (s *Store) Commit(ctx context.Context, writes []catalog.Write) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(writes); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[string]catalog.Record{}
	}
	for _, w := range writes {
		if s.records[w.Key].Revision != w.Expect {
			return nil, fmt.Errorf("%w: %q", catalog.ErrStale, w.Key)
		}
	}
	revisions := make([]uint64, len(writes))
	for i, w := range writes {
		s.last++
		revisions[i] = s.last
		if w.Value == nil {
			delete(s.records, w.Key)
		} else {
			s.records[w.Key] = catalog.Record{Key: w.Key, Value: bytes.Clone(w.Value), Revision: s.last}
		}
	}
	return revisions, nil
}

// Blobs keeps packages in memory, for tests. The zero value is empty.
type Blobs struct {
	mu sync.Mutex
	m  map[string][]byte
}

type openBlob struct{ *bytes.Reader }

func (openBlob) Close() error { return nil }

// Put stores what r gives.
func (b *Blobs) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	text, err := io.ReadAll(r)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", 0, err
	}
	sha := digest(text)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[string][]byte{}
	}
	b.m[sha] = text
	return sha, int64(len(text)), nil
}

// Open opens a package.
func (b *Blobs) Open(sha string) (catalog.Blob, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.m[sha]
	if !ok {
		return nil, 0, kiln.Errorf(kiln.NotFound, "no package %q", sha)
	}
	return openBlob{bytes.NewReader(text)}, int64(len(text)), nil
}

// Sweep removes what is not kept.
func (b *Blobs) Sweep(_ context.Context, keep func(string) bool) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	removed := 0
	for sha := range b.m {
		if !keep(sha) {
			delete(b.m, sha)
			removed++
		}
	}
	return removed, nil
}
