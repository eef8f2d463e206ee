package rootfs_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

// item is one entry of a zip that a test makes.
type item struct {
	name string
	body string
	mode fs.FileMode // 0 is a plain file without recorded permissions
}

func link(name, to string) item { return item{name, to, fs.ModeSymlink | 0o777} }

// zipOf makes a zip as common tools do.
func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		if i.mode != 0 {
			h.SetMode(i.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(i.name, "/") {
			continue
		}
		if _, err := io.WriteString(f, i.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// raw is an entry whose bytes and claims are given.
type raw struct {
	name, localName string // localName "" is name
	method          uint16
	data            []byte
	plain           uint32 // claimed size
	sum             uint32
	at              int // offset of a local header that is there already; -1 writes one
}

// rawZip makes a zip of exactly these bytes, true or not.
func rawZip(entries ...raw) []byte {
	var out, table bytes.Buffer
	le := binary.LittleEndian
	put := func(w *bytes.Buffer, values ...any) {
		for _, v := range values {
			_ = binary.Write(w, le, v) // to memory: never fails
		}
	}
	for _, e := range entries {
		at := e.at
		if at < 0 {
			at = out.Len()
			out.Write(e.localHeader())
			out.Write(e.data)
		}
		put(&table, uint32(0x02014b50), uint16(3<<8|20), uint16(20), uint16(0), e.method, uint32(0), e.sum, uint32(len(e.data)), e.plain,
			uint16(len(e.name)), uint16(0), uint16(0), uint16(0), uint16(0), uint32(0o100644<<16), uint32(at))
		table.WriteString(e.name)
	}
	start := out.Len()
	out.Write(table.Bytes())
	put(&out, uint32(0x06054b50), uint16(0), uint16(0), uint16(len(entries)), uint16(len(entries)), uint32(table.Len()), uint32(start), uint16(0))
	return out.Bytes()
}

func (e raw) localHeader() []byte {
	var out bytes.Buffer
	name := e.name
	if e.localName != "" {
		name = e.localName
	}
	for _, v := range []any{uint32(0x04034b50), uint16(20), uint16(0), e.method, uint32(0), e.sum, uint32(len(e.data)), e.plain, uint16(len(name)), uint16(0)} {
		_ = binary.Write(&out, binary.LittleEndian, v) // to memory: never fails
	}
	out.WriteString(name)
	return out.Bytes()
}

func stored(name, body string) raw {
	return raw{name: name, data: []byte(body), plain: uint32(len(body)), sum: crc32.ChecksumIEEE([]byte(body)), at: -1}
}

// zeros gives n zero bytes, deflated: a thousand to one.
func zeros(t testing.TB, n int) []byte {
	t.Helper()
	const unit = 1 << 20
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) []byte {
		out.Reset()
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(out.Bytes())
	}
	// what stands for a block of zeros stands for the next one, too
	text := bytes.Repeat(write(unit), n/unit)
	text = append(text, write(n%unit)...)
	out.Reset()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(text, out.Bytes()...)
}

// blobs are packages in memory.
type blobs struct {
	mu     sync.Mutex
	m      map[string][]byte
	opened atomic.Int32
	gate   chan struct{} // when it is set, Open waits for it to be closed
}

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }

func (b *blobs) Open(sha string) (interface {
	io.ReaderAt
	io.Closer
}, int64, error) {
	b.opened.Add(1)
	if b.gate != nil {
		<-b.gate
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.m[sha]
	if !ok {
		return nil, 0, kiln.Errorf(kiln.NotFound, "no package %s", sha)
	}
	return blob{bytes.NewReader(text)}, int64(len(text)), nil
}

func (b *blobs) add(text []byte) *kiln.Version {
	sum := sha256.Sum256(text)
	sha := hex.EncodeToString(sum[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[string][]byte{}
	}
	b.m[sha] = text
	return &kiln.Version{Package: kiln.Package{SHA256: sha, Size: int64(len(text))}}
}

func openCache(t testing.TB, b *blobs) (*rootfs.Cache, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := rootfs.Open(dir, b, rootfs.Options{Host: emptyHost(t), Grace: -1, Boot: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return c, filepath.Join(dir, "rootfs")
}

func inspect(text []byte) (int64, error) {
	return rootfs.Inspect(bytes.NewReader(text), int64(len(text)))
}

// prepare unpacks a zip and gives its directory.
func prepare(t testing.TB, c *rootfs.Cache, v *kiln.Version) (string, error) {
	t.Helper()
	r, err := c.Prepare(t.Context(), v, kiln.Runtime{})
	if err != nil {
		return "", err
	}
	last := r.Mounts[len(r.Mounts)-1]
	if last.Target != "/var/task" {
		t.Errorf("the last mount is at %s", last.Target)
	}
	return last.Source, nil
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
