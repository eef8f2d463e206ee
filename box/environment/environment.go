// Package environment is one execution environment: a sandbox, a runtime process
// in it and the state machine of its life. One goroutine drives the machine; what
// may happen when is decided in machine.go alone. It never chooses who is served
// next, never knows a pool, an API of AWS's control plane or a kernel object.
package environment

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kiln"
	"kiln/box/rapi"
	"kiln/box/sandbox"
	"kiln/telemetry"
	"kiln/telemetry/tap"
)

// graceTime is how long a runtime that said init/error may take to exit.
const graceTime = 500 * time.Millisecond

// Options is what an environment is made of.
type Options struct {
	ID       string
	Sandbox  sandbox.Sandbox // owned from now on: Close destroys it
	Version  *kiln.Version
	Runtime  kiln.Runtime
	InitType kiln.InitType // "" is on-demand
	Sink     telemetry.Sink
	// InitTimeout is the limit of the first init; 0 is kiln.InitTimeout or, for
	// provisioned concurrency, 130 seconds or the function's timeout if that is longer.
	InitTimeout time.Duration
	MilliCPU    int64         // quota during invocations; 0 is none. During init there is none.
	SandboxTime time.Duration // how long making the box took, for the first report
	Inside      *Inside       // kiln's own API; nil is none
	Extensions  []string      // the files of /opt/extensions in the box
	Stream      kiln.StreamLimits
	Logger      *slog.Logger
}

// Stamp says which function's code an environment is bound to, for life.
type Stamp struct {
	ID       string
	Function kiln.FunctionID
	Version  string
	Revision string // the version's revision id when the environment was made
	InitType kiln.InitType
	Born     time.Time
}

// Environment is one execution environment.
type Environment struct {
	// Set by New and not changed.
	stamp       Stamp
	sandbox     sandbox.Sandbox
	version     *kiln.Version
	runtime     kiln.Runtime
	initType    kiln.InitType
	initTimeout time.Duration
	timeout     time.Duration
	milliCPU    int64
	sandboxTime time.Duration
	source      *telemetry.Source
	credentials credentials
	inside      *Inside
	extensions  []string
	limits      kiln.StreamLimits
	logger      *slog.Logger

	messages   chan message
	idle       chan struct{}
	closing    chan struct{} // closed by Part and by Close
	closeOnce  sync.Once
	patient    atomic.Bool   // Part was the first: the sandbox is left to Close
	quiet      chan struct{} // closed when no process has any time left
	end        chan struct{} // closed by Close
	endOnce    sync.Once
	over       chan struct{} // closed when nothing of the environment is left
	ctx        context.Context
	cancel     context.CancelFunc
	starts     context.Context // for the start of processes: ends with the first wish to close
	stopStarts context.CancelFunc
	wg         sync.WaitGroup
	current    atomic.Int32 // state, for everybody else
	closeErr   error        // valid after over

	// The goroutine's own.
	state   State
	journal *journal
	taps    []*tap.Subscriber // of the extensions
	life    *life
	within  *within
	bench   *workbench // for a debugger; nil is none
	timer   *time.Timer
	armed   time.Time // when the invocation's time began; zero when it does not run
	leaveBy time.Time // when everybody who was asked to end must have
	free    bool      // the slot is: a token is out, or was taken and not used yet
	timeUp  time.Time // when the time that was armed is up; zero when none is
	frozen  bool
	held    *call // an invocation that came while the processes were ending
	waiters []*waiter
	early   []*waiter // asked while the answer was still being streamed
	// runtimeAsked is whether the runtime asked for work and was given none since.
	runtimeAsked bool
	call         *call  // the invocation that is served
	lastID       string // its request id, also after it ended
	fault        *fault // the first thing that went wrong
	post         *post  // the answer that is being handed in
	follow       []event
	initBegan    time.Time
	firstInit    bool          // the init that runs is the first one
	coldInit     time.Duration // of a successful first init, until an invocation followed it
	limited      bool
	meter        meter
}

// call is an invocation on its way through an environment.
type call struct {
	inv       *kiln.Invocation
	event     rapi.Event
	delivered bool // the function has seen it
	started   bool // START was said
	told      bool // so was what went wrong
	answered  bool // the caller has its answer, or it waits for the tail
	outcome   *kiln.Outcome
	err       error
	done      chan struct{} // closed when outcome or err is there
	took      time.Duration // until the answer was here; 0 is never
	doneAt    time.Time     // when the runtime was done with it
	latency   time.Duration // until the answer, when it came whole
	size      int64         // of it
	stream    *stream       // the answer that is streamed
	streams   chan *stream  // brings it to Invoke; nil when the caller wants it whole
}

