package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"kiln"
	"kiln/engine/catalog"
)

// BlobSuite runs the contract of catalog.Blobs against new, empty stores that open
// gives. Their Sweep must not spare packages for being young.
func BlobSuite(t *testing.T, open func(t *testing.T) catalog.Blobs) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, catalog.Blobs)
	}{
		{"a package comes back under its digest", testBlob},
		{"putting the same bytes twice is putting them once", testBlobTwice},
		{"a reader that fails leaves nothing", testBlobReader},
		{"a put whose context has ended leaves nothing", testBlobCancelled},
		{"what is not there is not found", testBlobMissing},
		{"a sweep removes what is not kept and nothing else", testSweep},
		{"a sweep never takes a package that is kept when it is put", testSweepRace},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func testBlob(t *testing.T, b catalog.Blobs) {
	for _, text := range [][]byte{[]byte("x"), {}, bytes.Repeat([]byte{0, 1, 2}, 1<<20)} {
		sha, size, err := b.Put(t.Context(), bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if want := digest(text); sha != want || size != int64(len(text)) {
			t.Errorf("put gave %s and %d, want %s and %d", sha, size, want, len(text))
		}
		if got := read(t, b, sha); !bytes.Equal(got, text) {
			t.Errorf("a package of %d bytes came back with %d", len(text), len(got))
		}
	}
}

func testBlobTwice(t *testing.T, b catalog.Blobs) {
	put(t, b, "x")
	sha := put(t, b, "x")
	if got := read(t, b, sha); string(got) != "x" {
		t.Errorf("got %q", got)
	}
	if n := sweep(t, b, func(string) bool { return false }); n != 1 {
		t.Errorf("sweep removed %d packages, want 1", n)
	}
}

func testBlobReader(t *testing.T, b catalog.Blobs) {
	broken := errors.New("the client went away")
	_, _, err := b.Put(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("put gave %v, want %v", err, broken)
	}
	if n := sweep(t, b, func(string) bool { return false }); n != 0 {
		t.Errorf("%d packages were left", n)
	}
}

func testBlobCancelled(t *testing.T, b catalog.Blobs) {
	ctx, stop := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader([]byte("x")), readerFunc(func([]byte) (int, error) { stop(); return 0, nil }), bytes.NewReader([]byte("y")))
	if _, _, err := b.Put(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("put gave %v, want %v", err, context.Canceled)
	}
	if n := sweep(t, b, func(string) bool { return false }); n != 0 {
		t.Errorf("%d packages were left", n)
	}
}

func testBlobMissing(t *testing.T, b catalog.Blobs) {
	put(t, b, "x")
	for _, sha := range []string{digest([]byte("y")), "", ".", "../x", "..", "/etc/passwd", digest([]byte("x"))[:63]} {
		if _, _, err := b.Open(sha); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("open of %q gave %v, want a NotFound", sha, err)
		}
	}
}

func testSweep(t *testing.T, b catalog.Blobs) {
	x, y, z := put(t, b, "x"), put(t, b, "y"), put(t, b, "z")
	if n := sweep(t, b, func(sha string) bool { return sha == y }); n != 2 {
		t.Errorf("sweep removed %d packages, want 2", n)
	}
	for _, gone := range []string{x, z} {
		if _, _, err := b.Open(gone); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("open of a swept package gave %v", err)
		}
	}
	if got := read(t, b, y); string(got) != "y" {
		t.Errorf("the package that was kept holds %q", got)
	}
}

// testSweepRace puts and sweeps one package against each other: once it is kept
// and Put returned, it is there.
func testSweepRace(t *testing.T, b catalog.Blobs) {
	for range 200 {
		var kept atomic.Bool
		var both sync.WaitGroup
		put(t, b, "x")
		both.Go(func() {
			if _, err := b.Sweep(t.Context(), func(string) bool { return kept.Load() }); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			kept.Store(true)
			sha := put(t, b, "x")
			if got := read(t, b, sha); string(got) != "x" {
				t.Errorf("the package holds %q", got)
			}
		})
		both.Wait()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) {
	if _, err := f(p); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, b catalog.Blobs, text string) string {
	t.Helper()
	sha, _, err := b.Put(t.Context(), bytes.NewReader([]byte(text)))
	if err != nil {
		t.Errorf("put: %v", err)
	}
	return sha
}

func read(t *testing.T, b catalog.Blobs, sha string) []byte {
	t.Helper()
	blob, size, err := b.Open(sha)
	if err != nil {
		t.Errorf("open: %v", err)
		return nil
	}
	defer blob.Close()
	text, err := io.ReadAll(io.NewSectionReader(blob, 0, size))
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return text
}

func sweep(t *testing.T, b catalog.Blobs, keep func(string) bool) int {
	t.Helper()
	n, err := b.Sweep(t.Context(), keep)
	if err != nil {
		t.Errorf("sweep: %v", err)
	}
	return n
}
