package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"slices"

	"github.com/klauspost/compress/gzip"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxArchived bounds the entries of an archive of an image: some for each layer.
const maxArchived = 8 * maxLayers

// span is where the bytes of an entry lie in an archive.
type span struct{ at, size int64 }

// archiveSource is a tar file with an image: as OCI lays it out, as Docker saves it,
// or both, as newer ones do.
type archiveSource struct {
	r       *reference
	file    *os.File
	entries map[string]span
	links   map[string]string // old savers link equal layers
	// saved are the manifests that were made of what Docker saved, by digest, and blobs
	// the places of their layers.
	saved map[string][]byte
	blobs map[string]span
	first map[string]string // digest of the image by its tag; "" is the only one
}

// openArchive reads the list of an archive. The archive itself is not compressed.
func (s *Store) openArchive(ctx context.Context, r *reference) (source, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, localError(r, err)
	}
	a := &archiveSource{r: r, file: f, entries: map[string]span{}, links: map[string]string{},
		saved: map[string][]byte{}, blobs: map[string]span{}, first: map[string]string{}}
	err = a.list()
	if _, ok := a.entries["index.json"]; err == nil && !ok {
		err = a.readSaved(ctx)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// list notes where each entry lies.
func (a *archiveSource) list() error {
	info, err := a.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return notValid(a.r.text, "it is not a file")
	}
	t := tar.NewReader(a.file)
	for n := 0; ; n++ {
		h, err := t.Next() // which seeks over what lies between
		if err == io.EOF {
			return nil
		}
		if err != nil || n > maxArchived {
			return notSupported(a.r.text, "it is not an archive of an image")
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			at, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return localError(a.r, err)
			}
			if h.Size > info.Size()-at {
				return notSupported(a.r.text, "its entry %q claims more than there is", clip(name))
			}
			a.entries[name] = span{at, h.Size}
		case tar.TypeSymlink, tar.TypeLink:
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
			if h.Typeflag == tar.TypeLink {
				a.links[name] = path.Clean(h.Linkname)
			}
		}
	}
}

// find gives the place of an entry by its name.
func (a *archiveSource) find(name string) (span, bool) {
	name = path.Clean(name)
	if to, ok := a.links[name]; ok {
		name = to
	}
	s, ok := a.entries[name]
	return s, ok
}

func (a *archiveSource) section(s span) *io.SectionReader {
	return io.NewSectionReader(a.file, s.at, s.size)
}

// text reads a small entry.
func (a *archiveSource) text(name string) ([]byte, error) {
	s, ok := a.find(name)
	if !ok {
		return nil, notThere(a.r.text)
	}
	return readSome(a.r, func() (io.ReadCloser, error) { return io.NopCloser(a.section(s)), nil })
}

// readSaved makes manifests of what Docker saved. The digests of layers that are not
// compressed stand in the configuration; those of others have to be counted.
func (a *archiveSource) readSaved(ctx context.Context) error {
	text, err := a.text("manifest.json")
	if err != nil {
		return notSupported(a.r.text, "it holds neither index.json nor manifest.json")
	}
	var images []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(text, &images); err != nil || len(images) == 0 || len(images) > maxIndexed {
		return notSupported(a.r.text, "its manifest.json cannot be read")
	}
	for _, one := range images {
		if a.r.tag != "" && !slices.ContainsFunc(one.RepoTags, a.isWanted) {
			continue
		}
		digest, err := a.makeManifest(ctx, one.Config, one.Layers)
		if err != nil {
			return err
		}
		if len(images) == 1 || a.r.tag != "" {
			a.first[a.r.tag] = digest
		}
	}
	return nil
}

// isWanted reports whether a saved name is the one that the reference wants: whole,
// or its tag alone.
func (a *archiveSource) isWanted(saved string) bool {
	return saved == a.r.tag || saved == a.r.tag+":latest" || path.Base(saved) == a.r.tag
}

// makeManifest puts together the manifest of one saved image and gives its digest.
func (a *archiveSource) makeManifest(ctx context.Context, config string, layers []string) (string, error) {
	text, err := a.text(config)
	if err != nil {
		return "", notSupported(a.r.text, "its configuration %q is missing", clip(config))
	}
	if len(layers) > maxLayers {
		return "", notSupported(a.r.text, "it has %d layers, more than %d", len(layers), maxLayers)
	}
	at, _ := a.find(config)
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: v1.Descriptor{
		MediaType: types.DockerConfigJSON, Size: int64(len(text)), Digest: v1.Hash{Algorithm: "sha256", Hex: digestOf(text)},
	}}
	a.blobs[m.Config.Digest.Hex] = at
	for _, name := range layers {
		s, ok := a.find(name)
		if !ok {
			return "", notSupported(a.r.text, "its layer %q is missing", clip(name))
		}
		digest, err := a.hash(ctx, s)
		if err != nil {
			return "", err
		}
		a.blobs[digest] = s
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: a.layerType(s), Size: s.size, Digest: v1.Hash{Algorithm: "sha256", Hex: digest}})
	}
	made, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	a.saved[digestOf(made)] = made
	return digestOf(made), nil
}

// layerType says whether a layer is compressed.
func (a *archiveSource) layerType(s span) types.MediaType {
	if z, err := gzip.NewReader(a.section(s)); err == nil {
		z.Close()
		return types.DockerLayer
	}
	return types.DockerUncompressedLayer
}

// hash gives the digest of an entry.
func (a *archiveSource) hash(ctx context.Context, s span) (string, error) {
	sum := sha256.New()
	from := &contextReader{ctx, a.section(s)}
	if _, err := io.Copy(sum, from); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", localError(a.r, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// manifest gives index.json cut down to what is wanted, a manifest that was made, or
// a blob.
func (a *archiveSource) manifest(_ context.Context, wanted string) ([]byte, error) {
	if h, err := v1.NewHash(wanted); err == nil {
		if made, ok := a.saved[h.Hex]; ok {
			return made, nil
		}
		return a.text("blobs/sha256/" + h.Hex)
	}
	if digest, ok := a.first[wanted]; ok {
		return a.saved[digest], nil
	}
	if len(a.saved) > 0 || len(a.first) > 0 {
		return nil, notValid(a.r.text, "it holds several images: say which")
	}
	text, err := a.text("index.json")
	if err != nil {
		return nil, err
	}
	return tagged(a.r, text, wanted)
}

func (a *archiveSource) blob(_ context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	s, ok := a.blobs[d.Digest.Hex]
	if !ok {
		if s, ok = a.find("blobs/sha256/" + d.Digest.Hex); !ok {
			return nil, 0, notThere(a.r.text)
		}
	}
	section := a.section(s)
	if _, err := section.Seek(offset, io.SeekStart); err != nil {
		return nil, 0, localError(a.r, err)
	}
	return io.NopCloser(section), offset, nil
}

func (a *archiveSource) close() error { return a.file.Close() }

// contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
