package environment

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"kiln"
	"kiln/box/sandbox"
)

// mostListed bounds how many files of one directory are looked at.
const mostListed = 256

// FindExtensions names the files of /opt/extensions as a box with these mounts sees
// them, in order: the external extensions of its environments. It names one more than
// an environment may have, at most. A directory that cannot be read has none.
func FindExtensions(mounts []sandbox.Mount) []string {
	dir := strings.TrimSuffix(extensionsDir, "/")
	var names []string
	for _, m := range mounts {
		target := path.Clean(m.Target)
		inside, within := strings.CutPrefix(dir, strings.TrimSuffix(target, "/"))
		switch {
		case within && (inside == "" || inside[0] == '/'): // it covers what was there before
			names = nil
			if m.Source != "" {
				names = list(m.Source, strings.TrimPrefix(inside, "/"))
			}
		case path.Dir(target) == dir && m.Source != "":
			names = append(names, path.Base(target))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), kiln.MaxExtensions+1)]
}

// list names what is not a directory in dir below root. No link leads out of root.
func list(root, dir string) []string {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil
	}
	defer r.Close()
	if dir == "" {
		dir = "."
	}
	d, err := r.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, err := d.ReadDir(mostListed)
	if err != nil {
		return nil // io.EOF of an empty one among them
	}
	var names []string
	for _, entry := range entries {
		if entry.Type()&fs.ModeDir == 0 {
			names = append(names, entry.Name())
		}
	}
	return names
}
