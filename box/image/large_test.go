package image_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/box/image"
)

// zeros gives as many zero bytes as are asked for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// largeLayout writes a layout with one layer of a number of large files, without ever
// holding it.
func largeLayout(t testing.TB, files int, size int64) string {
	t.Helper()
	at := t.TempDir()
	blobs := filepath.Join(at, "blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(blobs, "layer"))
	if err != nil {
		t.Fatal(err)
	}
	packed, plain := sha256.New(), sha256.New()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, packed), gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(z, plain))
	for n := range files {
		if err := w.WriteHeader(&tar.Header{Name: string(rune('a' + n)), Mode: 0o644, Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, size); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	layer := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(packed.Sum(nil))}
	if err := os.Rename(f.Name(), filepath.Join(blobs, layer.Hex)); err != nil {
		t.Fatal(err)
	}
	config, _ := json.Marshal(v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{{Algorithm: "sha256", Hex: hex.EncodeToString(plain.Sum(nil))}}}})
	write(t, filepath.Join(blobs, hashOf(config).Hex), config)
	manifest, _ := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: hashOf(config)},
		Layers: []v1.Descriptor{{MediaType: types.OCILayer, Size: info.Size(), Digest: layer}}})
	write(t, filepath.Join(blobs, hashOf(manifest).Hex), manifest)
	index, _ := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: hashOf(manifest)}}})
	write(t, filepath.Join(at, "index.json"), index)
	return at
}

func TestALargeImageIsUnpackedInLittleMemory(t *testing.T) {
	files, size := 4, int64(32<<20)
	if os.Getenv("KILN_TEST_FULL") != "" {
		size = 512 << 20
	}
	ref := "oci:" + largeLayout(t, files, size)
	s := open(t, image.Options{})
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&now)
				peak.Store(max(peak.Load(), now.HeapInuse))
			}
		}
	}()
	began := time.Now()
	i := pull(t, s, ref)
	took := time.Since(began)
	close(stop)
	<-over
	info, err := os.Stat(filepath.Join(i.Dir, "a"))
	if err != nil || info.Size() != size {
		t.Errorf("a file has %d bytes, want %d: %v", info.Size(), size, err)
	}
	grew := int64(peak.Load()) - int64(before.HeapInuse)
	t.Logf("%d MB were unpacked in %v; the heap grew by %.1f MB", int64(files)*size>>20, took.Round(time.Millisecond), float64(grew)/(1<<20))
	if grew > 16<<20 {
		t.Errorf("the heap grew by %d bytes while %d were unpacked", grew, int64(files)*size)
	}
}
