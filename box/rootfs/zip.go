package rootfs

import (
	"archive/zip"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"kiln"
)

// maxEntries bounds the files, links and directories of a package, also those
// directories that are only named on the way to a file.
const maxEntries = 100_000

// What AWS says about packages.
const (
	textBroken   = "Could not unzip uploaded file. Please check your file, then try to upload again."
	textEmpty    = "Uploaded file must be a non-empty zip"
	textTooLarge = "Unzipped size must be smaller than 262144000 bytes"
)

// archive is a zip that was found harmless as far as its tables tell: what is in
// it may be written beneath one directory. What its data tells (sizes, sums) comes
// out while reading, which is why every reader counts.
type archive struct {
	entries []entry // files in the order of the zip, after all directories, before all links
	dirs    []entry // every directory, parents first
	links   []entry
}

// entry is one thing that will be in the directory.
type entry struct {
	name string // slash-separated, clean, local
	mode fs.FileMode
	file *zip.File // nil for a directory that is only named on the way
}

// Inspect judges a package without writing anything: it checks names, kinds and
// headers, and inflates all of it to know its true size. A package that cannot be
// taken is a *kiln.Error with code Invalid and the text that AWS answers. How large a
// zip may be that is sent with a request is not judged here.
func Inspect(r io.ReaderAt, size int64) (unzipped int64, err error) {
	if size > kiln.MaxUnzippedSize {
		return 0, kiln.Errorf(kiln.Invalid, textTooLarge)
	}
	a, err := readArchive(r, size)
	if err != nil {
		return 0, err
	}
	left := int64(kiln.MaxUnzippedSize)
	for _, e := range a.entries {
		if err := e.inflate(io.Discard, &left); err != nil {
			return 0, err
		}
	}
	if _, err := a.targets(&left); err != nil {
		return 0, err
	}
	return kiln.MaxUnzippedSize - left, nil
}

// readArchive reads the tables of a zip and refuses everything that could reach
// outside of one directory, appear twice, or hide.
func readArchive(r io.ReaderAt, size int64) (*archive, error) {
	if size == 0 {
		return nil, kiln.Errorf(kiln.Invalid, textEmpty)
	}
	watched := &headerWatch{r: r}
	z, err := zip.NewReader(watched, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, broken(err)
	}
	if len(z.File) == 0 {
		return nil, kiln.Errorf(kiln.Invalid, textEmpty)
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader)
	if err := checkHeaders(z, watched); err != nil {
		return nil, err
	}
	return plan(z.File)
}

// plan sorts the entries of a zip into directories, files and links, and refuses
// names and kinds that must not be.
func plan(files []*zip.File) (*archive, error) {
	a := &archive{}
	seen := map[string]fs.FileMode{} // kind of everything that will exist
	wayDirs := map[string]int{}      // index in a.dirs
	if len(files) > maxEntries {
		return nil, refuse("it has more than %d entries", maxEntries)
	}
	for _, f := range files {
		name, err := cleanName(f.Name)
		if err != nil {
			return nil, err
		}
		kind := kindOf(f)
		if kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink {
			return nil, refuse("entry %q is neither a file nor a directory nor a symbolic link", f.Name)
		}
		if name == "." {
			if kind != fs.ModeDir {
				return nil, refuse("an entry has no name")
			}
			continue // the directory itself, as some programs write it
		}
		if err := a.addParents(seen, wayDirs, name); err != nil {
			return nil, err
		}
		e := entry{name, permissions(f, kind), f}
		known, there := seen[name]
		if i, onTheWay := wayDirs[name]; onTheWay && kind == fs.ModeDir && a.dirs[i].file == nil {
			a.dirs[i] = e // named before on the way to a file
			continue
		}
		if there {
			return nil, refuse("entry %q is there twice", cmp.Or(f.Name, known.String()))
		}
		seen[name] = kind
		switch kind {
		case fs.ModeDir:
			wayDirs[name] = len(a.dirs)
			a.dirs = append(a.dirs, e)
		case fs.ModeSymlink:
			a.links = append(a.links, e)
		default:
			a.entries = append(a.entries, e)
		}
		if len(seen) > maxEntries {
			return nil, refuse("it has more than %d entries", maxEntries)
		}
	}
	// a directory may be named after what lies in it
	slices.SortStableFunc(a.dirs, func(x, y entry) int { return strings.Compare(x.name, y.name) })
	return a, nil
}

