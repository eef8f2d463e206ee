package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// mark is a small file beside the main one: "this file is in use, and it has come
// to this revision". It is written after each commit and not synced, so it is
// never ahead of what is durable; when the main file or its log comes out behind
// it, something that was durable was lost.
type mark struct {
	id       string
	revision uint64
}

const markSize = 128

func markPath(path string) string { return path + ".mark" }

// readMark gives the mark, or nil when there is none. One that cannot be read is an
// error: it lies in one sector, so no crash can have left half of it.
func readMark(path string) (*mark, error) {
	text, err := os.ReadFile(markPath(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &mark{}
	if n, err := fmt.Sscanf(string(text), "kiln mark %s %d ", &m.id, &m.revision); err != nil || n != 2 || !bytes.Equal(text, m.bytes()) {
		return nil, fmt.Errorf("%w: %s, which guards it, is not readable; if you trust the catalog, remove that file", ErrDamaged, markPath(path))
	}
	return m, nil
}

// agrees refuses a state that lies behind the mark. A mark that cannot be read
// says nothing; it is written anew.
func (m *mark) agrees(s state) error {
	switch {
	case m == nil:
		return nil
	case m.id != s.id:
		return fmt.Errorf("%w: it is not the one that %s belongs to; restore the right one, or remove the mark to accept this one", ErrDamaged, filepath.Base(markPath("catalog.db")))
	case m.revision > s.revision:
		return fmt.Errorf("%w: it ends at revision %d though %d was durable; restore it from a backup, or remove the mark to accept the loss", ErrDamaged, s.revision, m.revision)
	}
	return nil
}

func (m *mark) bytes() []byte {
	text := fmt.Sprintf("kiln mark %s %d ", m.id, m.revision)
	sum := recordSum(text, 0, nil)
	return fmt.Appendf(nil, "%-*s\n", markSize-1, fmt.Sprintf("%s%x", text, sum))
}

// createMark writes the mark of a state durably and leaves it open.
func createMark(path string, s state) (*os.File, error) {
	f, err := os.OpenFile(markPath(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(writeMark(f, s), f.Truncate(markSize), f.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeMark writes the mark in its place: the same bytes of the same block, so
// that it needs no space.
func writeMark(f *os.File, s state) error {
	_, err := f.WriteAt((&mark{id: s.id, revision: s.revision}).bytes(), 0)
	return err
}
