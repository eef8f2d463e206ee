package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/back/sqlite"
	"kiln/engine/catalog"
)

const (
	mainFile = "catalog.db"
	logFile  = "catalog.db-wal"
	markFile = "catalog.db.mark"
)

// makeImages gives the files of a store that was closed, and of one that was killed
// with commits in its log; and what both must hold.
func makeImages(t *testing.T) (closed, killed map[string][]byte, want map[string]string) {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, mainFile))
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]string{}
	put := func(n int) {
		key, value := fmt.Sprintf("f/%03d", n), strings.Repeat(fmt.Sprintf("value %d;", n), 40)
		if _, err := s.Commit(t.Context(), []catalog.Write{{Key: key, Value: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
		want[key] = value
	}
	for n := range 60 {
		put(n)
	}
	if err := s.Close(); err != nil { // everything so far is in the main file
		t.Fatal(err)
	}
	if s, err = sqlite.Open(t.Context(), filepath.Join(dir, mainFile)); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		put(100 + n)
	}
	killed = readFiles(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed = readFiles(t, dir)
	if len(killed[logFile]) == 0 || len(closed[logFile]) != 0 {
		t.Fatalf("the logs have %d and %d bytes", len(killed[logFile]), len(closed[logFile]))
	}
	return closed, killed, want
}

func readFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{mainFile, logFile, markFile} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			files[name] = text
		}
	}
	return files
}

func writeFiles(t *testing.T, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openDamaged opens files and reports a named refusal; without one the contents
// must be whole.
func openDamaged(t *testing.T, what string, files map[string][]byte, want map[string]string) (refused bool) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(writeFiles(t, files), mainFile))
	if err != nil {
		if !errors.Is(err, sqlite.ErrDamaged) && !errors.Is(err, sqlite.ErrMissing) && !errors.Is(err, sqlite.ErrNewer) {
			t.Errorf("%s: refused without a name: %v", what, err)
		}
		return true
	}
	defer s.Close()
	got := map[string]string{}
	if err := s.Scan(t.Context(), "", func(r catalog.Record) error { got[r.Key] = string(r.Value); return nil }); err != nil {
		t.Errorf("%s: opened, but the scan gave %v", what, err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: opened with %d records of %d", what, len(got), len(want))
	}
	return false
}

func flip(text []byte, at int) []byte {
	out := append([]byte(nil), text...)
	out[at] ^= 1 << (at / 7 % 8)
	return out
}

func TestABitFlipAnywhereIsRefusedOrHarmless(t *testing.T) {
	closed, killed, want := makeImages(t)
	for name, image := range map[string]map[string][]byte{"closed": closed, "killed": killed} {
		refused, harmless := 0, 0
		for file, text := range image {
			step := 509 // several in every page, never the same place of it
			if file == markFile {
				step = 5
			}
			for at := 3; at < len(text); at += step {
				files := maps.Clone(image)
				files[file] = flip(text, at)
				if openDamaged(t, fmt.Sprintf("%s, bit at %d of %s", name, at, file), files, want) {
					refused++
				} else {
					harmless++
				}
			}
		}
		if refused == 0 || harmless == 0 {
			t.Errorf("%s: %d flips were refused and %d harmless, want some of both", name, refused, harmless)
		}
		t.Logf("%s: %d flips refused, %d harmless", name, refused, harmless)
	}
}

