package runtimes

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kiln"
	"kiln/box/runtimes/debian"
)

// fromDebian is where Debian has an interpreter, as its descriptor says.
type fromDebian struct {
	Suite    string   `json:"suite"`
	Packages []string `json:"packages"`
}

// What every root has besides its interpreter: what functions find on Amazon Linux.
var (
	debianBase = []string{
		"base-files", "bash", "ca-certificates", "coreutils", "curl", "findutils", "grep", "gzip", "libc-bin", "locales",
		"netbase", "sed", "tar", "tzdata",
	}
	debianIfThere = []string{"tzdata-legacy"} // zones by their old names; before trixie tzdata has them
	// debianOmit are needed by maintainer scripts, or by an installation that is looked
	// after, and by no function.
	debianOmit = []string{
		"debconf", "debconf-2.0", "dpkg", "init-system-helpers", "install-info", "mailcap", "perl", "perl-base",
		"python2", "python3", "ucf",
	}
)

// rootLayout changes when another directory is made of the same packages.
const rootLayout = "1"

// keepDownloads is how long a download is kept that nobody goes on with.
const keepDownloads = 7 * 24 * time.Hour

// debian opens Debian as this machine reaches it now. Whoever opens it closes it.
func (b *Book) debian() (*debian.Archive, error) {
	return debian.Open(debian.Options{
		Mirror: b.options.DebianMirror, Keyring: b.options.DebianKeyring, Host: b.options.Host,
		Downloads: b.downloads(), Getenv: b.options.Getenv, Logger: b.log,
	})
}

// downloads is the directory of packages that are being fetched.
func (b *Book) downloads() string { return filepath.Join(b.dir, "downloads") }

// reachesDebian gives nil when a runtime can be made of Debian packages here, else
// why not.
func (b *Book) reachesDebian(d *descriptor) error {
	if b.options.HostOnly {
		return kiln.Errorf(kiln.Unsupported, "a root of Debian packages can only be used where sandboxes have a filesystem of their own (--sandbox linux)")
	}
	a, err := b.debian()
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Reaches(d.Debian.Suite)
}

// fetchRoot makes a root directory with the interpreter of a runtime out of Debian
// packages, and puts it into the directory of what was fetched.
func (b *Book) fetchRoot(ctx context.Context, d *descriptor, progress func(done, total int64)) error {
	if err := b.reachesDebian(d); err != nil {
		return err
	}
	a, err := b.debian()
	if err != nil {
		return err
	}
	defer a.Close()
	plan, err := a.Plan(ctx, debian.Request{
		Suite: d.Debian.Suite, Packages: append(append([]string(nil), d.Debian.Packages...), debianBase...),
		IfThere: debianIfThere, Omit: debianOmit,
	})
	if err != nil {
		return err
	}
	carried, err := openCarried(ctx, d)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(rootLayout + "\n" + d.Identifier + "\n" + plan.Digest() + carried.version + d.Wheel.digest()))
	home := b.fetchedDir(d.Identifier)
	digest := hex.EncodeToString(sum[:])[:16]
	if there, err := filepath.Glob(filepath.Join(home, "[0-9]*-"+digest)); err == nil && len(there) > 0 {
		return plan.Forget()
	}
	work, err := newWork(home)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start
	root, lang := filepath.Join(work, "root"), filepath.Join(work, "lang")
	for _, dir := range []string{work, root, lang} {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	if err := plan.Fill(ctx, root, progress); err != nil {
		return err
	}
	if err := carried.fill(ctx, work, filepath.Join(lang, "bin"), progress); err != nil {
		return err
	}
	if err := d.Wheel.fill(ctx, work, root, d.language()); err != nil {
		return err
	}
	i, err := furnish(ctx, d, root, lang)
	if err != nil {
		return fmt.Errorf("make a root of Debian %s: %w", d.Debian.Suite, err)
	}
	if err := writeContents(filepath.Join(work, "packages.json"), d.Debian.Suite, plan.Packages()); err != nil {
		return err
	}
	syncDisk()
	target := filepath.Join(home, i.Version+"-"+digest)
	if err := os.Rename(work, target); err != nil {
		return err
	}
	return errors.Join(b.discardOthers(d.Identifier, home, target), plan.Forget())
}

