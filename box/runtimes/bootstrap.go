package runtimes

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

//go:embed python/*.py nodejs/bootstrap.js nodejs/kiln/*.js java/lib ruby/*.rb dotnet/bootstrap.sh dotnet/lib
var bootstrapFiles embed.FS

// bootstrap is the Runtime API client of one language: files that a box sees in
// /var/runtime.
type bootstrap struct {
	family string
	digest string // hex
}

// openBootstrap gives the bootstrap of a family and the digest of its files.
func openBootstrap(family string) bootstrap {
	hash := sha256.New()
	var names []string
	err := fs.WalkDir(bootstrapFiles, family, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := bootstrapFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(hash, "%s %d\n", name, len(text))
		hash.Write(text)
	}
	return bootstrap{family: family, digest: hex.EncodeToString(hash.Sum(nil))}
}

// write puts the files into dir, readable by everybody.
func (b bootstrap) write(dir string) error {
	return fs.WalkDir(bootstrapFiles, b.family, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.family, name)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, rel)
		if entry.IsDir() {
			return makeDir(target)
		}
		text, err := bootstrapFiles.ReadFile(name)
		if err != nil {
			return err
		}
		return writeFile(target, text, 0o644)
	})
}

// makeDir makes a directory that everybody may read, whatever the umask.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// writeFile writes a file with exactly this mode, whatever the umask.
func writeFile(name string, text []byte, mode os.FileMode) error {
	if err := os.WriteFile(name, text, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
