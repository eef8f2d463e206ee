package image

import (
	"archive/tar"
	"bufio"
	"bytes"
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
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln"
)

// What a layer may be.
const (
	maxEntries    = 2_000_000
	maxZstdWindow = 128 << 20
)

// entry is one line of a layer's list. Its name is clean.
type entry struct {
	Kind  byte        `json:"k"` // one of the kinds
	Name  string      `json:"n"`
	Mode  fs.FileMode `json:"m,omitempty"` // permissions
	To    string      `json:"t,omitempty"` // of a link
	File  int         `json:"f,omitempty"` // number of the file
	Bytes int64       `json:"b,omitempty"`
}

// The kinds of entries.
const (
	isFile    = 'f'
	isDir     = 'd'
	isSymlink = 'l'
	isLink    = 'h' // a further name of a file
	isGone    = 'w'
	isOpaque  = 'o'
)

// listName is the file with a layer's list, beside its files, which are numbered from 1.
const listName = "list"

func (s *Store) layerDir(diff string) string { return filepath.Join(s.unpacked, "layers", diff) }

// unpackLayer makes the numbered files and the list of a layer unless they are there.
// diff is the digest of the layer without compression. It gives the bytes of its files.
func (s *Store) unpackLayer(ctx context.Context, r *reference, d v1.Descriptor, diff string) error {
	return s.once(ctx, "layer "+diff, func() error {
		if _, err := os.Lstat(s.layerDir(diff)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case s.work <- struct{}{}:
			defer func() { <-s.work }()
		case <-ctx.Done():
			return ctx.Err()
		}
		f, err := os.Open(s.blob(d.Digest.Hex))
		if errors.Is(err, fs.ErrNotExist) {
			return ErrLost
		}
		if err != nil {
			return diskError(err)
		}
		defer f.Close()
		tmp, err := os.MkdirTemp(filepath.Join(s.unpacked, "tmp"), "layer-")
		if err != nil {
			return diskError(err)
		}
		w := &layerWriter{ctx: ctx, dir: tmp, left: s.o.MaxBytes, image: r.text}
		if err = w.write(f, diff); err == nil {
			err = os.Chmod(tmp, 0o711)
		}
		if err == nil {
			err = os.Rename(tmp, s.layerDir(diff))
		}
		if err != nil {
			return errors.Join(layerError(err), os.RemoveAll(tmp))
		}
		if w.skipped > 0 {
			s.log.WarnContext(ctx, "devices, pipes or sockets of an image were left out", "image", r.text, "count", w.skipped)
		}
		return nil
	})
}

// layerError keeps what is known and says of all else that the disk did it.
func layerError(err error) error {
	var known *kiln.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return diskError(err)
}

// layerWriter writes one layer.
type layerWriter struct {
	ctx     context.Context
	dir     string
	image   string
	left    int64 // bytes that may still come
	files   int
	entries int
	skipped int
	list    *json.Encoder
	buffer  [64 << 10]byte
}

