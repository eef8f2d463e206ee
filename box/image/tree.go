package image

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// What bounds the walk along a name.
const (
	maxHops  = 40     // links on the way
	maxKnown = 20_000 // directories that are remembered
)

// tree is the root directory of an image while it is put together, and later when
// something is looked for in it. Names are walked as the image means them: a link,
// also one to "/" or upwards, stays inside. What is done then is done to a path of
// real directories, below an os.Root.
type tree struct {
	root  *os.Root // of the store's unpacked
	base  string   // the image's root in it
	known map[string]struct{}
}

// newTree gives the tree at a place below the store's unpacked.
func (s *Store) newTree(base string) *tree {
	return &tree{root: s.tree, base: base, known: map[string]struct{}{}}
}

// at gives the path of a walked name for the os.Root.
func (t *tree) at(walked string) string { return path.Join(t.base, walked) }

// dir walks a name that must be a directory, and makes what is missing of it if asked
// to. It gives the path without any link.
func (t *tree) dir(name string, missing bool) (string, error) {
	walked, info, err := t.walk(name, missing)
	if err != nil {
		return "", err
	}
	if info != nil && !info.IsDir() {
		return "", &fs.PathError{Op: "walk", Path: name, Err: syscall.ENOTDIR}
	}
	return walked, nil
}

// walk follows a name to where it leads, the last link included. info is nil for a
// directory that is known.
func (t *tree) walk(name string, missing bool) (walked string, info fs.FileInfo, err error) {
	at, rest, hops := ".", strings.Split(name, "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		if info != nil && !info.IsDir() {
			return "", nil, &fs.PathError{Op: "walk", Path: name, Err: syscall.ENOTDIR}
		}
		next := path.Join(at, part)
		if _, ok := t.known[next]; ok {
			at, info = next, nil
			continue
		}
		found, err := t.root.Lstat(t.at(next))
		switch {
		case errors.Is(err, fs.ErrNotExist) && missing:
			if err := t.mkdir(next, 0o755); err != nil {
				return "", nil, err
			}
			at, info = next, nil
		case err != nil:
			return "", nil, err
		case found.Mode().Type() == fs.ModeSymlink:
			if hops++; hops > maxHops {
				return "", nil, &fs.PathError{Op: "walk", Path: name, Err: syscall.ELOOP}
			}
			to, err := t.root.Readlink(t.at(next))
			if err != nil {
				return "", nil, err
			}
			if path.IsAbs(to) {
				at = "."
			}
			rest, info = append(strings.Split(to, "/"), rest...), nil
		default:
			at, info = next, found
			if found.IsDir() {
				t.know(next)
			}
		}
	}
	return at, info, nil
}

func (t *tree) know(dir string) {
	if len(t.known) >= maxKnown {
		t.known = map[string]struct{}{}
	}
	t.known[dir] = struct{}{}
}

// mkdir makes a directory at a walked path. Whatever the image says, who owns it may
// work in it, and nobody else may write.
func (t *tree) mkdir(walked string, mode fs.FileMode) error {
	if err := t.root.Mkdir(t.at(walked), 0o700); err != nil {
		return err
	}
	t.know(walked)
	return t.root.Chmod(t.at(walked), mode&^0o022|0o700)
}

// remove takes away whatever is at a walked path.
func (t *tree) remove(walked string) error {
	info, err := t.root.Lstat(t.at(walked))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return t.root.Remove(t.at(walked))
	}
	t.known = map[string]struct{}{}
	return t.root.RemoveAll(t.at(walked))
}

// place walks to the directory of a name, making it when it is missing, and gives the
// walked path of the name itself.
func (t *tree) place(name string) (string, error) {
	dir, err := t.dir(path.Dir(name), true)
	if err != nil {
		return "", err
	}
	return path.Join(dir, path.Base(name)), nil
}

// take applies one layer on what is there: first what it takes away of lower layers,
// then what it brings.
func (t *tree) take(s *Store, diff, image string) error {
	err := s.readList(diff, func(e *entry) error { return inImage(image, e, t.clear(e)) })
	if err != nil {
		return err
	}
	return s.readList(diff, func(e *entry) error { return inImage(image, e, t.put(s, diff, e)) })
}

// inImage says that it is the image's own doing when an entry has no place.
func inImage(image string, e *entry, err error) error {
	for _, own := range []error{syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, own) {
			return refuse("The image %s has an entry %q that can be put nowhere: %v.", clip(image), clip(e.Name), own)
		}
	}
	return err
}

// clear does what a whiteout says.
func (t *tree) clear(e *entry) error {
	switch e.Kind {
	case isGone:
		dir, err := t.dir(path.Dir(e.Name), false)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil // it takes away what is not there
		}
		if err != nil {
			return err
		}
		return t.remove(path.Join(dir, path.Base(e.Name)))
	case isOpaque:
		dir, err := t.dir(e.Name, false)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil
		}
		if err != nil {
			return err
		}
		return t.empty(dir)
	}
	return nil
}

// empty takes away everything in a directory.
func (t *tree) empty(walked string) error {
	d, err := t.root.Open(t.at(walked))
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if err := t.remove(path.Join(walked, name)); err != nil {
			return err
		}
	}
	return nil
}

