package blobdir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"kiln"
)

// step lets a test fail one operation; in the program it does nothing.
func (d *Dir) step(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, name)
}

func (d *Dir) create() (*os.File, error) {
	if err := d.step("create", d.path); err != nil {
		return nil, err
	}
	return os.CreateTemp(d.path, part)
}

func (d *Dir) syncFile(f *os.File) error {
	if err := d.step("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

func (d *Dir) syncDir(path string) error {
	if err := d.step("syncdir", path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// fail remembers that a sync failed. The kernel may have thrown the pages away, so
// that a second try could succeed without anything being written: nothing is
// stored any more until the program starts again.
func (d *Dir) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = fmt.Errorf("sync packages: %w", err)
	return d.failed
}

func (d *Dir) usable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		return nil
	}
	return &kiln.Error{Code: kiln.Unavailable, Message: "The server cannot store packages: its disk failed. Check the disk and restart the server.", Err: d.failed}
}

// diskError names the two failures of a disk that a caller can act on.
func diskError(err error) error {
	var refusal *kiln.Error
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server cannot store the package: no space is left on its disk.", Err: err}
	case errors.Is(err, syscall.EIO):
		return &kiln.Error{Code: kiln.Unavailable, Message: "The server cannot store the package: its disk failed.", Err: err}
	}
	return fmt.Errorf("store package: %w", err)
}

// writer writes to the file of an upload as long as the upload is wanted.
type writer struct {
	d   *Dir
	ctx context.Context
	f   *os.File
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if err := w.d.step("write", w.f.Name()); err != nil {
		return 0, err
	}
	return w.f.Write(p)
}