// write reads a layer to its end and checks that it has its digest.
func (w *layerWriter) write(from io.Reader, diff string) (err error) {
	plain, closePlain, err := decompress(bufio.NewReaderSize(from, 64<<10))
	if err != nil {
		return w.broken(err)
	}
	defer closePlain()
	f, err := os.OpenFile(filepath.Join(w.dir, listName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	list := bufio.NewWriterSize(f, 64<<10)
	w.list = json.NewEncoder(list)
	sum := sha256.New()
	bounded := &boundedReader{r: &contextReader{w.ctx, plain}, left: w.left, image: w.image}
	whole := io.TeeReader(bounded, sum)
	for t := tar.NewReader(whole); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return w.broken(err)
		}
		if err := w.entry(h, t); err != nil {
			return err
		}
	}
	// What stands behind the end of the archive belongs to the digest.
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{whole}, w.buffer[:]); err != nil {
		return w.broken(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diff {
		return refuse("The image %s is damaged: its layer sha256:%s has the contents of sha256:%s.", clip(w.image), diff, got)
	}
	return list.Flush()
}

// entry writes one entry of a layer.
func (w *layerWriter) entry(h *tar.Header, data io.Reader) error {
	if w.entries++; w.entries > maxEntries {
		return refuse("A layer of the image %s has more than %d entries.", clip(w.image), maxEntries)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	white, of, err := readWhiteout(name)
	switch {
	case err != nil:
		return err
	case white == meansNothing:
		return nil
	case white == removes:
		return w.put(entry{Kind: isGone, Name: of})
	case white == makesOpaque:
		return w.put(entry{Kind: isOpaque, Name: of})
	}
	e := entry{Name: name, Mode: fs.FileMode(h.Mode).Perm()}
	if name == "." && h.Typeflag != tar.TypeDir {
		return refuse("The image %s has a root that is no directory.", clip(w.image))
	}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = isDir
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Kind, e.Bytes = isFile, h.Size
		if err := w.file(&e, h, data); err != nil {
			return err
		}
	case tar.TypeSymlink:
		e.Kind, e.To, e.Mode = isSymlink, h.Linkname, 0
		if e.To == "" || len(e.To) >= maxName || bytes.IndexByte([]byte(e.To), 0) >= 0 {
			return refuse("The image has a link %q that leads nowhere.", clip(name))
		}
	case tar.TypeLink:
		e.Kind, e.Mode = isLink, 0
		if e.To, err = cleanName(h.Linkname); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		w.skipped++ // a box has devices of its own
		return nil
	default:
		return refuse("The image has an entry %q of the unknown kind %q.", clip(name), string(h.Typeflag))
	}
	return w.put(e)
}

// file writes the next numbered file. Its permissions are those of the entry, without
// writing by others; nothing else of the entry has an effect.
func (w *layerWriter) file(e *entry, h *tar.Header, data io.Reader) (err error) {
	if h.Size > w.left {
		return tooLarge(w.image)
	}
	w.left -= h.Size
	w.files++
	e.File = w.files
	path := filepath.Join(w.dir, strconv.Itoa(w.files))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{data}, w.buffer[:])
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return err
		}
		return w.broken(err)
	}
	if n != h.Size {
		return w.broken(io.ErrUnexpectedEOF)
	}
	if err := f.Chmod(e.Mode &^ 0o022); err != nil { // the umask does not count
		return err
	}
	// Compiled Python is only believed beside a source of the time that it names.
	modified := h.ModTime
	if modified.Year() < 1970 || modified.Year() > 2200 {
		modified = time.Unix(0, 0)
	}
	return os.Chtimes(path, modified, modified)
}

func (w *layerWriter) put(e entry) error { return w.list.Encode(e) }

// broken says that a layer cannot be read.
func (w *layerWriter) broken(err error) error {
	var known *kiln.Error
	if errors.As(err, &known) || w.ctx.Err() != nil {
		return err
	}
	return refuse("A layer of the image %s cannot be unpacked: %v.", clip(w.image), err)
}

func tooLarge(image string) error {
	return refuse("The image %s is larger than an image may be, unpacked.", clip(image))
}

// boundedReader fails when more comes than may.
type boundedReader struct {
	r     io.Reader
	left  int64
	image string
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.image)
	}
	return n, err
}

// decompress finds out by the first bytes how a layer is packed, and unpacks it. The
// media type is not asked: builders have called one thing the other.
func decompress(from *bufio.Reader) (io.Reader, func(), error) {
	head, err := from.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil // it was read to its end, or failed before
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18:
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return from, func() {}, nil
}

// readList calls f with every entry of a layer.
func (s *Store) readList(diff string, f func(*entry) error) error {
	file, err := os.Open(filepath.Join(s.layerDir(diff), listName))
	if err != nil {
		return err
	}
	defer file.Close()
	for list := json.NewDecoder(bufio.NewReaderSize(file, 64<<10)); ; {
		var e entry
		if err := list.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the list of layer %s: %w", diff, err)
		}
		if err := f(&e); err != nil {
			return err
		}
	}
}