// put puts one entry in its place, instead of what is there. Directories are merged.
func (t *tree) put(s *Store, diff string, e *entry) error {
	if e.Kind == isGone || e.Kind == isOpaque {
		return nil
	}
	if e.Name == "." {
		return t.root.Chmod(t.base, e.Mode&^0o022|0o700)
	}
	walked, err := t.place(e.Name)
	if err != nil {
		return err
	}
	if e.Kind == isDir {
		if info, err := t.root.Lstat(t.at(walked)); err == nil && info.IsDir() {
			return t.root.Chmod(t.at(walked), e.Mode&^0o022|0o700)
		}
	}
	if e.Kind == isLink { // before anything goes: it may name itself
		return t.link(e, walked)
	}
	if err := t.remove(walked); err != nil {
		return err
	}
	switch e.Kind {
	case isDir:
		return t.mkdir(walked, e.Mode)
	case isSymlink:
		return t.root.Symlink(e.To, t.at(walked))
	case isFile:
		return t.share(path.Join("layers", diff, strconv.Itoa(e.File)), t.at(walked))
	}
	return refuse("The list of a layer has an entry of kind %q.", string(e.Kind))
}

// link gives a file of the image one more name.
func (t *tree) link(e *entry, walked string) error {
	dir, err := t.dir(path.Dir(e.To), false)
	if err != nil {
		return linkError(e, err)
	}
	to := path.Join(dir, path.Base(e.To))
	info, err := t.root.Lstat(t.at(to))
	switch {
	case err != nil:
		return linkError(e, err)
	case to == walked:
		return nil
	case info.Mode().Type() == fs.ModeSymlink: // a further name of a link is the same link
		target, err := t.root.Readlink(t.at(to))
		if err != nil {
			return err
		}
		if err := t.remove(walked); err != nil {
			return err
		}
		return t.root.Symlink(target, t.at(walked))
	case !info.Mode().IsRegular():
		return refuse("The image has a hard link %q to %q, which is no file.", clip(e.Name), clip(e.To))
	}
	if strings.HasPrefix(to, walked+"/") {
		return refuse("The image has a hard link %q to what it takes the place of.", clip(e.Name))
	}
	if err := t.remove(walked); err != nil {
		return err
	}
	return t.share(t.at(to), t.at(walked))
}

// linkError says that a hard link leads nowhere.
func linkError(e *entry, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return refuse("The image has a hard link %q to %q, which is not in it.", clip(e.Name), clip(e.To))
	}
	return err
}

// share makes a file have a second name; where a file system allows no more names of
// it, a copy.
func (t *tree) share(from, to string) error {
	err := t.root.Link(from, to)
	if !errors.Is(err, syscall.EMLINK) {
		return err
	}
	in, err := t.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := t.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(info.Mode().Perm()), out.Close())
	if err != nil {
		return err
	}
	return t.root.Chtimes(to, info.ModTime(), info.ModTime())
}

// Files and directories that every environment needs.
var needed = []string{"dev", "etc", "mnt", "opt", "proc", "sys", "tmp", "var/lang", "var/runtime", "var/task"}

const (
	hostsFile    = "127.0.0.1 localhost localhost.localdomain\n::1 localhost localhost.localdomain\n"
	nsswitchFile = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"
	resolvFile   = "# this environment has no name server\n"
)

// furnish makes what every environment needs and an image need not have: places to
// mount at, and the files of /etc that no image can know.
func (t *tree) furnish(resolv []byte) error {
	for _, name := range needed {
		_, err := t.dir(name, true)
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) { // something else is in its place
			if err = t.remove(strings.Split(name, "/")[0]); err == nil {
				_, err = t.dir(name, true)
			}
		}
		if err != nil {
			return err
		}
	}
	if resolv == nil {
		resolv = []byte(resolvFile)
	}
	for name, text := range map[string][]byte{"etc/hosts": []byte(hostsFile), "etc/resolv.conf": resolv} {
		if err := t.write(name, text); err != nil {
			return err
		}
	}
	for name, text := range map[string][]byte{"etc/nsswitch.conf": []byte(nsswitchFile), "etc/passwd": nil, "etc/group": nil} {
		if _, info, err := t.walk(name, false); err == nil && info != nil && info.Mode().IsRegular() {
			continue
		}
		if err := t.write(name, text); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file instead of what is there. Files of layers are shared: they are
// never written to.
func (t *tree) write(name string, text []byte) error {
	walked, err := t.place(name)
	if err != nil {
		return err
	}
	if err := t.remove(walked); err != nil {
		return err
	}
	if err := t.root.WriteFile(t.at(walked), text, 0o600); err != nil {
		return err
	}
	return t.root.Chmod(t.at(walked), 0o644)
}

// read gives a small file of the image, nil when there is none.
func (t *tree) read(name string, most int64) []byte {
	walked, info, err := t.walk(name, false)
	if err != nil || info == nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil
	}
	text, err := t.root.ReadFile(t.at(walked))
	if err != nil {
		return nil
	}
	return text
}

// files gives the names of the files in a directory of the image, sorted.
func (t *tree) files(name string) []string {
	walked, err := t.dir(name, false)
	if err != nil {
		return nil // there is none
	}
	entries, err := fs.ReadDir(t.root.FS(), t.at(walked))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if _, info, err := t.walk(path.Join(walked, e.Name()), false); err == nil && info != nil && info.Mode().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names
}

// host gives the place of a walked path on this machine.
func (s *Store) host(base string) string { return filepath.Join(s.unpacked, base) }
