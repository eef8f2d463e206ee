package pack

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Limits of a package that is sent with the request, as Lambda has them.
const (
	MaxZipSize      = 52428800
	MaxUnzippedSize = 262144000
)

// epoch is the time of every entry, so that the same files make the same bytes.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ignored are names that never belong into a package: history of version control,
// caches, droppings of editors. They are left out at every depth.
var ignored = []string{
	".git", ".hg", ".svn", ".gitignore", ".gitattributes", ".DS_Store", ".idea", ".vscode",
	"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".venv", ".cache",
}

// Options say how a source is packed.
type Options struct {
	Architecture string   // for what Pack compiles; "x86_64" or "arm64"
	Exclude      []string // more names or patterns (path.Match) of entries to leave out, by base name or by path
	// Runtime is the identifier that Java is compiled for; "" leaves it to the compiler.
	Runtime string
	Talk    io.Writer
}

// Pack makes the zip of the source. Equal files give equal bytes, whatever their
// dates and owners. A zip is passed on as it is.
func (s *Source) Pack(ctx context.Context, o Options) ([]byte, error) {
	var out []byte
	var err error
	switch {
	case s.Kind == Zip:
		out, err = os.ReadFile(s.Path)
	case s.Builds:
		out, err = s.packBuilt(ctx, o)
	case s.Kind == Program:
		out, err = s.packFile("bootstrap", 0o755)
	case s.Kind == Script:
		out, err = s.packFile(filepath.Base(s.Path), 0o644)
	default:
		out, err = packFolder(s.Path, o.Exclude)
	}
	if err != nil {
		return nil, err
	}
	if len(out) > MaxZipSize {
		return nil, fmt.Errorf("the package of %s is %d MB zipped; Lambda takes at most %d MB in a request: leave files out with exclude in function.yaml",
			s.Path, len(out)>>20, MaxZipSize>>20)
	}
	return out, nil
}

func (s *Source) packFile(name string, mode fs.FileMode) ([]byte, error) {
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, err
	}
	return pack([]entry{{name: name, mode: mode, open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}})
}

// entry is one file or link of a package.
type entry struct {
	name string
	mode fs.FileMode
	link string
	open func() (io.ReadCloser, error)
}

// packFolder packs everything in dir that is not left out.
func packFolder(dir string, exclude []string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	var entries []entry
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if leftOut(p, exclude) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		e, ok, err := entryOf(root, p, d)
		if ok {
			entries = append(entries, e)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s has no files to pack", dir)
	}
	return pack(entries)
}

// entryOf describes one file of a folder; folders themselves have no entry.
func entryOf(root *os.Root, p string, d fs.DirEntry) (entry, bool, error) {
	switch {
	case d.IsDir():
		return entry{}, false, nil
	case d.Type()&fs.ModeSymlink != 0:
		target, err := root.Readlink(p)
		if err != nil {
			return entry{}, false, err
		}
		target = filepath.ToSlash(target)
		if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(p), target)) {
			return entry{}, false, fmt.Errorf("%s is a link to %s, outside the folder: copy what it points at, or exclude it", p, target)
		}
		return entry{name: p, mode: fs.ModeSymlink | 0o777, link: target}, true, nil
	case !d.Type().IsRegular():
		return entry{}, false, fmt.Errorf("%s is neither a file nor a folder nor a link; a package cannot hold it", p)
	}
	info, err := d.Info()
	if err != nil {
		return entry{}, false, err
	}
	mode := fs.FileMode(0o644)
	// Windows has no bit of execution; there the name must do.
	if info.Mode()&0o100 != 0 || runtime.GOOS == "windows" && p == "bootstrap" {
		mode = 0o755
	}
	return entry{name: p, mode: mode, open: func() (io.ReadCloser, error) { return root.Open(p) }}, true, nil
}

// LeftOut reports whether an entry of a folder, by its path with slashes, is none of
// the package's.
func LeftOut(p string, exclude []string) bool { return leftOut(p, exclude) }

// leftOut reports whether an entry stays out of the package.
func leftOut(p string, exclude []string) bool {
	base := path.Base(p)
	if p == "function.yaml" || slices.Contains(ignored, base) || strings.HasSuffix(base, ".pyc") {
		return true
	}
	for _, pattern := range exclude {
		pattern = strings.TrimSuffix(pattern, "/")
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
		if ok, _ := path.Match(pattern, p); ok {
			return true
		}
	}
	return false
}

// CheckPatterns says which pattern of an exclude list cannot be understood.
func CheckPatterns(exclude []string) error {
	for _, p := range exclude {
		if _, err := path.Match(p, "x"); err != nil {
			return fmt.Errorf("the pattern %q cannot be understood", p)
		}
	}
	return nil
}

// pack writes entries in the order of their names.
func pack(entries []entry) ([]byte, error) {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	var total int64
	for _, e := range entries {
		n, err := write(w, e)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
		if total += n; total > MaxUnzippedSize {
			return nil, fmt.Errorf("the package is larger than %d MB unzipped; Lambda takes no more: leave files out with exclude in function.yaml", MaxUnzippedSize/1000/1000)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func write(w *zip.Writer, e entry) (n int64, err error) {
	h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: epoch}
	h.SetMode(e.mode)
	to, err := w.CreateHeader(h)
	if err != nil {
		return 0, err
	}
	if e.link != "" {
		written, err := io.WriteString(to, e.link)
		return int64(written), err
	}
	from, err := e.open()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return io.Copy(to, from)
}