// newWork makes a directory to work in, in the home of what will be fetched, and
// deletes those that interrupted fetches left: one process at a time adds to a data
// directory, and one fetch at a time in it.
func newWork(home string) (string, error) {
	if err := makeDir(home); err != nil {
		return "", err
	}
	left, err := filepath.Glob(filepath.Join(home, ".new-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(home, ".new-")
}

// writeContents notes which packages a root is made of.
func writeContents(name, suite string, packages []debian.Package) error {
	text, err := json.MarshalIndent(struct {
		Suite    string
		Packages []debian.Package
	}{suite, packages}, "", " ")
	if err != nil {
		return err
	}
	return writeFile(name, text, 0o644)
}

// furnish moves the interpreter of an unpacked root to where a box has it, compiles
// its library and makes the locale that functions are started with.
func furnish(ctx context.Context, d *descriptor, root, lang string) (*interpreter, error) {
	if d.Family == "python" {
		if err := moveLanguage(d, root, lang); err != nil {
			return nil, err
		}
	}
	p := program{path: d.programOf(filepath.Dir(root)), root: root}
	switch {
	case p.path == "":
		return nil, kiln.Errorf(kiln.Unavailable, "its packages hold no %s", d.language())
	case d.Family == "python":
		library := filepath.Join("lib", "python"+d.Version)
		if err := compileLibrary(ctx, p, filepath.Join(lang, library), filepath.Join(langDir, library)); err != nil {
			return nil, fmt.Errorf("compile its library: %w", err)
		}
	case d.Family == "ruby":
		// The plain name belongs to another package, whose version is the suite's.
		if err := os.Symlink(filepath.Base(p.path), filepath.Join(filepath.Dir(p.path), "ruby")); err != nil && !os.IsExist(err) {
			return nil, err
		}
	}
	if err := makeLocale(ctx, root); err != nil {
		return nil, fmt.Errorf("make its locale: %w", err)
	}
	i, err := ask(ctx, d.Family, p)
	if err != nil {
		return nil, kiln.Errorf(kiln.Unavailable, "its interpreter does not run: %w", err)
	}
	if i.minor() != d.Version {
		return nil, kiln.Errorf(kiln.Unavailable, "its interpreter is version %s, not %s", i.Version, d.Version)
	}
	return i, nil
}

// programOf gives the interpreter in a directory of what was fetched for a runtime, ""
// when there is none.
func (d *descriptor) programOf(dir string) string {
	patterns := map[string][]string{
		"nodejs": {"bin/node"},
		"python": {"lang/bin/python" + d.Version},
		"ruby":   {"root/usr/bin/ruby" + d.Version},
		"dotnet": {"lang/bin/dotnet"},
		"java":   {"root/usr/lib/jvm/*/jre/bin/java", "root/usr/lib/jvm/*/bin/java"},
	}
	for _, pattern := range patterns[d.Family] {
		if matches, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(matches) > 0 {
			return matches[0]
		}
	}
	return ""
}

// moveLanguage takes the interpreter and its library out of the root's /usr, so that
// one directory is all of /var/lang, and leaves links that lead there.
func moveLanguage(d *descriptor, root, lang string) error {
	name := "python" + d.Version
	for _, dir := range []string{"bin", "lib"} {
		if err := makeDir(filepath.Join(lang, dir)); err != nil {
			return err
		}
		from := filepath.Join(root, "usr", dir, name)
		if err := os.Rename(from, filepath.Join(lang, dir, name)); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join(langDir, dir, name), from); err != nil {
			return err
		}
	}
	for _, link := range []string{"python", "python" + d.Version[:1]} {
		if err := os.Symlink(name, filepath.Join(lang, "bin", link)); err != nil {
			return err
		}
	}
	// What is installed beside the system is nobody's, and hiding it would cost every
	// cold start.
	for _, dir := range []string{
		filepath.Join(root, "usr/lib/python3"), filepath.Join(root, "usr/local"),
		filepath.Join(lang, "lib", name, "dist-packages"), filepath.Join(lang, "lib", name, "site-packages"),
	} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// compileLibrary compiles the modules below dir under the names that they have where
// they are shown. A box cannot keep what it compiled: each start would do it again.
// What does not compile stays as it is.
func compileLibrary(ctx context.Context, p program, dir, shown string) error {
	const code = `
import os, py_compile, sys
dir, shown = sys.argv[1:3]
mode = {}
if hasattr(py_compile, "PycInvalidationMode"):
    mode["invalidation_mode"] = py_compile.PycInvalidationMode.UNCHECKED_HASH
for at, _, names in os.walk(dir):
    for name in names:
        path = os.path.join(at, name)
        if name.endswith(".py") and not os.path.islink(path):
            try:
                py_compile.compile(path, dfile=shown + path[len(dir):], doraise=True, **mode)
            except (py_compile.PyCompileError, UnicodeError, ValueError):
                pass
`
	if _, err := output(ctx, asSelf, p, "-E", "-S", "-c", code, dir, shown); err != nil {
		return err
	}
	return readableBelow(dir)
}

// readableBelow lets everybody read what a program has written below dir, whatever
// the umask.
func readableBelow(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(name, mode&^0o022)
	})
}

// makeLocale compiles en_US.UTF-8 with the root's own tool and removes what it was
// made of.
func makeLocale(ctx context.Context, root string) error {
	sources := filepath.Join(root, "usr/share/i18n")
	// The tool would unpack it with a program of the host.
	if err := gunzip(filepath.Join(sources, "charmaps/UTF-8.gz"), filepath.Join(sources, "charmaps/UTF-8")); err != nil {
		return err
	}
	target := filepath.Join(root, "usr/lib/locale/en_US.utf8")
	if err := makeDir(filepath.Dir(target)); err != nil {
		return err
	}
	tool := program{path: filepath.Join(root, "usr/bin/localedef"), root: root, env: []string{"I18NPATH=" + sources, "LC_ALL=C"}}
	if _, err := output(ctx, asSelf, tool, "--no-archive", "--quiet", "-i", "en_US", "-f", filepath.Join(sources, "charmaps/UTF-8"), target); err != nil {
		return err
	}
	if err := readableBelow(target); err != nil {
		return err
	}
	return os.RemoveAll(sources)
}

// gunzip writes the contents of a compressed file into another one.
func gunzip(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	return unpackFile(to, io.Reader(unzipped), 0o644)
}
