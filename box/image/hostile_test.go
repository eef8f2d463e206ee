package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"kiln/box/image"
)

// outside is a directory that no image may touch; it is checked when the test ends.
func outside(t *testing.T) string {
	t.Helper()
	at := t.TempDir()
	write(t, filepath.Join(at, "canary"), []byte("untouched"))
	t.Cleanup(func() {
		entries, err := os.ReadDir(at)
		text, _ := os.ReadFile(filepath.Join(at, "canary"))
		if err != nil || len(entries) != 1 || string(text) != "untouched" {
			t.Errorf("what lies outside was touched: %v, %q", entries, text)
		}
	})
	return at
}

func TestAHostileImageIsRefusedAndLeavesNothing(t *testing.T) {
	out := outside(t)
	for name, b := range map[string]*builder{
		"a name upwards":               newImage().layer(t, "gzip", file("../x", "")),
		"a name upwards within":        newImage().layer(t, "gzip", file("a/../../x", "")),
		"an endless component":         newImage().layer(t, "gzip", file(strings.Repeat("n", 300), "")),
		"a hard link upwards":          newImage().layer(t, "gzip", hardlink("x", "../../canary")),
		"a hard link to nothing":       newImage().layer(t, "gzip", hardlink("x", out+"/canary")),
		"a hard link to a directory":   newImage().layer(t, "gzip", dir("d"), hardlink("x", "d")),
		"a hard link to its directory": newImage().layer(t, "gzip", dir("d"), file("d/f", ""), hardlink("d", "d/f")),
		"a whiteout of ..":             newImage().layer(t, "gzip", file("a/.wh...", "")),
		"a whiteout of .":              newImage().layer(t, "gzip", file("a/.wh..", "")),
		"a whiteout of nothing":        newImage().layer(t, "gzip", file("a/.wh.", "")),
		"a file below a whiteout":      newImage().layer(t, "gzip", file(".wh.../x", "")),
		"links in a circle":            newImage().layer(t, "gzip", symlink("a", "b"), symlink("b", "a"), file("a/x", "")),
		"a file below a file":          newImage().layer(t, "gzip", file("a", ""), file("a/b", "")),
		"a root that is a link":        newImage().layer(t, "gzip", symlink(".", out)),
		"no archive":                   newImage().raw(t, "gzip", bytes.Repeat([]byte("x"), 4096)),
		"a gzip that breaks off":       cut(newImage().layer(t, "gzip", file("a", strings.Repeat("0123456789", 5000)))),
		"another layer than promised":  swapped(newImage().layer(t, "gzip", file("a", "1"))),
		"a gzip bomb":                  newImage().raw(t, "gzip", make([]byte, 64<<20)),
		"a zstd bomb":                  newImage().raw(t, "zstd", make([]byte, 64<<20)),
		"a file that is too large":     newImage().layer(t, "gzip", file("a", strings.Repeat("x", 5<<20))),
		"files that are, together":     newImage().layer(t, "gzip", file("a", strings.Repeat("x", 3<<20))).layer(t, "gzip", file("b", strings.Repeat("y", 3<<20))),
		"a window of 2 GB":             windowed(t),
	} {
		data := t.TempDir()
		s := openIn(t, data, image.Options{MaxBytes: 4 << 20})
		p, err := s.Resolve(t.Context(), "oci:"+b.layout(t), "x86_64")
		if err == nil {
			err = s.Pull(t.Context(), p, "x86_64")
		}
		if reason(err) != "InvalidImage" {
			t.Errorf("%s: %v with reason %q, want InvalidImage", name, err, reason(err))
		}
		roots, _ := filepath.Glob(filepath.Join(data, "images/unpacked-*/roots/*/*"))
		tmp, _ := filepath.Glob(filepath.Join(data, "images/unpacked-*/tmp/*"))
		if len(roots)+len(tmp) > 0 {
			t.Errorf("%s left %v %v", name, roots, tmp)
		}
	}
}

// cut breaks the last layer off; its digest is that of what is left.
func cut(b *builder) *builder {
	n := len(b.layers) - 1
	b.layers[n] = b.layers[n][:len(b.layers[n])/2]
	return b
}

// swapped makes the configuration promise other contents than the layer has.
func swapped(b *builder) *builder {
	b.diffs[0] = hashOf([]byte("something else"))
	return b
}

// windowed has a layer whose decompression would need 2 GB at once.
func windowed(t testing.TB) *builder {
	b := newImage().raw(t, "", tarOf(t, []byte("x")))
	b.kinds[0] = types.OCILayerZStd
	b.layers[0] = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00} // window of 2 GiB, an empty last block
	if _, err := zstd.NewReader(bytes.NewReader(b.layers[0])); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLinksOfAnImageLeadNowhereButIntoIt(t *testing.T) {
	out := outside(t)
	up := strings.Repeat("../", 40)
	b := newImage().
		layer(t, "gzip", symlink("abs", out), file("abs/one", "1"), symlink("rel", up+out[1:]), dir("real")).
		layer(t, "gzip", file("rel/two", "2"), file("abs/.wh.canary", ""), file("/rel/.wh..wh..opq", ""), file("rel/three", "3"), symlink("etc", out), symlink("sys", "/nowhere"), symlink("passwd", out+"/canary"))
	i := pull(t, open(t, image.Options{}), "oci:"+b.layout(t))
	if got := read(i, out[1:]+"/three"); got != "3" {
		t.Errorf("what went through a link is not inside: %q", got)
	}
	if got := read(i, out[1:]+"/one"); got != "error: no such file or directory" {
		t.Errorf("the opaque directory still has %q", got)
	}
}

