package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln"
)

// What an image may consist of.
const (
	maxLayers    = 512
	maxIndexed   = 1000 // manifests of an index
	maxIndexDeep = 2    // indexes within indexes
)

// found is a manifest that was chosen, with its configuration.
type found struct {
	digest   string // of the manifest, hex
	text     []byte
	manifest *v1.Manifest
	config   *v1.ConfigFile
	raw      []byte // of the configuration
}

// Resolve finds the image that a reference names now, for an architecture of Lambda's,
// and gives it by digest. Nothing is kept. An error says in AWS's words what is wrong.
func (s *Store) Resolve(ctx context.Context, text, architecture string) (kiln.Package, error) {
	r, err := parseReference(text)
	if err != nil {
		return kiln.Package{}, err
	}
	from, err := s.open(ctx, r)
	if err != nil {
		return kiln.Package{}, err
	}
	defer from.close()
	f, err := find(ctx, from, r, architecture)
	if err != nil {
		return kiln.Package{}, err
	}
	return kiln.Package{SHA256: f.digest, Image: text, ImageResolved: r.at("sha256:" + f.digest)}, nil
}

// find follows a reference to the one manifest for an architecture, and reads its
// configuration.
func find(ctx context.Context, from source, r *reference, architecture string) (*found, error) {
	text, err := named(ctx, from, r)
	if err != nil {
		return nil, err
	}
	f := &found{}
	for deep := 0; ; deep++ {
		kind, err := mediaType(r, text)
		if err != nil {
			return nil, err
		}
		if !kind.IsIndex() {
			break
		}
		if deep == maxIndexDeep {
			return nil, notSupported(r.text, "its indexes lead to ever more indexes")
		}
		next, err := choose(r, text, architecture)
		if err != nil {
			return nil, err
		}
		if text, err = manifestByDigest(ctx, from, r, next.Digest); err != nil {
			return nil, err
		}
	}
	f.text, f.digest = text, digestOf(text)
	if f.manifest, err = readManifest(r, text); err != nil {
		return nil, err
	}
	if f.raw, err = small(ctx, from, r, f.manifest.Config); err != nil {
		return nil, err
	}
	if f.config, err = readConfig(r, f.raw, f.manifest); err != nil {
		return nil, err
	}
	return f, fits(r, f.config, architecture)
}

// named gives the text that a reference itself leads to.
func named(ctx context.Context, from source, r *reference) ([]byte, error) {
	if r.digest != "" {
		h, err := v1.NewHash(r.digest)
		if err != nil {
			return nil, notValid(r.text, err.Error())
		}
		return manifestByDigest(ctx, from, r, h)
	}
	text, err := from.manifest(ctx, r.tag)
	if err == nil && len(text) > maxManifest {
		err = notSupported(r.text, "a manifest is larger than %d bytes", maxManifest)
	}
	return text, err
}

// mediaType says what a manifest is: by its own word, or by its form where it says
// none, as OCI allows.
func mediaType(r *reference, text []byte) (types.MediaType, error) {
	var m struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return "", notSupported(r.text, "its manifest is not JSON")
	}
	switch {
	case m.SchemaVersion != 2:
		return "", notSupported(r.text, "its manifest has schema version %d, not 2", m.SchemaVersion)
	case m.MediaType == "" && m.Manifests != nil && m.Layers == nil:
		return types.OCIImageIndex, nil
	case m.MediaType == "" && m.Layers != nil && m.Manifests == nil:
		return types.OCIManifestSchema1, nil
	case m.MediaType.IsIndex() && m.Layers == nil, m.MediaType.IsImage() && m.Manifests == nil:
		return m.MediaType, nil
	}
	return "", notSupported(r.text, "its manifest is of type %q", clip(string(m.MediaType)))
}

// choose gives the manifest of an index that is for Linux on an architecture.
// Attestations, which builders put beside images, are none.
func choose(r *reference, text []byte, architecture string) (v1.Descriptor, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(text))
	if err != nil {
		return v1.Descriptor{}, notSupported(r.text, "its index cannot be read")
	}
	if len(index.Manifests) > maxIndexed {
		return v1.Descriptor{}, notSupported(r.text, "its index names %d manifests, more than %d", len(index.Manifests), maxIndexed)
	}
	var others []string
	var single []v1.Descriptor // without a platform: an index of a layout need not say
	for _, d := range index.Manifests {
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "":
		case d.Platform == nil || d.Platform.OS == "" && d.Platform.Architecture == "":
			if d.MediaType.IsImage() || d.MediaType.IsIndex() {
				single = append(single, d)
			}
		case d.Platform.OS == "linux" && d.Platform.Architecture == goArchitecture(architecture):
			return d, checkDescriptor(r, d)
		case d.Platform.OS != "unknown":
			others = append(others, d.Platform.OS+"/"+d.Platform.Architecture)
		}
	}
	if len(single) == 1 {
		return single[0], checkDescriptor(r, single[0])
	}
	if len(others) == 0 {
		return v1.Descriptor{}, notSupported(r.text, "its index names no image")
	}
	return v1.Descriptor{}, refuse("The source image %s is for %s, and the function's architecture is %s.", clip(r.text), clip(strings.Join(others, ", ")), architecture)
}

// readManifest reads the manifest of one image and refuses what could not be
// unpacked.
func readManifest(r *reference, text []byte) (*v1.Manifest, error) {
	m, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, notSupported(r.text, "its manifest cannot be read")
	}
	if !m.Config.MediaType.IsConfig() {
		return nil, notSupported(r.text, "its configuration is of type %q", clip(string(m.Config.MediaType)))
	}
	if len(m.Layers) > maxLayers {
		return nil, notSupported(r.text, "it has %d layers, more than %d", len(m.Layers), maxLayers)
	}
	for _, l := range m.Layers {
		if err := checkDescriptor(r, l); err != nil {
			return nil, err
		}
		if !l.MediaType.IsLayer() || !l.MediaType.IsDistributable() {
			return nil, notSupported(r.text, "a layer is of type %q", clip(string(l.MediaType)))
		}
	}
	return m, nil
}

// readConfig reads the configuration of an image, which names the digest of each
// layer once more, unpacked.
func readConfig(r *reference, text []byte, m *v1.Manifest) (*v1.ConfigFile, error) {
	c, err := v1.ParseConfigFile(bytes.NewReader(text))
	if err != nil {
		return nil, notSupported(r.text, "its configuration cannot be read")
	}
	if len(c.RootFS.DiffIDs) != len(m.Layers) {
		return nil, notSupported(r.text, "its configuration names %d layers and its manifest %d", len(c.RootFS.DiffIDs), len(m.Layers))
	}
	for _, d := range c.RootFS.DiffIDs {
		if d.Algorithm != "sha256" || !isDigest(d.Hex) {
			return nil, notSupported(r.text, "the digest %s is not a SHA-256", clip(d.String()))
		}
	}
	return c, nil
}

// fits refuses an image for another system or architecture. One that does not say is
// believed to fit.
func fits(r *reference, c *v1.ConfigFile, architecture string) error {
	if (c.OS == "" || c.OS == "linux") && (c.Architecture == "" || c.Architecture == goArchitecture(architecture)) {
		return nil
	}
	return refuse("The source image %s is for %s, and the function's architecture is %s.", clip(r.text), clip(fmt.Sprintf("%s/%s", c.OS, c.Architecture)), architecture)
}

// goArchitecture gives the word that images have for an architecture of Lambda's.
func goArchitecture(architecture string) string {
	if architecture == "arm64" {
		return "arm64"
	}
	return "amd64"
}
