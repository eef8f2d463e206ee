package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"kiln"
	"kiln/back/sqlite"
	"kiln/engine/catalog"
)

// failNth fails the n-th operation of a kind, counted from now, and all after it
// while keepOn is true.
func failNth(kind string, n int32, rc int32) (hit *atomic.Bool, keepOn *atomic.Bool) {
	hit, keepOn = &atomic.Bool{}, &atomic.Bool{}
	keepOn.Store(true)
	var count atomic.Int32
	failOn(func(k, _ string) int32 {
		if k != kind || !keepOn.Load() || count.Add(1) < n {
			return 0
		}
		hit.Store(true)
		return rc
	})
	return hit, keepOn
}

// write commits key after key and gives those that were acknowledged.
func write(t *testing.T, s *sqlite.Store, prefix string, n int) (acknowledged map[string]bool, failures []error) {
	acknowledged = map[string]bool{}
	for i := range n {
		key := fmt.Sprintf("%s%03d", prefix, i)
		_, err := s.Commit(t.Context(), []catalog.Write{{Key: key, Value: []byte(strings.Repeat("v", 500))}})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		acknowledged[key] = true
	}
	return acknowledged, failures
}

func keys(t *testing.T, s catalog.Store) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	if err := s.Scan(t.Context(), "", func(r catalog.Record) error { got[r.Key] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func openOverTape(t *testing.T) (*sqlite.Store, string) {
	t.Helper()
	useTape(t)
	path := filepath.Join(t.TempDir(), "catalog.db")
	s, err := sqlite.OpenOver(t.Context(), path, tapeVFS, "FULL")
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

func TestAFullDiskFailsTheCommitAndPasses(t *testing.T) {
	for n := int32(1); n <= 40; n += 6 {
		s, path := openOverTape(t)
		hit, keepOn := failNth("write", n, sqlite3.SQLITE_FULL)
		want, failures := write(t, s, "a", 30)
		if !hit.Load() || len(failures) == 0 {
			t.Fatalf("n=%d: the disk was never full", n)
		}
		for _, err := range failures {
			if kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), "no space is left") {
				t.Errorf("n=%d: commit gave %v, want Unavailable that names the cause", n, err)
			}
		}
		if err := s.Err(); err != nil {
			t.Errorf("n=%d: a full disk stopped the store: %v", n, err)
		}
		keepOn.Store(false) // space is back
		more, failures := write(t, s, "b", 5)
		if len(failures) > 0 {
			t.Errorf("n=%d: with space again a commit gave %v", n, failures[0])
		}
		for key := range more {
			want[key] = true
		}
		if got := keys(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("n=%d: the store holds %d records, want %d", n, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Errorf("n=%d: close: %v", n, err)
		}
		again := open(t, path)
		if got := keys(t, again); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("n=%d: after opening again the store holds %d records, want %d", n, len(got), len(want))
		}
	}
}

func TestAFailedSyncStopsTheStoreForGood(t *testing.T) {
	for _, c := range []struct {
		kind string
		rc   int32
	}{{"sync", sqlite3.SQLITE_IOERR_FSYNC}, {"write", sqlite3.SQLITE_IOERR_WRITE}} {
		// far enough to hit commits and checkpoints alike
		for n := int32(1); n <= 60; n += 14 {
			s, path := openOverTape(t)
			hit, keepOn := failNth(c.kind, n, c.rc)
			want, failures := write(t, s, "a", 80)
			if !hit.Load() || len(failures) == 0 {
				t.Fatalf("%s n=%d: the disk never failed", c.kind, n)
			}
			keepOn.Store(false) // the disk says yes again: it must not be believed
			more, failures := write(t, s, "b", 3)
			if len(more) > 0 {
				t.Errorf("%s n=%d: the store took a commit after its disk had failed", c.kind, n)
			}
			for _, err := range failures {
				if kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), "its disk failed") {
					t.Errorf("%s n=%d: commit gave %v, want Unavailable that names the cause", c.kind, n, err)
				}
			}
			if s.Err() == nil {
				t.Errorf("%s n=%d: Err is nil", c.kind, n)
			}
			for key := range want {
				if !keys(t, s)[key] {
					t.Errorf("%s n=%d: %s cannot be read any more", c.kind, n, key)
				}
			}
			_ = s.Close() // it cannot bring the log in
			got := keys(t, open(t, path))
			for key := range want {
				if !got[key] {
					t.Errorf("%s n=%d: %s was acknowledged and is lost", c.kind, n, key)
				}
			}
			for key := range got {
				if strings.HasPrefix(key, "b") {
					t.Errorf("%s n=%d: %s was refused and is there", c.kind, n, key)
				}
			}
		}
	}
}

func TestManyCommitsShareASync(t *testing.T) {
	s, _ := openOverTape(t)
	defer s.Close()
	before := length()
	const commits = 400
	done := make(chan error)
	for i := range commits {
		go func() {
			_, err := s.Commit(t.Context(), []catalog.Write{{Key: fmt.Sprint(i), Value: []byte("v")}})
			done <- err
		}()
	}
	for range commits {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	syncs := 0
	tape.Lock()
	for _, o := range tape.ops[before:] {
		if o.kind == "sync" && strings.HasSuffix(o.file, "-wal") {
			syncs++
		}
	}
	tape.Unlock()
	if syncs == 0 || syncs > commits/2 {
		t.Errorf("%d commits at once took %d syncs, want at least 1 and far fewer than commits", commits, syncs)
	}
}

func TestAClosedStoreIsOneFileAndItsMark(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, "a", 3)
	keys(t, s) // opens a reader
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"catalog.db", "catalog.db.mark"}; !slices.Equal(names, want) {
		t.Errorf("the directory holds %q, want %q", names, want)
	}
	if _, err := s.Commit(t.Context(), []catalog.Write{{Key: "b", Value: []byte("x")}}); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("commit to a closed store gave %v, want Unavailable", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second close gave %v", err)
	}
}

func TestARealFullDiskFailsTheCommitAndPasses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "catalog.db"))
	want, failures := write(t, s, "a", 400)
	if len(failures) == 0 || len(want) == 0 {
		t.Fatalf("%d commits and %d failures: the disk was never full", len(want), len(failures))
	}
	for _, err := range failures {
		if kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), "no space is left") {
			t.Fatalf("commit gave %v, want Unavailable that names the cause", err)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	more, failures := write(t, s, "b", 5)
	if len(failures) > 0 {
		t.Fatalf("with space again a commit gave %v", failures[0])
	}
	for key := range more {
		want[key] = true
	}
	if got := keys(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the store holds %d records, want %d", len(got), len(want))
	}
}

func TestALockOfAnotherProgramPasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, path)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_, failures := write(t, s, "a", 1)
	if len(failures) != 1 || kiln.CodeOf(failures[0]) != kiln.Unavailable || !strings.Contains(failures[0].Error(), "another program") {
		t.Errorf("a commit beside the lock gave %v, want Unavailable that names the cause", failures)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, failures := write(t, s, "a", 1); len(failures) > 0 {
		t.Errorf("a commit after the lock gave %v", failures[0])
	}
}
