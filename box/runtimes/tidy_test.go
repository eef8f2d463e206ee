package runtimes_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/box/runtimes"
)

func TestDirectoriesOfRuntimesGoWhenNobodyUsedThemForAMonth(t *testing.T) {
	data, node := t.TempDir(), install(t, "node", nodeSays("22.0.0"))
	served := func() []string {
		list, err := filepath.Glob(filepath.Join(data, "runtimes/served/*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	age := func(dir string, days int) {
		then := time.Now().AddDate(0, 0, -days)
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
	}
	book := open(t, data, runtimes.Options{}, node)
	if _, err := book.Runtime(t.Context(), "nodejs22.x", ""); err != nil {
		t.Fatal(err)
	}
	mine := served()
	if len(mine) != 1 {
		t.Fatalf("got %q, want one directory", mine)
	}
	old, young := filepath.Join(data, "runtimes/served/nodejs22.x-0123456789abcdef"), filepath.Join(data, "runtimes/served/python3.9-0123456789abcdef")
	for _, dir := range []string{old, young} {
		if err := os.MkdirAll(filepath.Join(dir, "runtime"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	age(mine[0], 40)
	age(old, 40)
	age(young, 20)
	book.Tidy()
	if _, err := os.Stat(old); err == nil {
		t.Error("a directory that nobody used for 40 days is there")
	}
	for _, dir := range []string{mine[0], young} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("after Tidy: %v", err)
		}
	}
	// Another process, later: the mark is what it sees.
	open(t, data, runtimes.Options{}, node)
	if _, err := os.Stat(mine[0]); err != nil {
		t.Errorf("another process removed what this one uses: %v", err)
	}
	// And when this one is long gone.
	age(mine[0], 40)
	book = open(t, data, runtimes.Options{}, node)
	if _, err := os.Stat(mine[0]); err == nil {
		t.Error("a directory of a process that ended a month ago is there")
	}
	if _, err := book.Runtime(t.Context(), "nodejs22.x", ""); err != nil {
		t.Errorf("made again: %v", err)
	}
	if now := served(); len(now) != 2 {
		t.Errorf("got %q, want two directories", now)
	}
}
