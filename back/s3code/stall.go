package s3code

import (
	"context"
	"errors"
	"io"
	"time"

	"kiln"
)

// watcher gives up a fetch when nothing came for too long.
type watcher struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

// errStalled is why a watcher gave up.
var errStalled = &kiln.Error{Code: kiln.Unavailable, Message: "S3 sent nothing for too long; the fetch was given up."}

// watch begins to watch a fetch.
func watch(ctx context.Context, stall time.Duration) *watcher {
	w := &watcher{stall: stall}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(stall, func() { w.cancel(errStalled) })
	return w
}

// saw notes that something came. Until wait nothing is expected.
func (w *watcher) saw() { w.timer.Stop() }

// wait notes that something is expected from now on.
func (w *watcher) wait() { w.timer.Reset(w.stall) }

// end ends the watching, and with it the fetch.
func (w *watcher) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain gives the reason behind an error that the watcher itself caused.
func (w *watcher) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), errStalled) {
		return errStalled
	}
	return err
}

// object is the body of an object on its way.
type object struct {
	body    io.ReadCloser
	watch   *watcher
	refusal func(error) error
}

// Read is io.Reader. An error that is not the end is a *kiln.Error or the context's.
func (o *object) Read(p []byte) (int, error) {
	o.watch.wait()
	n, err := o.body.Read(p)
	o.watch.saw()
	if err != nil && !errors.Is(err, io.EOF) {
		err = o.watch.explain(o.refusal(err))
	}
	return n, err
}

// Close ends the fetch.
func (o *object) Close() error {
	defer o.watch.end()
	return o.body.Close()
}
