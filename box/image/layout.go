package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// layoutSource is an OCI layout: a directory with index.json and blobs.
type layoutSource struct {
	r    *reference
	root *os.Root
}

// openLayout opens a directory; what is in it cannot lead out of it.
func openLayout(r *reference) (source, error) {
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return nil, localError(r, err)
	}
	if _, err := root.Stat("index.json"); err != nil {
		root.Close()
		return nil, localError(r, err)
	}
	return &layoutSource{r, root}, nil
}

// manifest gives index.json cut down to what is wanted, or a blob.
func (l *layoutSource) manifest(ctx context.Context, wanted string) ([]byte, error) {
	if h, err := v1.NewHash(wanted); err == nil {
		return readSome(l.r, func() (io.ReadCloser, error) { return l.openBlob(h) })
	}
	text, err := readSome(l.r, func() (io.ReadCloser, error) { return l.root.Open("index.json") })
	if err != nil {
		return nil, err
	}
	return tagged(l.r, text, wanted)
}

func (l *layoutSource) blob(_ context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	f, err := l.openBlob(d.Digest)
	if err != nil {
		return nil, 0, localError(l.r, err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, 0, localError(l.r, err)
	}
	return f, offset, nil
}

// openBlob opens the file of a digest, and nothing that is not a file.
func (l *layoutSource) openBlob(h v1.Hash) (*os.File, error) {
	if h.Algorithm != "sha256" || !isDigest(h.Hex) {
		return nil, fs.ErrNotExist
	}
	name := "blobs/sha256/" + h.Hex
	info, err := l.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return l.root.Open(name)
}

func (l *layoutSource) close() error { return l.root.Close() }

// tagged cuts the index of a layout or archive down to the image of a tag.
func tagged(r *reference, text []byte, tag string) ([]byte, error) {
	if tag == "" {
		return text, nil
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, notSupported(r.text, "its index.json cannot be read")
	}
	var kept []v1.Descriptor
	for _, d := range index.Manifests {
		if d.Annotations["org.opencontainers.image.ref.name"] == tag || d.Annotations["io.containerd.image.name"] == tag {
			d.Annotations = nil
			kept = append(kept, d)
		}
	}
	if kept == nil {
		return nil, notThere(r.text)
	}
	index.Manifests = kept
	return json.Marshal(index)
}

// readSome reads at most a byte more than a manifest may have.
func readSome(r *reference, open func() (io.ReadCloser, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, localError(r, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, localError(r, err)
	}
	return text, nil
}

// localError says what is wrong with a place on this machine.
func localError(r *reference, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notThere(r.text)
	case errors.Is(err, fs.ErrPermission):
		return because(reasonDenied, "Source image %s cannot be read: the server may not open it.", clip(r.text))
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return notValid(r.text, err.Error())
}
