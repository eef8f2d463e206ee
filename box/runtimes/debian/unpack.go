package debian

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Bounds of a root, far above what one of some dozen packages needs.
const (
	maxRootBytes   = 4 << 30
	maxRootEntries = 400_000
)

// merged are the directories at the top that lie in /usr: everywhere since bookworm,
// and in every root that is made here.
var merged = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// kept are the directories of packages that a root is made of. The others belong to a
// machine that boots, or are made for each environment.
var kept = []string{"usr", "etc"}

// leftOut are what nobody reads in an environment.
var leftOut = []string{
	"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/menu",
	"usr/share/icons", "usr/share/pixmaps", "usr/share/applications", "usr/share/bash-completion", "usr/share/zsh",
	"usr/share/fish", "usr/share/doc-base", "usr/share/gdb", "usr/share/debconf", "usr/share/initramfs-tools",
	"usr/lib/systemd", "usr/lib/tmpfiles.d", "usr/lib/sysusers.d", "etc/init.d", "etc/cron.daily", "etc/default",
	"etc/update-motd.d", "etc/logcheck", "etc/skel", "etc/systemd",
}

// unpacker writes packages into a root directory, by means that cannot leave it. What
// two packages bring is refused unless one of them says that it takes the other's
// place.
type unpacker struct {
	root    *os.Root
	owners  map[string]*parcel // of files and links
	bytes   int64
	entries int
}

// newUnpacker begins with an empty root.
func newUnpacker(root *os.Root) *unpacker {
	return &unpacker{root: root, owners: make(map[string]*parcel)}
}

// unpack writes the files of a package. There are no devices among them, none has
// more rights than its reader, and all belong to whoever runs this.
func (u *unpacker) unpack(ctx context.Context, p *parcel, deb string) error {
	err := openDeb(ctx, deb, func(h *tar.Header, contents io.Reader) error { return u.entry(p, h, contents) })
	if err != nil {
		return fmt.Errorf("unpack %s %s: %w", p.name, p.version, err)
	}
	return nil
}

// entry writes one entry of a package.
func (u *unpacker) entry(p *parcel, h *tar.Header, contents io.Reader) error {
	if u.entries++; u.entries > maxRootEntries {
		return fmt.Errorf("there are more than %d files", maxRootEntries)
	}
	name, err := placeOf(h.Name)
	if err != nil {
		return err
	}
	if !isKept(name) || h.Typeflag == tar.TypeSymlink && slices.Contains(merged, path.Clean(h.Name)) {
		return nil // base-files brings the links of the merged directories
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(name, h)
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
	default:
		return fmt.Errorf("%s is no file, directory or link", h.Name)
	}
	if strings.HasPrefix(name, "usr/share/doc/") && (path.Base(name) != "copyright" || h.Typeflag != tar.TypeReg) {
		return nil
	}
	if err := u.makeRoom(p, name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		return u.hardLink(name, h.Linkname)
	}
	return u.file(name, h, contents)
}

// placeOf gives the place of an entry in the root, with /bin and its like in /usr, and
// refuses names that are no place in it.
func placeOf(name string) (string, error) {
	parts := strings.Split(name, "/")
	if strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) || slices.Contains(parts, "..") {
		return "", fmt.Errorf("%q is no name of a file in a package", name)
	}
	clean := path.Clean(name)
	first, _, _ := strings.Cut(clean, "/")
	if slices.Contains(merged, first) {
		return "usr/" + clean, nil
	}
	return clean, nil
}

// isKept reports whether a place is one that a root is made of.
func isKept(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	if !slices.Contains(kept, first) {
		return false
	}
	for _, dir := range leftOut {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return false
		}
	}
	return true
}

// directory makes a directory. One that is a link already stays one: it is how a
// package's directory was moved.
func (u *unpacker) directory(name string, h *tar.Header) error {
	if strings.HasPrefix(name, "usr/share/doc/") {
		return nil // made when there is something to put in
	}
	info, err := u.root.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is a directory in one package and none in another", h.Name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := u.parent(name); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return u.root.Chmod(name, 0o755)
}

// parent makes the directories above a place, readable by everybody.
func (u *unpacker) parent(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	info, err := u.root.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s is no directory", dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := u.parent(dir); err != nil {
		return err
	}
	return errors.Join(u.root.Mkdir(dir, 0o755), u.root.Chmod(dir, 0o755))
}

// makeRoom sees to it that nothing is at a place, and notes who is there now.
func (u *unpacker) makeRoom(p *parcel, name string) error {
	if err := u.parent(name); err != nil {
		return err
	}
	owner := u.owners[name]
	u.owners[name] = p
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory already", name)
	case owner != nil && owner != p && !owner.replaced(p) && !p.replaced(owner):
		return fmt.Errorf("%s brings %s too", owner.name, name)
	}
	return u.root.Remove(name)
}

// replaced reports whether a package may write over another's files.
func (p *parcel) replaced(other *parcel) bool {
	for _, clause := range clauses(other.replaces) {
		if len(clause) > 0 && clause[0].name == p.name && clause[0].allows(p.version) {
			return true
		}
	}
	return false
}

// symlink makes a link. Where it leads does not matter here: nothing follows it out
// of the root.
func (u *unpacker) symlink(name, target string) error {
	if target == "" || strings.ContainsRune(target, 0) {
		return fmt.Errorf("the link %s leads nowhere", name)
	}
	return u.root.Symlink(target, name)
}

// hardLink gives a file of the same package one more name.
func (u *unpacker) hardLink(name, target string) error {
	from, err := placeOf(target)
	if err != nil {
		return err
	}
	info, err := u.root.Lstat(from)
	if err != nil {
		return fmt.Errorf("%s is another name of what is not there: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is another name of what is no file", name)
	}
	return u.root.Link(from, name)
}

// file writes a file. That it may be run by everybody is all that stays of its mode.
func (u *unpacker) file(name string, h *tar.Header, contents io.Reader) error {
	if u.bytes += h.Size; u.bytes > maxRootBytes {
		return fmt.Errorf("the files take more than %d bytes", int64(maxRootBytes))
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	out, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, contents)
	if err == nil {
		err = out.Chmod(mode)
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return u.root.Chtimes(name, time.Time{}, h.ModTime)
}
