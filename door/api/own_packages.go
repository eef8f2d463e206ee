package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"kiln"
	"kiln/door/lambda"
)

// location gives the URL that the code of a version can be downloaded from for ten
// minutes, at the address that the client used for its request. The ticket in it is
// the right to do so: whoever has the URL needs nothing else.
func (s *Server) location(c *call, v *kiln.Version) *lambda.FunctionCodeLocation {
	if v.Config.FromImage() {
		return imageLocation(v)
	}
	url := s.downloadURL(c, v.Package.SHA256)
	return &lambda.FunctionCodeLocation{RepositoryType: text("S3"), Location: &url}
}

// downloadURL gives the URL of a package with a ticket for it.
func (s *Server) downloadURL(c *call, digest string) string {
	return c.base() + "/_kiln/v1/packages/" + digest + "?" + s.tickets.issue(digest)
}

// download sends a package to whoever has a ticket for it.
func (s *Server) download(w http.ResponseWriter, r *http.Request, c *call) {
	q := r.URL.Query()
	if !isDigest(c.label) || !s.tickets.check(c.label, q.Get("expires"), q.Get("token")) {
		s.problem(w, http.StatusForbidden, kiln.Invalid, "this download URL is not valid or no longer; ask GetFunction for a new one")
		return
	}
	body, size, err := s.o.Catalog.Package(r.Context(), &kiln.Version{Package: kiln.Package{SHA256: c.label}})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", `attachment; filename="`+c.label[:12]+`.zip"`)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	// An answer that ends short has begun as a whole one: the connection is cut so
	// that the client sees it.
	if _, err := io.Copy(w, body); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Debug("download ended early", "package", c.label, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// isDigest reports whether s is a SHA-256 in lower-case hex, and so no path.
func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
