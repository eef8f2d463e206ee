package image

import (
	"net"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln"
)

// kind is where a reference leads.
type kind string

// The kinds; all but the first are the prefixes of their references.
const (
	inRegistry    kind = ""
	inLayout      kind = "oci"
	inOCIArchive  kind = "oci-archive"
	inDockerSaved kind = "docker-archive"
)

// reference is what a caller named: a repository of a registry, or a directory or
// file of this machine, and in it a tag, a digest or nothing.
type reference struct {
	text string
	kind kind
	repo name.Repository // inRegistry
	path string          // else
	tag  string          // "" with a digest, or when the place holds one image
	// digest is "sha256:…" or "".
	digest string
}

// parseReference reads a reference, or refuses it in AWS's words.
func parseReference(text string) (*reference, error) {
	r := &reference{text: text}
	for _, k := range []kind{inLayout, inOCIArchive, inDockerSaved} {
		if rest, ok := strings.CutPrefix(text, string(k)+":"); ok {
			r.kind = k
			return r, r.parseLocal(rest)
		}
	}
	if len(text) > 1024 {
		return nil, refuse("Source image is not valid. Provide a valid source image. (It has more than 1024 characters.)")
	}
	parsed, err := name.ParseReference(text)
	if err != nil {
		return nil, notValid(text, err.Error())
	}
	r.repo = parsed.Context()
	switch parsed := parsed.(type) {
	case name.Digest:
		r.digest = parsed.DigestStr()
	case name.Tag:
		r.tag = parsed.TagStr()
	}
	return r, r.checkDigest()
}

// parseLocal reads what follows the prefix: a path, then @digest or :tag. What stands
// behind the first colon after the last slash of a path is the tag, which for a file
// that Docker saved may hold slashes and colons itself.
func (r *reference) parseLocal(rest string) error {
	r.path = rest
	if path, digest, ok := strings.Cut(rest, "@"); ok {
		r.path, r.digest = path, digest
	} else if r.kind == inDockerSaved {
		if path, tag, ok := strings.Cut(rest, ":"); ok {
			r.path, r.tag = path, tag
		}
	} else if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.path, r.tag = rest[:i], rest[i+1:]
	}
	if !filepath.IsAbs(r.path) || strings.IndexByte(r.path, 0) >= 0 {
		return notValid(r.text, "the path must be absolute: it is one of the server's machine")
	}
	r.path = filepath.Clean(r.path)
	return r.checkDigest()
}

func (r *reference) checkDigest() error {
	if r.digest == "" {
		return nil
	}
	h, err := v1.NewHash(r.digest)
	if err != nil || h.Algorithm != "sha256" || !isDigest(h.Hex) {
		return notValid(r.text, "its digest is not a SHA-256")
	}
	return nil
}

// at gives the reference with a digest instead of a tag.
func (r *reference) at(digest string) string {
	if r.kind == inRegistry {
		return r.repo.Name() + "@" + digest
	}
	return string(r.kind) + ":" + r.path + "@" + digest
}

func notValid(reference, why string) *kiln.Error {
	return refuse("Source image %s is not valid. Provide a valid source image. (%s)", clip(reference), why)
}

func notThere(reference string) *kiln.Error {
	return because(reasonGone, "Source image %s does not exist. Provide a valid source image.", clip(reference))
}

// clip shortens what a caller sent for a message.
func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// isLoopback reports whether a host[:port] is this machine's own, where a registry
// without TLS gives nothing away.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// isDigest reports whether s is a SHA-256 in lower-case hex, and so a safe name.
func isDigest(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
