package lambda

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// Options are the limits of a handler. A zero limit is the service's own.
type Options struct {
	MaxCode   int64 // bytes of a request that carries code: CreateFunction, UpdateFunctionCode, PublishLayerVersion; 70,167,211
	MaxInvoke int64 // bytes of the payload of a synchronous invocation; 6,291,456
	MaxEvent  int64 // bytes of the payload of an asynchronous invocation; 1,048,576
	MaxOther  int64 // bytes of any other request; 6,291,456

	// Permit is asked with the name and the input of an operation before it is answered;
	// what it gives is the answer, unless it is nil. A nil Permit permits everything.
	Permit func(ctx context.Context, operation string, in any) error

	// Log receives the errors whose text is kept from the caller. Nil discards them.
	Log *slog.Logger
}

// The service's own limits in bytes.
const (
	DefaultMaxCode   = 70167211
	DefaultMaxInvoke = 6291456
	DefaultMaxEvent  = 1048576
	DefaultMaxOther  = 6291456
)

// handler serves the API for one Service.
type handler struct {
	service Service
	limits  Options
	log     *slog.Logger
}

// NewHandler returns the whole API as an http.Handler: every request is answered in
// the service's own form, also those that no operation takes.
func NewHandler(service Service, opts Options) http.Handler {
	h := &handler{service: service, limits: opts, log: opts.Log}
	for _, l := range []struct {
		limit *int64
		value int64
	}{
		{&h.limits.MaxCode, DefaultMaxCode},
		{&h.limits.MaxInvoke, DefaultMaxInvoke},
		{&h.limits.MaxEvent, DefaultMaxEvent},
		{&h.limits.MaxOther, DefaultMaxOther},
	} {
		if *l.limit <= 0 {
			*l.limit = l.value
		}
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	return h
}

// operation is one row of the table of operations.
type operation struct {
	name  string
	body  bodyKind
	serve func(*call) error
}

// call is one request on its way through an operation.
type call struct {
	ctx     context.Context
	service Service
	permit  func(ctx context.Context, operation string, in any) error
	req     *http.Request
	w       http.ResponseWriter
	labels  labels
	body    []byte
	err     error // the first thing that could not be decoded
}

// errNoOutput is a Service that returned neither output nor error.
var errNoOutput = errors.New("operation returned no output")

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{ctx: r.Context(), service: h.service, permit: h.limits.Permit, req: r, w: w}
	found := match(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, &c.labels)
	if found.op < 0 {
		if found.allow != "" {
			w.Header().Set("Allow", found.allow)
		}
		WriteError(w, found.err(r))
		return
	}
	op := &operations[found.op]
	err := h.readBody(c, found.op)
	if err == nil {
		err = c.genuine()
	}
	if err == nil {
		err = op.serve(c)
	}
	if err == nil {
		return
	}
	started := errors.Is(err, errStarted)
	if _, known := errors.AsType[*Error](err); !known || started {
		level := slog.LevelError
		if c.ctx.Err() != nil {
			level = slog.LevelDebug // the caller has gone; nobody reads the answer
		}
		h.log.Log(context.WithoutCancel(c.ctx), level, "operation failed", "operation", op.name, "err", err)
	}
	if !started {
		WriteError(w, err)
	}
}

// permitted asks whether the operation may be answered.
func (c *call) permitted(operation string, in any) error {
	if c.permit == nil {
		return nil
	}
	return c.permit(c.ctx, operation, in)
}

// genuine asks a body that can tell whether it is the one that its sender meant. What
// was not read of it is its own to read.
func (c *call) genuine() error {
	if b, ok := c.req.Body.(interface{ Genuine() error }); ok {
		return b.Genuine()
	}
	return nil
}

// Operation names the operation that a request asks for.
func Operation(r *http.Request) (name string, ok bool) {
	var l labels
	found := match(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, &l)
	if found.op < 0 {
		return "", false
	}
	return operations[found.op].name, true
}
