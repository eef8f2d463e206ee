//go:build linux || darwin || freebsd

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kiln"
)

// Lock makes this process the only one that uses a data directory, until release
// is called or the process ends in whatever way. When another one has it, Lock
// says at once which (kiln.Conflict).
func Lock(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "kiln.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := readHolder(f)
		_ = f.Close() // only read
		return nil, kiln.Errorf(kiln.Conflict, "the data directory %s is in use by %s: stop it, or choose another --data-dir", dir, holder)
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), writeHolder(f))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory: %w", err), f.Close())
	}
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, nil
}

func writeHolder(f *os.File) error {
	_, err := fmt.Fprintf(f, "process %d since %s\n", os.Getpid(), time.Now().Format(time.RFC3339))
	return err
}

// readHolder gives the text that the holder wrote about itself.
func readHolder(f *os.File) string {
	var text [128]byte
	n, _ := f.ReadAt(text[:], 0) // a short file ends with io.EOF
	if line, _, ok := strings.Cut(string(text[:n]), "\n"); ok && line != "" {
		return line
	}
	return "another process"
}
