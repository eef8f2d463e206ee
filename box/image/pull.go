package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln"
)

// fetching is how many blobs of one image come at a time.
const fetching = 3

// Image is one image that is in place.
type Image struct {
	Digest        string
	Dir           string // its root directory
	Config        v1.Config
	passwd, group []byte
	extensions    []string
	tree          *tree
	mu            sync.Mutex // for tree
}

// Progress says how far the pull of an image is.
type Progress struct {
	Done, Total int64 // bytes of its layers, packed
	Unpacking   bool
}

// pull is one image on its way here.
type pull struct {
	done, total atomic.Int64
	unpacking   atomic.Bool
}

// Progress tells how far the pull of an image is; false when none is under way.
func (s *Store) Progress(digest string) (Progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pulls[digest]
	if p == nil {
		return Progress{}, false
	}
	return Progress{p.done.Load(), p.total.Load(), p.unpacking.Load()}, true
}

// Pull brings the image of a package here and unpacks it, unless both was done. Every
// part is checked by its digest. An error of code BadPackage has AWS's reason code.
func (s *Store) Pull(ctx context.Context, p kiln.Package, architecture string) error {
	_, err := s.Image(ctx, p.SHA256)
	if !errors.Is(err, ErrLost) {
		return err
	}
	return s.once(ctx, "pull "+p.SHA256, func() error {
		release, err := s.use(ctx)
		if err != nil {
			return err
		}
		defer release()
		now := &pull{}
		s.mu.Lock()
		s.pulls[p.SHA256] = now
		delete(s.unwanted, p.SHA256)
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			delete(s.pulls, p.SHA256)
			s.mu.Unlock()
		}()
		if err := s.fetchAll(ctx, p, architecture, now); err != nil {
			return err
		}
		now.unpacking.Store(true)
		_, err = s.image(ctx, p.SHA256)
		if errors.Is(err, ErrLost) {
			err = because(reasonFault, "The image %s was removed while it was unpacked.", clip(p.Image))
		}
		return err
	})
}

// fetchAll brings manifest, configuration and layers here.
func (s *Store) fetchAll(ctx context.Context, p kiln.Package, architecture string, now *pull) error {
	r, err := parseReference(p.Image)
	if err != nil {
		return err
	}
	r.digest = "sha256:" + p.SHA256
	from, err := s.open(ctx, r)
	if err != nil {
		return err
	}
	defer from.close()
	f, err := find(ctx, from, r, architecture)
	if err != nil {
		return err
	}
	for _, l := range f.manifest.Layers {
		now.total.Add(l.Size)
	}
	if now.total.Load() > s.o.MaxBytes {
		return tooLarge(r.text)
	}
	for _, text := range [][]byte{f.raw, f.text} {
		if err := s.keep(text); err != nil {
			return diskError(err)
		}
	}
	return s.fetchLayers(ctx, from, r, f.manifest.Layers, now)
}

// fetchLayers brings layers here, some at a time; the first error ends the others.
func (s *Store) fetchLayers(ctx context.Context, from source, r *reference, layers []v1.Descriptor, now *pull) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seats := make(chan struct{}, fetching)
	var all sync.WaitGroup
	for _, l := range layers {
		seats <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-seats }()
			if err := s.fetch(ctx, from, r, l, func(n int64) { now.done.Add(n) }); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// Image gives an image that is here, and unpacks it if that was not done since the
// machine started. ErrLost is that it has to be pulled.
func (s *Store) Image(ctx context.Context, digest string) (*Image, error) {
	if i := s.inPlace(digest); i != nil {
		return i, nil
	}
	release, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.image(ctx, digest)
}

// inPlace gives an image that is known and still there.
func (s *Store) inPlace(digest string) *Image {
	s.mu.Lock()
	i := s.images[digest]
	delete(s.unwanted, digest)
	s.mu.Unlock()
	if i == nil {
		return nil
	}
	if _, err := os.Lstat(i.Dir); err != nil {
		return nil
	}
	return i
}

