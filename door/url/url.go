// Package url is the door of function URLs: it turns a request of HTTP into the event
// that a function knows from AWS, and what the function returns, or streams, into an
// answer. It speaks for a URL to browsers (CORS) and asks a Gate who may call. It never
// decides which request is for a URL at all, never keeps a configuration, never verifies
// a signature and never runs a function itself.
package url

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kiln"
)

// Functions finds a URL by its ID; nil is none. It is asked for each request.
type Functions interface {
	URLByID(id string) *kiln.FunctionURL
}

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
}

// Gate says who may call a URL. An error refuses; its text is not told.
type Gate interface {
	// Admit gives who sends a request, nil for nobody in particular.
	Admit(r *http.Request, u *kiln.FunctionURL) (*Caller, error)
}

// Caller is who sends a request and has proved it.
type Caller struct {
	Account, AccessKey, ARN, UserID string
	// Check looks whether a body is the one that was signed; nil takes every body.
	Check func(body []byte) error
}

// Options is what a Door is made of. Functions and Invoker are required.
type Options struct {
	Functions Functions
	Invoker   Invoker
	// Gate is asked before each invocation. Without one a URL with authorization NONE is
	// open, and one with AWS_IAM refuses everybody.
	Gate   Gate
	Logger *slog.Logger
	Now    func() time.Time // for tests
}

// Door answers requests to function URLs. It is safe for concurrent use and owns no
// goroutine.
type Door struct{ o Options }

// New makes a door. It panics when a required room is missing.
func New(o Options) *Door {
	if o.Functions == nil || o.Invoker == nil {
		panic("url: Functions and Invoker are required")
	}
	if o.Gate == nil {
		o.Gate = byAuthType{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Door{o}
}

// Request is one request to a URL and what the port knows of it.
type Request struct {
	URL       string // the ID
	Path      string // as the function sees it, escaped
	Prefix    string // what stands before Path in the address; "" when the host names the URL
	RequestID string
	Trace     string
}

// visit is one request on its way through the door.
type visit struct {
	door *Door
	w    http.ResponseWriter
	r    *http.Request
	to   Request
	url  *kiln.FunctionURL

	caller *Caller // nil is nobody in particular
}

// ServeURL answers one request.
func (d *Door) ServeURL(w http.ResponseWriter, r *http.Request, to Request) {
	u := d.o.Functions.URLByID(strings.ToLower(to.URL))
	v := &visit{door: d, w: w, r: r, to: to, url: u}
	w.Header().Set("X-Amzn-Trace-Id", to.Trace)
	switch {
	case u == nil:
		v.refuse(noSuchURL)
	case v.preflight():
	case upgrades(r):
		v.refuse(noUpgrade)
	default:
		v.share()
		caller, err := d.o.Gate.Admit(r, u)
		if err != nil {
			v.refuse(v.forbid(err))
			return
		}
		v.caller = caller
		v.invoke()
	}
}

// invoke runs the function and sends what it says.
func (v *visit) invoke() {
	payload, no := v.event()
	if no != nil {
		v.refuse(no)
		return
	}
	inv := &kiln.Invocation{
		ID: v.to.RequestID, Attempt: kiln.NewID(), Function: v.url.Function, Qualifier: v.url.Qualifier,
		Payload: payload, Trace: v.to.Trace, Accepted: v.door.o.Now(),
	}
	if v.url.InvokeMode == kiln.StreamedMode {
		v.stream(inv)
		return
	}
	outcome, err := v.door.o.Invoker.Invoke(v.r.Context(), inv)
	switch {
	case err != nil:
		v.refuse(v.problem(err))
	case outcome.Failed:
		v.refuse(failure(outcome))
	default:
		v.answer(outcome.Payload)
	}
}

// upgrades reports whether a request wants to speak something else than HTTP.
func upgrades(r *http.Request) bool {
	if r.Header.Get("Upgrade") == "" {
		return false
	}
	for _, value := range r.Header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}
