package debian

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// connectTimeout bounds the time until a server begins to speak TLS or HTTP.
const connectTimeout = 15 * time.Second

// newClient makes the client that speaks to mirrors, through the proxies that the
// machine's apt goes through, and files.
func (a *Archive) newClient() (*http.Client, error) {
	t := &http.Transport{
		Proxy:                 a.proxy,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: a.options.Stall,
		MaxIdleConnsPerHost:   downloadsAtOnce,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // what is signed is the compressed file
	}
	if file := a.apt.get("Acquire::https::CAInfo"); file != "" {
		text, err := os.ReadFile(filepath.Join(a.options.Host, file))
		if err != nil {
			return nil, fmt.Errorf("read the authorities that apt's configuration names: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s, which apt's configuration names, has no certificates", file)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return &http.Client{Transport: t}, nil
}

// proxy finds the proxy for a request: what apt's configuration says of its host, of
// its scheme, and then what the environment says, as apt does.
func (a *Archive) proxy(r *http.Request) (*url.URL, error) {
	schemes := []string{r.URL.Scheme}
	if r.URL.Scheme == "https" {
		schemes = append(schemes, "http") // where apt sets nothing for https
	}
	for _, scheme := range schemes {
		for _, name := range []string{"::Proxy::" + r.URL.Hostname(), "::Proxy"} {
			set, ok := a.apt[strings.ToLower("Acquire::"+scheme+name)]
			switch {
			case !ok:
			case set == "" || strings.EqualFold(set, "DIRECT") || set == "false":
				return nil, nil
			default:
				return url.Parse(set)
			}
		}
	}
	return http.ProxyFromEnvironment(r)
}

// open begins to fetch a file from offset on. The answer's body ends with an error
// when nothing has come for too long. from is where the answer really begins.
func (a *Archive) open(ctx context.Context, mirror, name string, offset int64) (body io.ReadCloser, from int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	address := mirror + "/" + (&url.URL{Path: name}).EscapedPath()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	request.Header.Set("User-Agent", "kiln")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := a.client.Do(request) //nolint:bodyclose // the caller reads and closes it
	if err != nil {
		cancel(nil)
		return nil, 0, plain(err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		offset = 0
	case http.StatusPartialContent:
		var first int64
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &first); err != nil || first != offset {
			drain(response.Body)
			cancel(nil)
			return nil, 0, fmt.Errorf("the server answered with another part than was asked for")
		}
	default:
		drain(response.Body)
		cancel(nil)
		return nil, 0, statusError{response.StatusCode, response.Status}
	}
	return watch(ctx, cancel, response.Body, a.options.Stall), offset, nil
}

// statusError is an answer other than success.
type statusError struct {
	code int
	text string
}

// Error gives the answer's own words.
func (e statusError) Error() string { return "the server answers " + e.text }

// plain gives an error of a request without the address, which whoever reports it
// adds, and without a password in it.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// stalled is a body that is given up when nothing has come for too long.
type stalled struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

// watch gives up a body when nothing has come for limit.
func watch(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, limit time.Duration) *stalled {
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("the server sent nothing for %s", limit)) })
	return &stalled{body, ctx, cancel, timer, limit}
}

// Read reads what has come; each byte gives the server the whole time anew.
func (s *stalled) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if n > 0 {
		s.timer.Reset(s.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) && s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	return n, err
}

// Close gives the body up.
func (s *stalled) Close() error {
	s.timer.Stop()
	s.cancel(nil)
	return s.ReadCloser.Close()
}