// image is Image for who has said that the store is in use.
func (s *Store) image(ctx context.Context, digest string) (*Image, error) {
	if !isDigest(digest) {
		return nil, kiln.Errorf(kiln.BadPackage, "%q is not the digest of an image", digest)
	}
	err := s.once(ctx, "image "+digest, func() error {
		if s.inPlace(digest) != nil {
			return nil
		}
		m, c, err := s.stored(digest)
		if err != nil {
			return err
		}
		base := path.Join(s.roots(), digest)
		if _, err := s.tree.Lstat(base); errors.Is(err, fs.ErrNotExist) {
			if err := s.build(ctx, m, c, digest, base, ""); err != nil {
				return err
			}
		} else if err != nil {
			return diskError(err)
		}
		i := &Image{Digest: digest, Dir: s.host(base), Config: c.Config, tree: s.newTree(base)}
		i.passwd, i.group = i.tree.read("etc/passwd", 64<<10), i.tree.read("etc/group", 64<<10)
		i.extensions = i.tree.files("opt/extensions")
		s.mu.Lock()
		s.images[digest] = i
		s.mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.images[digest]; i != nil {
		return i, nil
	}
	return nil, ErrLost
}

// roots is the directory of root directories. Its name has what they are made of
// besides their layers.
func (s *Store) roots() string {
	sum := sha256.Sum256(append([]byte("layout 1\n"), s.o.ResolvConf...))
	return "roots/" + hex.EncodeToString(sum[:4])
}

// stored reads the manifest and the configuration of an image that is here.
func (s *Store) stored(digest string) (*v1.Manifest, *v1.ConfigFile, error) {
	text, err := s.read(digest)
	if err != nil {
		return nil, nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	if text, err = s.read(m.Config.Digest.Hex); err != nil {
		return nil, nil, err
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(text))
	if err == nil && len(c.RootFS.DiffIDs) != len(m.Layers) {
		err = errors.New("it names other layers than the manifest")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("configuration of %s: %w", digest, err)
	}
	return m, c, nil
}

// build unpacks the layers of an image and puts its root together at base, or, if a
// directory of this machine is given, there: complete or not at all.
func (s *Store) build(ctx context.Context, m *v1.Manifest, c *v1.ConfigFile, digest, base, elsewhere string) (err error) {
	image := &reference{text: "sha256:" + digest}
	var bytes int64
	entries := 0
	for n, l := range m.Layers {
		diff := c.RootFS.DiffIDs[n].Hex
		if err := s.unpackLayer(ctx, image, l, diff); err != nil {
			return s.orLost(ctx, l, err)
		}
		if err := s.readList(diff, func(e *entry) error { bytes += e.Bytes; entries++; return nil }); err != nil {
			return layerError(err)
		}
		if bytes > s.o.MaxBytes {
			return tooLarge(image.text)
		}
		if entries > maxEntries {
			return refuse("The image %s has more than %d entries.", image.text, maxEntries)
		}
	}
	host, err := os.MkdirTemp(s.host("tmp"), "root-")
	if err != nil {
		return diskError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(layerError(err), os.RemoveAll(host))
		}
	}()
	t := s.newTree(path.Join("tmp", filepath.Base(host)))
	if err := os.Chmod(host, 0o755); err != nil {
		return err
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.take(s, d.Hex, image.text); err != nil {
			return err
		}
	}
	if err := t.furnish(s.o.ResolvConf); err != nil {
		return err
	}
	if elsewhere != "" {
		return os.Rename(host, elsewhere)
	}
	if err := s.tree.MkdirAll(path.Dir(base), 0o711); err != nil {
		return err
	}
	return os.Rename(host, s.host(base))
}

// orLost gives ErrLost when a layer cannot be unpacked because its blob is not what
// it was any more.
func (s *Store) orLost(ctx context.Context, l v1.Descriptor, err error) error {
	if kiln.CodeOf(err) != kiln.BadPackage {
		return err
	}
	f, opened := os.Open(s.blob(l.Digest.Hex))
	if opened != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, read := io.Copy(sum, &contextReader{ctx, f}); read != nil || hex.EncodeToString(sum.Sum(nil)) == l.Digest.Hex {
		return err
	}
	s.log.WarnContext(ctx, "a layer was damaged on this machine's disk and has to be fetched again", "layer", l.Digest.String())
	if gone := os.Remove(s.blob(l.Digest.Hex)); gone != nil {
		return diskError(gone)
	}
	return ErrLost
}

// Materialise makes a root directory of an image that is here, apart from the store:
// it shares files with it where the two lie on one file system, and must not be
// written to. dir must not exist.
func (s *Store) Materialise(ctx context.Context, digest, dir string) error {
	release, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer release()
	m, c, err := s.stored(digest)
	if err != nil {
		return err
	}
	return s.build(ctx, m, c, digest, "", dir)
}
