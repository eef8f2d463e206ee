package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"kiln"
	"kiln/box/image"
)

// builder puts an image together by hand, so that it may be one that no tool makes.
type builder struct {
	config v1.ConfigFile
	layers [][]byte // as they are sent
	kinds  []types.MediaType
	diffs  []v1.Hash
	lie    func(m *v1.Manifest)
}

func newImage() *builder {
	return &builder{config: v1.ConfigFile{Architecture: "amd64", OS: "linux"}}
}

// layer adds a layer of entries, packed as pack says: "", "gzip" or "zstd".
func (b *builder) layer(t testing.TB, pack string, entries ...tar.Header) *builder {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, h := range entries {
		data := h.Uname // what a file holds; nothing reads the name of its owner
		h.Uname = ""
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1700000000, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil && h.Typeflag == tar.TypeReg {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.raw(t, pack, text.Bytes())
}

// raw adds a layer of bytes that need not be an archive.
func (b *builder) raw(t testing.TB, pack string, plain []byte) *builder {
	t.Helper()
	var sent bytes.Buffer
	kind := types.OCIUncompressedLayer
	switch pack {
	case "gzip":
		kind = types.OCILayer
		z := gzip.NewWriter(&sent)
		if _, err := z.Write(plain); err != nil {
			t.Fatal(err)
		}
		z.Close()
	case "zstd":
		kind = types.OCILayerZStd
		z, err := zstd.NewWriter(&sent)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(plain); err != nil {
			t.Fatal(err)
		}
		z.Close()
	default:
		sent.Write(plain)
	}
	b.layers, b.kinds = append(b.layers, sent.Bytes()), append(b.kinds, kind)
	b.diffs = append(b.diffs, hashOf(plain))
	return b
}

// file is a regular file of a layer.
func file(name, data string) tar.Header {
	return tar.Header{Name: name, Uname: data, Mode: 0o644}
}

func dir(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
func symlink(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}
func hardlink(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
}

func hashOf(text []byte) v1.Hash {
	sum := sha256.Sum256(text)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// parts gives manifest, configuration and layers by digest, and the manifest's digest.
func (b *builder) parts(t testing.TB) (map[string][]byte, v1.Hash) {
	t.Helper()
	all := map[string][]byte{}
	b.config.RootFS = v1.RootFS{Type: "layers", DiffIDs: b.diffs}
	config, err := json.Marshal(b.config)
	if err != nil {
		t.Fatal(err)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: v1.Descriptor{
		MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: hashOf(config)}}
	all[m.Config.Digest.Hex] = config
	for i, l := range b.layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: b.kinds[i], Size: int64(len(l)), Digest: hashOf(l)})
		all[hashOf(l).Hex] = l
	}
	if b.lie != nil {
		b.lie(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	all[hashOf(text).Hex] = text
	return all, hashOf(text)
}

// layout writes an OCI layout with the image under the tag v1 and gives its
// directory.
func (b *builder) layout(t testing.TB) string {
	t.Helper()
	at := t.TempDir()
	all, digest := b.parts(t)
	write(t, filepath.Join(at, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	for name, text := range all {
		write(t, filepath.Join(at, "blobs/sha256", name), text)
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIManifestSchema1, Size: int64(len(all[digest.Hex])), Digest: digest, Annotations: map[string]string{"org.opencontainers.image.ref.name": "v1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(at, "index.json"), index)
	return at
}

func write(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// push puts the image into a registry under a reference.
func (b *builder) push(t testing.TB, host, repo, tag string) string {
	t.Helper()
	all, digest := b.parts(t)
	for name, text := range all {
		if name != digest.Hex {
			send(t, http.MethodPost, "http://"+host+"/v2/"+repo+"/blobs/uploads/?digest=sha256:"+name, "application/octet-stream", text)
		}
	}
	send(t, http.MethodPut, "http://"+host+"/v2/"+repo+"/manifests/"+tag, string(types.OCIManifestSchema1), all[digest.Hex])
	return host + "/" + repo + ":" + tag
}

func send(t testing.TB, method, url, kind string, text []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		said, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s %s: %s: %s", method, url, answer.Status, said)
	}
}

// serve runs a registry, behind a handler that may spoil things, and gives its host.
func serve(t testing.TB, spoil func(next http.Handler) http.Handler) string {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if spoil != nil {
		h = spoil(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// open opens a store of its own.
func open(t testing.TB, o image.Options) *image.Store {
	t.Helper()
	return openIn(t, t.TempDir(), o)
}

func openIn(t testing.TB, dir string, o image.Options) *image.Store {
	t.Helper()
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Boot == "" {
		o.Boot = "this"
	}
	s, err := image.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// pull resolves and pulls, and gives the image.
func pull(t testing.TB, s *image.Store, ref string) *image.Image {
	t.Helper()
	p, err := s.Resolve(t.Context(), ref, "x86_64")
	if err != nil {
		t.Fatalf("resolve %s: %v", ref, err)
	}
	if err := s.Pull(t.Context(), p, "x86_64"); err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	i, err := s.Image(t.Context(), p.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// reason gives AWS's reason code of an error.
func reason(err error) string {
	var e *kiln.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Reason
}

// read gives what a file of an image holds, or the error.
func read(i *image.Image, name string) string {
	text, err := os.ReadFile(filepath.Join(i.Dir, name))
	if err != nil {
		return "error: " + err.(*os.PathError).Err.Error()
	}
	return string(text)
}