func TestWhatAnImageMayNotHaveIsLeftOutOrTakenOff(t *testing.T) {
	b := newImage().layer(t, "gzip",
		tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}, tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}, tar.Header{Name: "tty", Typeflag: tar.TypeChar, Devmajor: 5},
		tar.Header{Name: "su", Uname: "x", Mode: 0o6777}, tar.Header{Name: "open/", Typeflag: tar.TypeDir, Mode: 0o1777}, tar.Header{Name: "shut/", Typeflag: tar.TypeDir, Mode: 0o001},
		file("shut/in", "reached"), tar.Header{Name: "caps", Uname: "x", PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"}})
	i := pull(t, open(t, image.Options{}), "oci:"+b.layout(t))
	for name, want := range map[string]fs.FileMode{"su": 0o755, "open": fs.ModeDir | 0o755, "shut": fs.ModeDir | 0o701} {
		info, err := os.Lstat(filepath.Join(i.Dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s is %v, want %v", name, info.Mode(), want)
		}
	}
	for _, name := range []string{"dev/sda", "pipe", "tty"} {
		if _, err := os.Lstat(filepath.Join(i.Dir, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if read(i, "shut/in") != "reached" {
		t.Error("a file of a closed directory is missing")
	}
}

func TestAFileOfALayerIsNeverWrittenThroughAnImage(t *testing.T) {
	// Both images share the file; what is made of it for one must not reach the other.
	b := newImage().layer(t, "gzip", file("etc/hosts", "mine"), file("etc/resolv.conf", "mine"), hardlink("copy", "etc/hosts"))
	s := open(t, image.Options{})
	i := pull(t, s, "oci:"+b.layout(t))
	if got := read(i, "copy"); got != "mine" {
		t.Errorf("the other name of a file that was replaced holds %q", got)
	}
}

func TestManifestsThatNobodyCanUseAreRefused(t *testing.T) {
	base := func() *builder { return newImage().layer(t, "gzip", file("a", "1")) }
	for name, lie := range map[string]func(*v1.Manifest){
		"schema 1":             func(m *v1.Manifest) { m.SchemaVersion = 1 },
		"an unknown type":      func(m *v1.Manifest) { m.MediaType = "text/plain" },
		"a foreign layer":      func(m *v1.Manifest) { m.Layers[0].MediaType = types.DockerForeignLayer },
		"a layer of no type":   func(m *v1.Manifest) { m.Layers[0].MediaType = "application/x-lie" },
		"no configuration":     func(m *v1.Manifest) { m.Config.MediaType = "application/vnd.oci.empty.v1+json" },
		"a negative size":      func(m *v1.Manifest) { m.Layers[0].Size = -1 },
		"another algorithm":    func(m *v1.Manifest) { m.Layers[0].Digest = v1.Hash{Algorithm: "sha512", Hex: strings.Repeat("0", 128)} },
		"a size that is not":   func(m *v1.Manifest) { m.Layers[0].Size++ },
		"more layers":          func(m *v1.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) },
		"a huge configuration": func(m *v1.Manifest) { m.Config.Size = 1 << 40 },
	} {
		b := base()
		b.lie = lie
		s := open(t, image.Options{Attempts: 1})
		p, err := s.Resolve(t.Context(), "oci:"+b.layout(t), "x86_64")
		if err == nil {
			err = s.Pull(t.Context(), p, "x86_64")
		}
		if err == nil || reason(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	at := base().layout(t)
	for name, index := range map[string]any{
		"indexes without end": v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex},
		"a list":              []int{1},
		"nothing":             map[string]any{"schemaVersion": 2},
	} {
		text, _ := json.Marshal(index)
		if i, ok := index.(v1.IndexManifest); ok {
			for range 5 { // each leads to the one before
				write(t, filepath.Join(at, "blobs/sha256", hashOf(text).Hex), text)
				i.Manifests = []v1.Descriptor{{MediaType: types.OCIImageIndex, Size: int64(len(text)), Digest: hashOf(text)}}
				text, _ = json.Marshal(i)
			}
		}
		write(t, filepath.Join(at, "index.json"), text)
		if _, err := open(t, image.Options{}).Resolve(t.Context(), "oci:"+at, "x86_64"); reason(err) != "InvalidImage" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABlobThatIsNotWhatItsDigestSaysIsRefused(t *testing.T) {
	b := three(t)
	for n := range 3 {
		at := b.layout(t)
		all, digest := b.parts(t)
		name := []string{digest.Hex, hashOf(b.layers[1]).Hex, hashOf(b.layers[2]).Hex}[n]
		bad := bytes.Clone(all[name])
		bad[len(bad)/2] ^= 1
		write(t, filepath.Join(at, "blobs/sha256", name), bad)
		s := open(t, image.Options{})
		p, err := s.Resolve(t.Context(), "oci:"+at, "x86_64")
		if err == nil {
			err = s.Pull(t.Context(), p, "x86_64")
		}
		if reason(err) != "InvalidImage" || !strings.Contains(err.Error(), "another digest") {
			t.Errorf("part %d: %v", n, err)
		}
	}
}
