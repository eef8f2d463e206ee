package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock is the right to use a data directory. The kernel gives it back when the
// process ends, however it ends.
type lock struct{ file *os.File }

// holder is who has a data directory; it is written into the lock file for others
// to read.
type holder struct {
	PID      int    `json:"pid"`
	Endpoint string `json:"endpoint,omitempty"` // of a server
	Console  string `json:"console,omitempty"`
}

// takeLock makes the data directory if need be and takes it, or says at once who
// has it.
func takeLock(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, platformf("choose another with --data-dir", "data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "kiln.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, platformf("choose another with --data-dir", "data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for began := time.Now(); errors.Is(err, syscall.EWOULDBLOCK) && isOver(readHolder(f)) && time.Since(began) < lettingGo; {
		time.Sleep(10 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, platformf("", "lock %s: %w", f.Name(), err)
		}
		return nil, &heldError{dir, readHolder(f)}
	}
	return &lock{f}, nil
}

// lettingGo is how long a process that was killed may still hold its lock: a child that
// it was about to start has it until it executes.
const lettingGo = 5 * time.Second

// isOver reports whether the process that took a directory has ended.
func isOver(h holder) bool {
	return h.PID > 0 && errors.Is(syscall.Kill(h.PID, 0), syscall.ESRCH)
}

// say writes who has the directory.
func (l *lock) say(h holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(append(text, '\n'), 0)
	return err
}

// close gives the directory back.
func (l *lock) close() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// heldError says that another process has the data directory.
type heldError struct {
	dir string
	by  holder
}

// Error names the process and the way out.
func (e *heldError) Error() string {
	who := "another kiln"
	if e.by.PID != 0 {
		who = fmt.Sprintf("kiln with process id %d", e.by.PID)
	}
	if e.by.Endpoint != "" {
		who += ", which serves " + e.by.Endpoint
	}
	return fmt.Sprintf("the data directory %s is in use by %s — stop it, or give this one a --data-dir of its own", e.dir, who)
}

// readHolder reads who has a directory; a text that cannot be read is nobody.
func readHolder(f io.ReaderAt) holder {
	var h holder
	text := make([]byte, 4096)
	n, _ := f.ReadAt(text, 0)        // the end of the file comes before 4096
	_ = json.Unmarshal(text[:n], &h) // not yet written: the error names nobody
	return h
}
