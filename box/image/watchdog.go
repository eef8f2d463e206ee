package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// leastProgress is how much a registry must send while the time of a stall passes.
const leastProgress = 1024

// errStalled is that a registry sent next to nothing for too long.
var errStalled = errors.New("the registry stalls")

// newTransport makes the connections to registries. It lasts as long as the process.
func newTransport(stall time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: min(stall, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    min(stall, 10*time.Second),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true, // digests are of the bytes as they are sent
	}
}

// watchdog ends requests whose answer does not get on.
type watchdog struct {
	next  http.RoundTripper
	stall time.Duration
}

// RoundTrip sends a request and watches it until its body is closed.
func (w *watchdog) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	b := &watchedBody{stall: w.stall, ctx: ctx, cancel: cancel}
	b.timer = time.AfterFunc(w.stall, b.look)
	answer, err := w.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		b.timer.Stop()
		err = b.why(err)
		cancel(nil)
		return nil, err
	}
	b.seen.Add(leastProgress) // the head counts
	b.body = answer.Body
	answer.Body = b
	return answer, nil
}

// watchedBody is a body that ends with errStalled when less than leastProgress comes
// while the time of a stall passes.
type watchedBody struct {
	body   io.ReadCloser
	stall  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	seen   atomic.Int64 // since the last look
}

// look is what the timer does.
func (b *watchedBody) look() {
	if b.seen.Swap(0) < leastProgress {
		b.cancel(errStalled)
		return
	}
	b.timer.Reset(b.stall)
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.seen.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.why(err)
	}
	return n, err
}

// Close ends the watch and the request.
func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// why gives the stall when that is what ended the request.
func (b *watchedBody) why(err error) error {
	if errors.Is(context.Cause(b.ctx), errStalled) {
		return fmt.Errorf("%w: it sent nothing, or next to nothing, for %s", errStalled, b.stall)
	}
	return err
}
