package logs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kiln/telemetry/logs"
)

// fill writes a file until the disk is full and gives its name.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
			return name
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskLosesRecordsButCountsThemAndGoesOnWhenThereIsRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := logs.Open(filepath.Join(dir, "logs"), logs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := source("f", "s")
	s.Emit(print(src, "", "before"))
	read(t, s, logs.Query{Group: src.Group})
	filler := fill(t, dir)
	for i := range 3 { // longer than what is left of the last page: one is torn
		s.Emit(print(src, "", fmt.Sprint("lost ", i, strings.Repeat(" x", 3000))))
		read(t, s, logs.Query{Group: src.Group})
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.Emit(print(src, "", "after"))
	same(t, read(t, s, logs.Query{Group: src.Group}), []string{"before", "LOGS_DROPPED Records: 3", "after"})
	same(t, read(t, s, logs.Query{Group: src.Group, Stream: "s"}), []string{"before", "after"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
