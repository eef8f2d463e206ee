package sqlite_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kiln/back/sqlite"
	"kiln/engine/catalog"
)

// history is what a workload did: every commit with its revisions, and how far the
// tape was when it was acknowledged.
type history struct {
	id      string
	base    int // operations on the tape when the file was ready for use
	commits []done
}

type done struct {
	acknowledged int
	first, last  uint64 // revisions
	writes       []catalog.Write
}

// makeHistory runs four writers against a store over the tape: each commit changes
// two records together, makes some and deletes some.
func makeHistory(t *testing.T, synchronous string) history {
	t.Helper()
	useTape(t)
	s, err := sqlite.OpenOver(t.Context(), filepath.Join(t.TempDir(), "catalog.db"), tapeVFS, synchronous)
	if err != nil {
		t.Fatal(err)
	}
	h := history{id: s.ID(), base: length()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			var pair [2]uint64
			for n := range 60 {
				value := fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", 40*(n%17)))
				writes := []catalog.Write{
					{Key: fmt.Sprintf("w%d/left", w), Value: value, Expect: pair[0]},
					{Key: fmt.Sprintf("w%d/right", w), Value: value, Expect: pair[1]},
					{Key: fmt.Sprintf("w%d/n%d", w, n), Value: value},
				}
				revisions, err := s.Commit(t.Context(), writes)
				if err != nil {
					t.Error(err)
					return
				}
				pair = [2]uint64{revisions[0], revisions[1]}
				mu.Lock()
				h.commits = append(h.commits, done{length(), revisions[0], revisions[2], writes})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(h.commits, func(x, y done) int { return int(int64(x.first) - int64(y.first)) })
	return h
}

// state gives the records after all commits up to a revision.
func (h history) state(revision uint64) (map[string]string, bool) {
	records := map[string]string{}
	for _, c := range h.commits {
		if c.first <= revision && revision < c.last {
			return nil, false // in the middle of a commit
		}
		if c.last <= revision {
			for _, w := range c.writes {
				records[w.Key] = string(w.Value)
			}
		}
	}
	return records, true
}

// powerCut writes the files as a disk may hold them when the power goes after k
// operations: what was synced, and of the rest any sectors in any order.
func powerCut(t *testing.T, ops []op, k int, random *rand.Rand) (dir string) {
	t.Helper()
	dir = t.TempDir()
	byFile := map[string][]op{}
	for _, o := range settleNames(ops[:k]) {
		byFile[o.file] = append(byFile[o.file], o)
	}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		list := byFile[file]
		synced := 0
		for i, o := range list {
			if o.kind == "sync" || o.kind == "delete" {
				synced = i + 1
			}
		}
		var contents []byte // nil is that the file is not there
		for _, o := range list[:synced] {
			contents = o.apply(contents, nil)
		}
		rest := list[synced:]
		for _, i := range random.Perm(len(rest)) {
			if random.IntN(2) == 0 {
				contents = rest[i].apply(contents, random)
			}
		}
		if contents == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// settleNames makes unlinks durable where SQLite syncs the directory later: with the
// first sync of a file that it made.
func settleNames(ops []op) []op {
	ops = slices.Clone(ops)
	synced := map[string]bool{}
	for i, o := range ops {
		switch {
		case o.kind == "unlink":
			delete(synced, o.file)
		case o.kind == "sync" && !synced[o.file]:
			synced[o.file] = true
			for j := range ops[:i] {
				if ops[j].kind == "unlink" {
					ops[j].kind = "delete"
				}
			}
		}
	}
	return ops
}

// apply gives the contents after an operation; with random only some of its
// sectors.
func (o op) apply(contents []byte, random *rand.Rand) []byte {
	switch o.kind {
	case "delete", "unlink":
		return nil
	case "truncate":
		if int64(len(contents)) > o.at {
			contents = contents[:o.at]
		}
	case "write":
		if missing := int(o.at) + len(o.data) - len(contents); missing > 0 {
			contents = append(contents, make([]byte, missing)...)
		}
		for i := 0; i < len(o.data); i += 512 {
			if random == nil || random.IntN(3) > 0 {
				end := min(i+512, len(o.data))
				copy(contents[int(o.at)+i:], o.data[i:end])
			}
		}
	}
	return contents
}

// judgeCut opens what a power cut left and says what is wrong with it.
func judgeCut(t *testing.T, h history, dir string, k int) error {
	path := filepath.Join(dir, "catalog.db")
	var acknowledged uint64
	for _, c := range h.commits {
		if c.acknowledged <= k {
			acknowledged = max(acknowledged, c.last)
		}
	}
	if err := sqlite.WriteMark(path, h.id, acknowledged); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		return err
	}
	defer s.Close()
	got := map[string]string{}
	if err := s.Scan(t.Context(), "", func(r catalog.Record) error { got[r.Key] = string(r.Value); return nil }); err != nil {
		return err
	}
	if s.Revision() < acknowledged {
		return fmt.Errorf("the store ends at revision %d, %d was acknowledged", s.Revision(), acknowledged)
	}
	want, whole := h.state(s.Revision())
	if !whole || !maps.Equal(got, want) {
		return fmt.Errorf("the store at revision %d is not what the commits up to it make", s.Revision())
	}
	return nil
}

func TestAPowerCutLeavesEveryAcknowledgedCommitAndNoHalfOne(t *testing.T) {
	h := makeHistory(t, "FULL")
	ops := tape.ops
	checked, checkpoints := 0, 0
	for _, o := range ops {
		if o.kind == "truncate" && strings.HasSuffix(o.file, "-wal") {
			checkpoints++
		}
	}
	if checkpoints < 3 {
		t.Fatalf("the workload had %d checkpoints: too few to cut one", checkpoints)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for k := h.base; k <= len(ops); k += 1 + random.IntN(12) {
		if err := judgeCut(t, h, powerCut(t, ops, k, random), k); err != nil {
			t.Errorf("cut after %d of %d operations: %v", k, len(ops), err)
		}
		checked++
	}
	t.Logf("%d cuts of %d operations, %d checkpoints, %d commits", checked, len(ops), checkpoints, len(h.commits))
}

// The same test must fail for a store that does not wait for the disk; otherwise it
// proves nothing.
func TestAPowerCutIsNoticedWhenNothingIsSynced(t *testing.T) {
	h := makeHistory(t, "OFF")
	ops := tape.ops
	random := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for k := h.base + 50; k <= len(ops); k += 40 {
		if judgeCut(t, h, powerCut(t, ops, k, random), k) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no cut of a store without syncs was noticed")
	}
}
