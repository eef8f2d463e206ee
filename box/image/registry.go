package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln"
)

// registrySource is one repository: at its mirror, when it has one, and in its own
// registry.
type registrySource struct {
	store  *Store
	r      *reference
	places []*place
}

// place is one registry that may have the repository.
type place struct {
	repo   name.Repository
	plain  bool // HTTP without TLS is what the operator wants
	scheme string
	err    error // why the place is of no use
	client *http.Client
}

// openRegistry lists the places of a repository; nothing is asked yet.
func (s *Store) openRegistry(r *reference) source {
	from := &registrySource{store: s, r: r}
	if mirror := s.o.Mirrors[r.repo.RegistryStr()]; mirror != "" {
		from.places = append(from.places, mirrorPlace(mirror, r.repo))
	}
	from.places = append(from.places, &place{repo: r.repo})
	return from
}

// mirrorPlace gives the place of a repository in a mirror.
func mirrorPlace(mirror string, repo name.Repository) *place {
	host, plain := strings.CutPrefix(mirror, "http://")
	host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
	var options []name.Option
	if plain {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(host, options...)
	return &place{repo: registry.Repo(repo.RepositoryStr()), plain: plain, err: err}
}

// manifest asks one place after the other.
func (f *registrySource) manifest(ctx context.Context, wanted string) ([]byte, error) {
	if wanted == "" {
		wanted = name.DefaultTag
	}
	answer, err := f.ask(ctx, "manifests/"+wanted, func(h http.Header) {
		for _, t := range []types.MediaType{types.OCIManifestSchema1, types.OCIImageIndex, types.DockerManifestSchema2, types.DockerManifestList} {
			h.Add("Accept", string(t))
		}
	})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxManifest+1))
	if err != nil {
		return nil, f.fault(f.r.repo, err)
	}
	return text, nil
}

// blob asks one place after the other for the rest of a blob.
func (f *registrySource) blob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	answer, err := f.ask(ctx, "blobs/"+d.Digest.String(), func(h http.Header) {
		if offset > 0 {
			h.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1))
		}
	})
	if errors.Is(err, errNoRange) && offset > 0 {
		return f.blob(ctx, d, 0)
	}
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode != http.StatusPartialContent {
		return answer.Body, 0, nil
	}
	if from, ok := rangeStart(answer.Header.Get("Content-Range")); !ok || from != offset {
		answer.Body.Close()
		return nil, 0, fmt.Errorf("the registry %s answers with another part than the one that it was asked for", f.r.repo.RegistryStr())
	}
	return answer.Body, offset, nil
}

// rangeStart reads where the part of a partial answer begins.
func rangeStart(contentRange string) (int64, bool) {
	rest, ok := strings.CutPrefix(contentRange, "bytes ")
	if !ok {
		return 0, false
	}
	first, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	return n, err == nil
}

func (f *registrySource) close() error { return nil }

// ask sends a GET below the repository to one place after the other, until one has
// what is asked for. What the last one says is the error.
func (f *registrySource) ask(ctx context.Context, path string, set func(http.Header)) (*http.Response, error) {
	var last error
	for i, p := range f.places {
		answer, err := f.askPlace(ctx, p, path, set)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		last = err
		if i < len(f.places)-1 {
			f.store.log.InfoContext(ctx, "mirror has no image", "mirror", p.repo.RegistryStr(), "image", f.r.text, "error", err)
		}
	}
	return nil, last
}

func (f *registrySource) askPlace(ctx context.Context, p *place, path string, set func(http.Header)) (*http.Response, error) {
	if err := f.connect(ctx, p); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.scheme+"://"+p.repo.RegistryStr()+"/v2/"+p.repo.RepositoryStr()+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	set(r.Header)
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, f.fault(p.repo, err)
	}
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusPartialContent {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, f.status(p.repo, answer.StatusCode)
}

