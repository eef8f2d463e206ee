package runtimes

import (
	"os"
	"path/filepath"

	"kiln"
)

// fetchedProgram gives the program that Add brought for an identifier, or "".
func (b *Book) fetchedProgram(identifier string) string {
	matches, err := filepath.Glob(filepath.Join(b.dir, "fetched", identifier, "*", "bin", "node"))
	if err != nil || len(matches) == 0 {
		return ""
	}
	return matches[len(matches)-1]
}

// canFetch reports whether Add knows where the runtime's interpreter is to be had.
func (b *Book) canFetch(d *descriptor) bool {
	return d.Family == "nodejs"
}

// Remove deletes what Add brought. Environments that run on it keep it until they
// end.
func (b *Book) Remove(identifier string) error {
	if _, ok := b.descriptors[identifier]; !ok {
		return kiln.Errorf(kiln.BadRuntime, "there is no runtime %q", identifier)
	}
	dir := filepath.Join(b.dir, "fetched", identifier)
	if _, err := os.Stat(dir); err != nil {
		return kiln.Errorf(kiln.NotFound, "%s was not added: nothing of it was fetched", identifier)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	b.forget(identifier)
	return nil
}
