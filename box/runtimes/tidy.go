package runtimes

import (
	"os"
	"path/filepath"
	"time"
)

// keepServed is how long a directory of served is kept that no process uses: it can be
// made again from what it was made of.
const keepServed = 30 * 24 * time.Hour

// Tidy removes directories that were made for runtimes and that nobody has used for a
// month: of interpreters that were replaced, or of an older kiln. What this process uses
// is marked as used, so that others, which may share the data directory, leave it alone:
// call it more often than once a month.
func (b *Book) Tidy() {
	b.mu.Lock()
	var mine []string
	for dir := range b.stood {
		mine = append(mine, dir)
	}
	b.mu.Unlock()
	for _, dir := range mine {
		b.mark(dir)
	}
	sweep(b.dir)
}

// standOn notes that environments of this process may run on a directory of served.
func (b *Book) standOn(dir string) {
	b.mu.Lock()
	b.stood[dir] = true
	b.mu.Unlock()
	b.mark(dir)
}

// mark says to every process that a directory is in use.
func (b *Book) mark(dir string) {
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		b.log.Warn("a directory of a runtime cannot be marked as used", "directory", filepath.Base(dir), "error", err)
	}
}