// New makes an environment and starts its first init at once.
func New(o Options) *Environment {
	born := time.Now()
	if o.InitType == "" {
		o.InitType = kiln.OnDemand
	}
	timeout := o.Version.Config.Timeout
	if o.InitTimeout == 0 {
		o.InitTimeout = kiln.InitTimeout
		if o.InitType == kiln.Provisioned {
			o.InitTimeout = max(130*time.Second, timeout)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Environment{
		stamp:       Stamp{o.ID, o.Version.Function, o.Version.Name(), o.Version.RevisionID, o.InitType, born},
		sandbox:     o.Sandbox,
		version:     o.Version,
		runtime:     o.Runtime,
		initType:    o.InitType,
		initTimeout: o.InitTimeout,
		timeout:     timeout,
		milliCPU:    o.MilliCPU,
		sandboxTime: o.SandboxTime,
		source: &telemetry.Source{
			Function:    o.Version.Function,
			Version:     o.Version.Name(),
			Group:       logGroup(o.Version),
			Stream:      logStream(o.Version, born),
			Environment: o.ID,
			InitType:    o.InitType,
			MemoryMB:    o.Version.Config.MemoryMB,
			Logging:     o.Version.Config.Logging,
		},
		credentials: o.Inside.credentialsOf(o.Version),
		inside:      o.Inside,
		extensions:  o.Extensions,
		limits:      o.Stream.WithDefaults(),
		logger:      o.Logger.With("environment", o.ID, "function", o.Version.Function.String()),
		messages:    make(chan message, 16),
		idle:        make(chan struct{}, 1),
		closing:     make(chan struct{}),
		quiet:       make(chan struct{}),
		end:         make(chan struct{}),
		over:        make(chan struct{}),
		meter:       meter{limitMB: o.Version.Config.MemoryMB},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.starts, e.stopStarts = context.WithCancel(e.ctx)
	go e.run(o.Sink)
	return e
}

// Stamp says what the environment is bound to.
func (e *Environment) Stamp() Stamp { return e.stamp }

// State gives the state of the machine; it may have changed when the caller looks.
func (e *Environment) State() State { return State(e.current.Load()) }

// Idle gives one token each time that the slot became free: after the first init,
// also a failed one, which is retried inside the next invocation, and after each
// invocation. It is closed when the environment is over.
func (e *Environment) Idle() <-chan struct{} { return e.idle }

// Usage measures the box now.
func (e *Environment) Usage() (sandbox.Usage, error) { return e.sandbox.Usage() }

// Invoke runs one invocation and returns its outcome when the answer is there, or
// after REPORT when the invocation wants its tail. It may be called once for each
// token of Idle. ctx is obeyed until the environment has taken the invocation;
// from then on the function runs to its end, as on AWS. When the environment was
// over before the function saw the event, the error has the code Unavailable.
func (e *Environment) Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	c := &call{inv: inv, done: make(chan struct{})}
	if inv.Stream != nil {
		c.streams = make(chan *stream, 1)
	}
	select {
	case e.messages <- message{kind: bring, call: c}:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	case <-e.quiet:
		return nil, unavailable(nil)
	}
	if !e.attend(c) {
		return nil, unavailable(nil) // it was not read any more
	}
	return c.outcome, c.err
}

// Rest freezes the box until the next Invoke, which waits for a freeze that is in
// progress. It returns at once.
func (e *Environment) Rest() {
	select {
	case e.messages <- message{kind: rest}:
	case <-e.quiet:
	}
}

// Part begins the end of the environment and waits until its processes have had the
// time to end that they have a right to, at most two seconds. It is for owners that
// close many: the work of destroying a sandbox is left to Close, which must follow.
func (e *Environment) Part() {
	e.closeOnce.Do(func() {
		e.patient.Store(true)
		close(e.closing)
		e.stopStarts()
	})
	<-e.quiet
}

// Close ends the environment as Part does, then destroys its sandbox and waits until
// nothing of it is left. An invocation that runs fails.
func (e *Environment) Close() error {
	e.closeOnce.Do(func() {
		close(e.closing)
		e.stopStarts()
	})
	e.endOnce.Do(func() { close(e.end) })
	<-e.over
	return e.closeErr
}

// logGroup is the log group of a version.
func logGroup(v *kiln.Version) string {
	if v.Config.LogGroup != "" {
		return v.Config.LogGroup
	}
	return "/aws/lambda/" + v.Function.Name
}

// logStream names a new stream as AWS does; in a group that a function shares with
// others its name is part of it.
func logStream(v *kiln.Version, born time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails: it ends the program instead
	name := ""
	if v.Config.LogGroup != "" && v.Config.LogGroup != "/aws/lambda/"+v.Function.Name {
		name = v.Function.Name
	}
	return born.UTC().Format("2006/01/02/") + name + "[" + v.Name() + "]" + hex.EncodeToString(id[:])
}

// isGone reports whether err says that the sandbox is no more.
func isGone(err error) bool { return errors.Is(err, sandbox.ErrGone) }