// connect agrees with a place on how to talk, once.
func (f *registrySource) connect(ctx context.Context, p *place) error {
	if p.client != nil || p.err != nil {
		return p.err
	}
	auth, err := f.store.o.Keychain.Resolve(p.repo)
	if err != nil {
		if kiln.CodeOf(err) != kiln.Internal {
			return err
		}
		return because(reasonDenied, "The credentials for the registry %s cannot be had: %v.", p.repo.RegistryStr(), err)
	}
	seen := &schemes{next: f.store.client, plain: p.plain, near: isLoopback(p.repo.RegistryStr())}
	t, err := transport.NewWithContext(ctx, p.repo.Registry, auth, seen, []string{p.repo.Scope(transport.PullScope)})
	if err != nil {
		var refused *transport.Error
		if errors.As(err, &refused) {
			return f.status(p.repo, refused.StatusCode)
		}
		return f.fault(p.repo, err)
	}
	p.scheme = "https"
	if seen.last == "http" {
		p.scheme = "http"
	}
	p.client = &http.Client{Transport: t}
	return nil
}

// schemes lets no request out without TLS, except to this machine itself and to
// mirrors that were set so; and none to this machine that a registry elsewhere leads
// to, by a redirection or by where it has its tokens. It notes by which scheme the
// registry answered.
type schemes struct {
	next  http.RoundTripper
	plain bool
	near  bool // the registry is on this machine
	last  string
}

func (g *schemes) RoundTrip(r *http.Request) (*http.Response, error) {
	if isLoopback(r.URL.Host) && !g.near && !g.plain {
		return nil, fmt.Errorf("it leads to %s, which is this machine itself", r.URL.Host)
	}
	if r.URL.Scheme != "https" && !g.plain && !isLoopback(r.URL.Host) {
		return nil, fmt.Errorf("%s would be asked without TLS, which only a mirror set as http:// allows", r.URL.Host)
	}
	answer, err := g.next.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/v2/") {
		g.last = r.URL.Scheme
	}
	if err == nil && !strings.Contains(r.URL.Path, "/blobs/") {
		// Whoever reads a greeting or a token reads all that comes.
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, 2*maxManifest), answer.Body}
	}
	return answer, err
}

// errPassing marks a failure that may pass: asking again may help.
var errPassing = errors.New("it may pass")

// errNoRange marks the refusal of a part of a blob: it has to be asked for whole.
var errNoRange = errors.New("it gives no parts")

// status gives the error of an answer that is none.
func (f *registrySource) status(repo name.Repository, code int) error {
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return because(reasonDenied, "Lambda does not have permission to access the ECR image. Check the ECR permissions. (The registry %s answers %d for %s.)", repo.RegistryStr(), code, clip(f.r.text))
	case code == http.StatusNotFound:
		return notThere(f.r.text)
	}
	e := because(reasonFault, "The registry %s answers %d %s.", repo.RegistryStr(), code, http.StatusText(code))
	if code == http.StatusRequestedRangeNotSatisfiable {
		e.Err = errNoRange
	}
	if code == http.StatusTooManyRequests || code >= 500 {
		e.Err = errPassing
	}
	return e
}

// fault gives the error of a registry that could not be reached or broke off.
func (f *registrySource) fault(repo name.Repository, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	why := innermost(err).Error() // without addresses and methods
	if errors.Is(err, errStalled) {
		why = "it sent nothing, or next to nothing, for " + f.store.o.Stall.String()
	}
	e := because(reasonFault, "The registry %s cannot be reached: %s.", repo.RegistryStr(), why)
	e.Err = errors.Join(errPassing, err)
	return e
}

// innermost gives the first cause of an error.
func innermost(err error) error {
	for {
		cause := errors.Unwrap(err)
		if cause == nil {
			return err
		}
		err = cause
	}
}

// pause is how long to wait before a blob is asked for again.
func pause(tries int) time.Duration { return min(250*time.Millisecond<<min(tries, 6), 8*time.Second) }