// Without the checks of this package the same flips must do harm; otherwise the test
// above proves nothing.
func TestSQLiteAloneDoesNotNoticeBitFlips(t *testing.T) {
	closed, _, want := makeImages(t)
	unnoticed := 0
	for at := 3; at < len(closed[mainFile]); at += 509 {
		files := maps.Clone(closed)
		files[mainFile] = flip(closed[mainFile], at)
		db, err := sql.Open("sqlite", filepath.Join(writeFiles(t, files), mainFile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(db)
		if err == nil && !maps.Equal(got, want) {
			unnoticed++
		}
		db.Close()
	}
	if unnoticed == 0 {
		t.Error("every flip was noticed without any check")
	}
}

func readAll(db *sql.DB) (map[string]string, error) {
	rows, err := db.Query("SELECT key, value FROM records")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		got[key] = value
	}
	return got, rows.Err()
}

func TestATruncatedFileIsRefusedOrHarmless(t *testing.T) {
	closed, killed, want := makeImages(t)
	for name, image := range map[string]map[string][]byte{"closed": closed, "killed": killed} {
		for file, text := range image {
			for _, size := range []int{0, 1, 100, len(text) / 2, len(text) / 2 &^ 4095, len(text) - 4096, len(text) - 1} {
				if size < 0 || size >= len(text) {
					continue
				}
				files := maps.Clone(image)
				files[file] = text[:size]
				refused := openDamaged(t, fmt.Sprintf("%s, %s cut to %d", name, file, size), files, want)
				if file == mainFile && !refused && size < len(text)/2 {
					t.Errorf("%s, %s cut to %d of %d: not refused", name, file, size, len(text))
				}
			}
		}
	}
}

func TestADeletedOrSwappedFileIsRefusedOrHarmless(t *testing.T) {
	closed, killed, want := makeImages(t)
	for name, image := range map[string]map[string][]byte{"closed": closed, "killed": killed} {
		for file := range image {
			files := maps.Clone(image)
			delete(files, file)
			refused := openDamaged(t, fmt.Sprintf("%s without %s", name, file), files, want)
			if mustRefuse := file == mainFile || file == logFile && len(image[file]) > 0; refused != mustRefuse {
				t.Errorf("%s without %s: refused is %v, want %v", name, file, refused, mustRefuse)
			}
			for other := range image {
				if file < other && (len(image[file]) > 0 || len(image[other]) > 0) {
					files := maps.Clone(image)
					files[file], files[other] = image[other], image[file]
					if !openDamaged(t, fmt.Sprintf("%s, %s and %s swapped", name, file, other), files, want) {
						t.Errorf("%s, %s and %s swapped: not refused", name, file, other)
					}
				}
			}
		}
	}
}

func TestTheFileOfAnotherStoreIsRefused(t *testing.T) {
	one, _, _ := makeImages(t)
	two, _, want := makeImages(t)
	files := maps.Clone(two)
	files[mainFile] = one[mainFile]
	if !openDamaged(t, "main file of another store", files, want) {
		t.Error("not refused")
	}
}

func TestAMissingFileIsNeverReplacedByAnEmptyOne(t *testing.T) {
	closed, _, _ := makeImages(t)
	dir := writeFiles(t, map[string][]byte{markFile: closed[markFile]})
	_, err := sqlite.Open(t.Context(), filepath.Join(dir, mainFile))
	if !errors.Is(err, sqlite.ErrMissing) {
		t.Errorf("open gave %v, want ErrMissing", err)
	}
	if _, err := os.Stat(filepath.Join(dir, mainFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}

func TestAFileOfANewerKilnIsRefusedAndNotChanged(t *testing.T) {
	closed, _, want := makeImages(t)
	dir := writeFiles(t, closed)
	path := filepath.Join(dir, mainFile)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 2"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	before := readFiles(t, dir)
	_, err = sqlite.Open(t.Context(), path)
	if !errors.Is(err, sqlite.ErrNewer) || !strings.Contains(err.Error(), "schema 2") {
		t.Errorf("open gave %v, want ErrNewer that names the schema", err)
	}
	if after := readFiles(t, dir); string(after[mainFile]) != string(before[mainFile]) {
		t.Error("the file was changed")
	}
	openDamaged(t, "the untouched file", closed, want)
}

func TestAForeignFileIsRefused(t *testing.T) {
	for name, text := range map[string]string{"text": strings.Repeat("this is not a database. ", 500), "zeros": strings.Repeat("\x00", 8192)} {
		if !openDamaged(t, name, map[string][]byte{mainFile: []byte(text)}, nil) {
			t.Errorf("%s: not refused", name)
		}
	}
	path := filepath.Join(t.TempDir(), mainFile)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE records (x)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("another program's database: open gave %v, want ErrDamaged", err)
	}
}