// addParents makes sure that everything above a name is a directory.
func (a *archive) addParents(seen map[string]fs.FileMode, wayDirs map[string]int, name string) error {
	for i := 0; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		parent := name[:i]
		kind, there := seen[parent]
		if there && kind != fs.ModeDir {
			return refuse("entry %q lies in %q, which is not a directory", name, parent)
		}
		if there {
			continue
		}
		if len(seen) >= maxEntries {
			return refuse("it has more than %d entries", maxEntries)
		}
		seen[parent] = fs.ModeDir
		wayDirs[parent] = len(a.dirs)
		a.dirs = append(a.dirs, entry{parent, fs.ModeDir | 0o755, nil})
	}
	return nil
}

// cleanName gives the name of an entry without a trailing slash, or refuses it.
func cleanName(raw string) (string, error) {
	name := strings.TrimSuffix(raw, "/")
	switch {
	case name == "":
		return "", refuse("an entry has no name")
	case strings.ContainsRune(raw, 0), strings.Contains(raw, `\`):
		return "", refuse("entry %q has a character that no name can have", raw)
	case len(name) >= 2 && name[1] == ':' && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'):
		return "", refuse("entry %q is an absolute path", raw)
	case path.IsAbs(name):
		return "", refuse("entry %q is an absolute path", raw)
	case !filepath.IsLocal(filepath.FromSlash(name)):
		return "", refuse("entry %q lies outside of the package", raw)
	case len(name) > 4000:
		return "", refuse("entry %.40q… has a name that is too long", raw)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > 255 {
			return "", refuse("entry %.40q… has a name that is too long", raw)
		}
		if part == ".." || part == "" {
			return "", refuse("entry %q is not a plain path", raw)
		}
	}
	return path.Clean(name), nil
}

// kindOf gives the type bits of an entry. A name that ends in a slash is a
// directory whatever its attributes say.
func kindOf(f *zip.File) fs.FileMode {
	if strings.HasSuffix(f.Name, "/") {
		return fs.ModeDir
	}
	return f.Mode().Type()
}

// permissions gives the bits that a file keeps: those of the zip without write for
// group and others and without set-uid, set-gid and sticky. AWS keeps them too, so
// a file that only its owner may read is one that the function cannot read. A zip
// that records none means the usual ones.
func permissions(f *zip.File, kind fs.FileMode) fs.FileMode {
	bits := f.Mode().Perm() & 0o755
	if kind == fs.ModeDir {
		if bits == 0 {
			bits = 0o755
		}
		return fs.ModeDir | bits | 0o700
	}
	if bits == 0 {
		bits = 0o644
	}
	return kind | bits | 0o400
}

// inflate writes the contents of an entry and takes their size off what is left of
// the limit. It stops as soon as nothing is left, whatever the headers claim.
func (e entry) inflate(w io.Writer, left *int64) error {
	r, err := e.file.Open()
	if err != nil {
		return broken(err)
	}
	defer r.Close()
	n, err := io.Copy(faulty{w}, io.LimitReader(r, *left))
	*left -= n
	var disk *diskFault
	switch {
	case errors.As(err, &disk):
		return disk.err
	case err != nil:
		return broken(err)
	case *left <= 0:
		return kiln.Errorf(kiln.Invalid, textTooLarge)
	}
	return nil
}

// refuse is the refusal of a package that could be read and must not be used.
func refuse(format string, args ...any) error {
	return kiln.Errorf(kiln.Invalid, "Could not unzip uploaded file: "+format+".", args...)
}

// broken is the refusal of a file that is not a zip that can be read to its end.
func broken(err error) error {
	return &kiln.Error{Code: kiln.Invalid, Message: textBroken, Err: err}
}

// faulty marks errors of the side that is written to, so that a full disk is never
// taken for a broken zip.
type faulty struct{ w io.Writer }

type diskFault struct{ err error }

func (f *diskFault) Error() string { return f.err.Error() }

func (f faulty) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err != nil {
		err = &diskFault{err}
	}
	return n, err
}
