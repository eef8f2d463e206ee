package api

import (
	"cmp"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/auth/policy"
	"kiln/door/lambda"
)

// Options is what a Server stands on. Catalog and Invoker are required; without one
// of the others its part of kiln's own API answers that it is not there.
type Options struct {
	Catalog      Catalog
	Invoker      Invoker
	Logs         Logs
	Images       Images
	Runtimes     Runtimes
	URLs         URLs
	URLDomain    string // under which function URLs are; "" is localhost
	Environments func() []EnvironmentInfo
	Queues       Queues                   // nil: there are none that records could go to
	Events       Enqueuer                 // nil: events are refused
	Mappings     Mappings                 // nil: there are no event source mappings
	Account      func(kiln.Scope) Account // nil: GetAccountSettings is not served
	FileSystems  kiln.FileSystems         // that functions may have; others do not exist
	Networks     kiln.Networks            // subnets and security groups that functions may be in
	Doctor       func() any               // what this host can do, as JSON
	Ready        func() error             // nil, or why the server cannot serve yet

	Auth     *auth.Gate         // nil: kiln's default account and region
	Accounts *accounts.Book     // users and roles; nil: there are none
	Services map[string]Service // neighbours on the same port, by the service name of the signature

	Version string // of kiln

	Listen string   // host:port that the port listens on
	Hosts  []string // further names that Host may have; "*.example.com" for all below

	Limits    lambda.Options // of requests; zero is the service's own
	Logger    *slog.Logger
	AccessLog slog.Leveler     // of the line for each request; nil is slog.LevelDebug
	Now       func() time.Time // for tests
}

// Server is the port. It is safe for concurrent use; what it was given stays the
// caller's to close.
type Server struct {
	o         Options
	log       *slog.Logger
	gate      *auth.Gate
	hosts     *auth.Hosts
	resources *auth.Resources
	lambda    http.Handler
	tickets   *tickets
	sessions  sessions
	started   time.Time

	draining  chan struct{} // closed when the server is going down: streams end
	drainOnce sync.Once
}

