package pack

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of the starters end in .tmpl, so that the Go tool takes none of them
// for a part of this module. Their contents are written as they are.
//
//go:embed starter
var starters embed.FS

// Starters gives the languages that WriteStarter knows.
func Starters() []string { return []string{"go", "python", "node", "ruby", "java", "dotnet", "shell"} }

// WriteStarter writes the starter of a language into dir, which it makes if need
// be, and gives the names of the files. It never overwrites: when one of the files
// exists, nothing at all is written.
func WriteStarter(dir, language string) ([]string, error) {
	if !slices.Contains(Starters(), language) {
		return nil, fmt.Errorf("no starter in %q; there are %s", language, strings.Join(Starters(), ", "))
	}
	from := "starter/" + language
	entries, err := starters.ReadDir(from)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("%s exists already; nothing was written: name an empty folder", filepath.Join(dir, name))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		names = append(names, name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for i, e := range entries {
		text, err := starters.ReadFile(from + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		if err := writeNew(filepath.Join(dir, names[i]), text); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// writeNew makes a file that must not exist; a bootstrap is executable.
func writeNew(path string, text []byte) error {
	mode := fs.FileMode(0o644)
	if filepath.Base(path) == "bootstrap" {
		mode = 0o755
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
