package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// use says that the store is in use: nothing is collected until release is called. It
// waits while something is.
func (s *Store) use(ctx context.Context) (release func(), err error) {
	for {
		s.mu.Lock()
		wait := s.collecting
		if wait == nil {
			s.using++
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				s.using--
				s.mu.Unlock()
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// GC removes images for which keep has said no for as long as the grace and which
// nobody used meanwhile, what only they were made of, and what was unpacked before the
// machine started. It does nothing while an image is being pulled or unpacked.
func (s *Store) GC(keep func(digest string) bool) error {
	s.mu.Lock()
	if s.using > 0 || s.collecting != nil {
		s.mu.Unlock()
		return nil
	}
	over := make(chan struct{})
	s.collecting = over
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.collecting = nil
		s.mu.Unlock()
		close(over)
	}()
	return s.collect(keep)
}

// collect is GC for who has made sure that nothing is in use.
func (s *Store) collect(keep func(string) bool) error {
	images, err := s.list()
	if err != nil {
		return fmt.Errorf("collect images: %w", err)
	}
	blobs, layers := map[string]bool{}, map[string]bool{} // that are needed
	var errs []error
	for _, digest := range images {
		m, c, err := s.stored(digest)
		if err != nil {
			continue // it is lost, whoever wants it
		}
		if !keep(digest) && s.ripe(digest) {
			errs = append(errs, s.drop(digest))
			continue
		}
		blobs[digest], blobs[m.Config.Digest.Hex] = true, true
		for n, l := range m.Layers {
			blobs[l.Digest.Hex], layers[c.RootFS.DiffIDs[n].Hex] = true, true
		}
	}
	errs = append(errs,
		removeOthers(s.blobs, blobs), removeOthers(s.partial(""), nil),
		removeOthers(filepath.Join(s.unpacked, "layers"), layers), s.removeOld())
	return errors.Join(errs...)
}

// list gives the digests of all images that are here: of all blobs that are manifests.
func (s *Store) list() ([]string, error) {
	entries, err := os.ReadDir(s.blobs)
	if err != nil {
		return nil, err
	}
	var images []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !isDigest(e.Name()) || info.Size() > maxManifest {
			continue
		}
		text, err := s.read(e.Name())
		if err != nil {
			continue
		}
		if kind, err := mediaType(&reference{}, text); err == nil && kind.IsImage() {
			images = append(images, e.Name())
		}
	}
	return images, nil
}

// ripe notes that nobody wants an image and reports whether that is so for long
// enough.
func (s *Store) ripe(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.unwanted[digest]; !known {
		s.unwanted[digest] = s.o.Now()
	}
	return s.o.Now().Sub(s.unwanted[digest]) >= s.o.Grace
}

// drop takes the root of an image away in one step and deletes it.
func (s *Store) drop(digest string) error {
	s.mu.Lock()
	delete(s.images, digest)
	delete(s.unwanted, digest)
	s.mu.Unlock()
	roots, err := filepath.Glob(filepath.Join(s.unpacked, "roots", "*", digest))
	for _, root := range roots {
		gone, made := os.MkdirTemp(s.host("tmp"), "gone-")
		if made == nil {
			made = os.Rename(root, filepath.Join(gone, digest))
		}
		err = errors.Join(err, made, os.RemoveAll(gone))
	}
	return err
}

// removeOthers removes what is in a directory and not needed.
func removeOthers(dir string, needed map[string]bool) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !needed[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// removeOld removes what was unpacked before the machine started.
func (s *Store) removeOld() error {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if name := filepath.Join(s.dir, e.Name()); strings.HasPrefix(e.Name(), unpackedPrefix) && name != s.unpacked {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}
