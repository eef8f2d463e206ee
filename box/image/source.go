package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// source is where the parts of images lie. What it gives is checked by who asks.
type source interface {
	// manifest gives the text of a manifest or index by tag or digest; "" is the only
	// one that there is. It gives at most maxManifest + 1 bytes.
	manifest(ctx context.Context, wanted string) ([]byte, error)
	// blob opens a blob at an offset, or at 0 when it cannot, and says at which.
	blob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, int64, error)
	// close lets go of what was opened.
	close() error
}

// maxManifest bounds manifests and configurations: those of real images have some
// kilobytes.
const maxManifest = 4 << 20

// open gives the source of a reference.
func (s *Store) open(ctx context.Context, r *reference) (source, error) {
	if r.kind != inRegistry && s.o.NoLocal {
		return nil, notValid(r.text, "this server reads no images from its own disk: local-images is off")
	}
	switch r.kind {
	case inLayout:
		return openLayout(r)
	case inOCIArchive, inDockerSaved:
		return s.openArchive(ctx, r)
	}
	return s.openRegistry(r), nil
}

// digestOf gives the SHA-256 of a text in hex.
func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// manifestByDigest gives a manifest that has the digest that it is asked by.
func manifestByDigest(ctx context.Context, from source, r *reference, d v1.Hash) ([]byte, error) {
	if d.Algorithm != "sha256" || !isDigest(d.Hex) {
		return nil, notSupported(r.text, "%s is not a SHA-256", clip(d.String()))
	}
	text, err := from.manifest(ctx, d.String())
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, notSupported(r.text, "a manifest is larger than %d bytes", maxManifest)
	}
	if digestOf(text) != d.Hex {
		return nil, refuse("The image %s is damaged: what came as %s has another digest.", clip(r.text), d)
	}
	return text, nil
}

// small reads a blob that must be small, and checks its digest.
func small(ctx context.Context, from source, r *reference, d v1.Descriptor) ([]byte, error) {
	if err := checkDescriptor(r, d); err != nil {
		return nil, err
	}
	if d.Size > maxManifest {
		return nil, notSupported(r.text, "its configuration has %d bytes, more than %d", d.Size, maxManifest)
	}
	body, at, err := from.blob(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if at != 0 {
		return nil, fmt.Errorf("blob %s came from offset %d on", d.Digest, at)
	}
	var text bytes.Buffer
	if _, err := io.Copy(&text, io.LimitReader(body, d.Size+1)); err != nil {
		return nil, err
	}
	if int64(text.Len()) != d.Size || digestOf(text.Bytes()) != d.Digest.Hex {
		return nil, refuse("The image %s is damaged: what came as %s has another digest.", clip(r.text), d.Digest)
	}
	return text.Bytes(), nil
}

// checkDescriptor refuses a descriptor that could not be kept.
func checkDescriptor(r *reference, d v1.Descriptor) error {
	if d.Digest.Algorithm != "sha256" || !isDigest(d.Digest.Hex) {
		return notSupported(r.text, "the digest %s is not a SHA-256", clip(d.Digest.String()))
	}
	if d.Size < 0 {
		return notSupported(r.text, "%s has a size of %d", d.Digest, d.Size)
	}
	return nil
}