// New gives the port as an http.Handler. It panics when a required room is missing.
func New(o Options) *Server {
	if o.Catalog == nil || o.Invoker == nil {
		panic("api: Catalog and Invoker are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.AccessLog == nil {
		o.AccessLog = slog.LevelDebug
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Auth == nil {
		o.Auth, _ = auth.New(auth.Options{}) // the defaults are always accepted
	}
	s := &Server{
		o: o, log: o.Logger, gate: o.Auth, hosts: auth.NewHosts(o.Listen, hostsOf(o)), resources: auth.NewResources(o.Catalog.Policy),
		tickets: newTickets(o.Now), started: o.Now(), draining: make(chan struct{}),
	}
	o.Limits.Log, o.Limits.Permit = cmp.Or(o.Limits.Log, o.Logger), s.permit
	s.lambda = lambda.NewHandler(service{Server: s}, o.Limits)
	return s
}

// hostsOf gives the further names that Host may have.
func hostsOf(o Options) []string {
	if o.URLDomain == "" {
		return o.Hosts
	}
	return append([]string{"*." + o.URLDomain}, o.Hosts...)
}

// Drain ends the streams that would never end by themselves, so that a graceful
// shutdown does not wait for them. Invocations are not touched.
func (s *Server) Drain() {
	s.drainOnce.Do(func() {
		close(s.draining)
		for _, neighbour := range s.o.Services {
			if d, ok := neighbour.(interface{ Drain() }); ok {
				d.Drain()
			}
		}
	})
}

// ServeHTTP answers every request from outside.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handle(w, r, nil) }

// handle answers every request, of a room or from outside: a panic becomes a 500, and
// only when the answer had already begun is the connection cut, since a short answer
// would pass for a whole one.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, from *room) {
	a := &answer{ResponseWriter: w, room: from}
	begin := time.Now()
	c := &call{header: w.Header(), room: from}
	defer func() {
		broken := recover()
		if broken != nil && broken != any(http.ErrAbortHandler) { // a panic value, not an error chain
			s.log.Error("panic in a request", "requestId", c.id, "method", r.Method, "path", r.URL.Path, "panic", broken, "stack", string(debug.Stack()))
			if a.status == 0 {
				lambda.WriteError(a, &lambda.Error{Code: lambda.ServiceException, Message: internalText})
				broken = nil
			}
		}
		s.access(r, a, c, begin)
		if broken != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	s.serve(a, r, c)
}

// serve lets a request pass the guards and hands it to the row of the table that
// takes it.
func (s *Server) serve(w *answer, r *http.Request, c *call) {
	row, label := route(r.Host, r.URL.EscapedPath())
	id, ok := requestID(r)
	if row.web {
		id, ok = kiln.NewID(), true
	}
	c.id = id
	w.Header()["X-Amzn-Requestid"] = []string{id}
	switch {
	case !ok:
		lambda.WriteError(w, invalid("The value of the header X-Amzn-RequestId must be a UUID."))
		return
	case !s.hosts.Allow(r.Host):
		forbid(w, "kiln does not answer to the host name "+clip(r.Host)+"; if it is this server's, add it with --allow-host")
		return
	}
	if why := auth.Foreign(r); why != "" && !row.web {
		forbid(w, "refused: "+why)
		return
	}
	if c.room != nil {
		if !row.inside {
			forbid(w, clip(r.URL.EscapedPath())+" is not served inside of execution environments")
			return
		}
		size := bodySize(r)
		if !c.room.bodies.take(size) {
			lambda.WriteError(w, crowded())
			return
		}
		defer c.room.bodies.give(size)
	}
	if !row.allows(r.Method) {
		w.Header().Set("Allow", row.methods)
		s.problem(w, http.StatusMethodNotAllowed, kiln.Invalid, r.Method+" is not allowed here; allowed: "+row.methods)
		return
	}
	c.label, c.request = label, r
	if !row.open {
		if err := s.admit(r, c, row); err != nil {
			row.refuse(w, c, s.fault(r.Context(), err))
			return
		}
	}
	row.serve(s, w, r, c)
}

// admit says who sends a request, holds its body to the signature, and asks for the
// permission that the row itself needs.
func (s *Server) admit(r *http.Request, c *call, row *row) error {
	service := row.service
	if service == "" {
		service = serviceOf(r)
	}
	var seal *auth.Seal
	var err error
	if c.Identity, seal, err = s.identify(r, c.room, service); err != nil {
		return err
	}
	if err := s.unseal(r, seal, !row.streams); err != nil {
		return err
	}
	if row.subject == "" || !s.gate.Verifies() {
		return nil
	}
	verb := "Change"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		verb = "Get"
	}
	a := auth.Act{Action: "kiln:" + verb + row.subject, Resource: "*"}
	if row.shared {
		a.Owner = s.gate.Home().Account // what all accounts share is that account's
	}
	return s.gate.Authorize(c.Identity, r, a)
}

// identify says who sends a request. Outside it is what it claims, or proves; inside it
// is whose room it is, unless signatures are checked and it is signed by somebody else.
func (s *Server) identify(r *http.Request, from *room, service string) (auth.Identity, *auth.Seal, error) {
	if from == nil || s.gate.Verifies() && !from.environment.Carries(r) {
		return s.gate.Verify(r, service)
	}
	who, err := from.environment.Identify(r)
	if err == nil && s.gate.Verifies() {
		who.Caller = s.session(from.environment)
	}
	return who, nil, err
}

// session gives a function as a principal: with the policies that its role has now, or
// none when the role is gone.
func (s *Server) session(e *auth.Environment) *auth.Caller {
	id, role := e.Function()
	if s.o.Accounts != nil {
		if c := s.o.Accounts.Session(id, role); c != nil {
			return c
		}
	}
	return &auth.Caller{Principal: policy.Principal{ARN: e.Principal(), Account: id.Account, Role: role, Type: "AssumedRole"}}
}

// forbid answers 403 to a request that should not have come here.
func forbid(w http.ResponseWriter, text string) {
	lambda.WriteError(w, &lambda.Error{Code: lambda.AccessDeniedException, Message: text})
}

// access writes the line of one request.
func (s *Server) access(r *http.Request, a *answer, c *call, begin time.Time) {
	ctx := r.Context()
	level := s.o.AccessLog.Level()
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "request",
		slog.String("requestId", c.id), slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()),
		slog.Int("status", cmp.Or(a.status, http.StatusOK)), slog.Int64("bytes", a.bytes),
		slog.Duration("took", time.Since(begin)), slog.String("account", c.Account), slog.String("region", c.Region),
		slog.String("principal", c.Principal), slog.String("remote", r.RemoteAddr))
}

// answer is a ResponseWriter that remembers what was sent. What is large and sent into
// a room is in its purse until the room has taken it; when it does not fit, the
// connection is cut: whoever asks for more than it reads does not get it.
type answer struct {
	http.ResponseWriter
	room   *room
	status int
	bytes  int64
}

// WriteHeader sends the status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if size := int64(len(p)); a.room != nil && size >= largeAnswer {
		if !a.room.answers.take(size) {
			panic(http.ErrAbortHandler)
		}
		defer a.room.answers.give(size)
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// clip bounds what an answer repeats of a request.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "…"
	}
	return s
}
