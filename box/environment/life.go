package environment

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"kiln"
	"kiln/box/rapi"
	"kiln/box/sandbox"
)

// settleTime bounds how long what a dead process had sent is waited for.
const settleTime = 250 * time.Millisecond

// life is one runtime process and its extensions with the API that they speak to, from
// the start of the first to the end of the last. It is the Guest of that API: it turns
// what the processes ask into messages for the environment's goroutine. What comes from
// an ended life changes nothing.
type life struct {
	messages chan<- message
	server   *rapi.Server
	address  string          // of the API
	process  sandbox.Process // the runtime's; nil until it is started
	done     chan struct{}   // closed when the life is over

	// The environment's goroutine alone uses these.
	exit       *fault // how the runtime's process ended
	extensions []*extension
	closed     bool // the runtime has asked for work: nobody registers any more
}

// message is something that reaches the environment's goroutine.
type message struct {
	kind   kind
	life   *life   // nil when it comes from the owner of the environment
	call   *call   // bring
	waiter *waiter // ask, leave
	post   *post   // hand in, hand in an init error

	subscription *subscription // subscribe
	petition     *petition     // register, listen, forsake, the errors of an extension
	extension    *extension    // departed
}

type kind int

const (
	bring    kind = iota // the owner has an invocation
	rest                 // the owner has nothing to do
	ask                  // GET next
	leave                // the connection of a GET next is gone
	handIn               // POST response or error
	initFail             // POST init/error
	tapping              // PUT telemetry
	open                 // the head of a streamed answer
	heard                // the process ended and all that it had sent was read

	register      // POST register
	listen        // GET event/next
	forsake       // the connection of a GET event/next is gone
	extensionInit // POST init/error of an extension
	extensionExit // POST exit/error
	departed      // the process of an extension ended and all that it had sent was read

	attach // a debugger has connected
	detach // its connection is gone
)

// waiter is one GET next. What it waits for is sent once.
type waiter struct{ told chan told }

type told struct {
	event *rapi.Event
	err   error
}

// post is one answer of the runtime. Whether it was accepted is sent once.
type post struct {
	requestID, invocationID string
	target                  string // AWS's name of the state that it leads to
	payload                 []byte
	fault                   *fault  // nil for a good answer
	stream                  *stream // the answer was or is to be streamed; nil when it came whole
	refused                 chan *rapi.Refusal
}

var (
	waiters = sync.Pool{New: func() any { return &waiter{make(chan told, 1)} }}
	posts   = sync.Pool{New: func() any { return &post{refused: make(chan *rapi.Refusal, 1)} }}
)

var _ rapi.Guest = (*life)(nil)

// Next waits for an event.
func (l *life) Next(ctx context.Context) (*rapi.Event, error) {
	w := waiters.Get().(*waiter)
	if !l.send(message{kind: ask, life: l, waiter: w}) {
		return nil, errLifeOver
	}
	select {
	case t := <-w.told:
		waiters.Put(w)
		return t.event, t.err
	case <-ctx.Done():
		// An event that was sent to w in this moment is given again to the next one
		// who asks. w itself is not used again.
		l.send(message{kind: leave, life: l, waiter: w})
		return nil, ctx.Err()
	case <-l.done:
		return nil, errLifeOver
	}
}

// Respond hands in a good answer.
func (l *life) Respond(requestID, invocationID string, payload []byte) *rapi.Refusal {
	return l.post(handIn, post{requestID: requestID, invocationID: invocationID, target: "InvocationResponse", payload: payload})
}

// Oversize hands in that the answer was too large.
func (l *life) Oversize(requestID, invocationID string) *rapi.Refusal {
	return l.post(handIn, post{requestID: requestID, invocationID: invocationID, target: "InvocationResponse", fault: oversized(kiln.MaxResponsePayload)})
}

// Fail hands in the error of an invocation.
func (l *life) Fail(requestID, invocationID, errorType string, payload []byte) *rapi.Refusal {
	return l.post(handIn, post{requestID: requestID, invocationID: invocationID, target: "InvocationErrorResponse", fault: handlerFault(errorType, payload)})
}

// FailInit hands in the error of the initialisation.
func (l *life) FailInit(errorType string, payload []byte) *rapi.Refusal {
	f := handlerFault(errorType, payload)
	f.status = kiln.StatusFailure
	return l.post(initFail, post{target: "InitError", fault: f})
}

// post brings an answer to the environment's goroutine and waits for its verdict.
func (l *life) post(k kind, p post) *rapi.Refusal {
	pooled := posts.Get().(*post)
	p.refused = pooled.refused
	*pooled = p
	if !l.send(message{kind: k, life: l, post: pooled}) {
		return lifeOver()
	}
	select {
	case refusal := <-pooled.refused:
		*pooled = post{refused: pooled.refused}
		posts.Put(pooled)
		return refusal
	case <-l.done:
		return lifeOver()
	}
}

// send gives a message to the environment's goroutine, unless the life is over.
func (l *life) send(m message) bool {
	select {
	case l.messages <- m:
		return true
	case <-l.done:
		return false
	}
}

// exited gives a channel that is closed when the process ends; nil when that is
// known or there is none.
func (l *life) exited() <-chan struct{} {
	if l == nil || l.process == nil || l.exit != nil {
		return nil
	}
	return l.process.Exited()
}

// startLife opens the API for processes that are to be started.
func (e *Environment) startLife() (*life, error) {
	l := &life{messages: e.messages, done: make(chan struct{})}
	listener, err := e.listen()
	if err != nil {
		return nil, err
	}
	l.address = listener.Addr().String()
	l.server = rapi.Serve(listener, l, rapi.Options{})
	return l, nil
}

// listen opens the Runtime API's address and, the first time and in the same entry
// into the box's network, that of kiln's own API. The listener of the life before is
// closed, but a process that was being forked in that moment, for another box, holds a
// copy until it executes its own program; that passes by itself.
func (e *Environment) listen() (net.Listener, error) {
	addresses := []string{RuntimeAPI}
	if e.inside != nil && e.within == nil {
		addresses = append(addresses, e.inside.Address)
	}
	for wait := 100 * time.Microsecond; ; wait *= 2 {
		open, err := sandbox.ListenAll(e.sandbox, addresses...)
		switch {
		case err == nil:
			if len(open) > 1 {
				e.admit(open[1])
			}
			return open[0], nil
		case !errors.Is(err, syscall.EADDRINUSE) || wait > time.Second:
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-e.starts.Done():
			return nil, e.starts.Err()
		}
	}
}

// execute starts the runtime's program: for a custom runtime the first bootstrap
// that there is.
func (e *Environment) execute(api string) (sandbox.Process, *fault, error) {
	if f := known(e.runtime); f != nil {
		return nil, f, nil
	}
	wrapper, command := wrapped(e.version, e.runtime)
	paths := []string{command[0]}
	if e.runtime.Family == "provided" && command[0] == "/var/task/bootstrap" {
		paths = append(paths, "/opt/bootstrap")
	}
	env := variables(e.version, e.runtime, e.initType, addresses{api, e.endpoint()}, e.source.Stream, e.credentials)
	if e.bench != nil {
		env = debugVariables(e.runtime, env, e.bench.inside)
	}
	for i, path := range paths {
		program := sandbox.Program{
			Path:   path,
			Args:   append([]string{path}, command[1:]...),
			Env:    env,
			Dir:    workDir(e.runtime),
			Stdout: e.journal.write,
			Stderr: e.journal.write,
			Files:  e.logFiles(),
		}
		if h, ok := e.sandbox.(sandbox.HostPather); ok {
			onHost(&program, h)
		}
		process, err := e.sandbox.Start(e.starts, program)
		var cannot *sandbox.StartError
		switch {
		case err == nil:
			return process, nil, nil
		case !errors.As(err, &cannot):
			return nil, nil, err
		case errors.Is(err, syscall.ENOENT) && i < len(paths)-1:
			continue
		}
		return nil, startFault(cannot, paths, wrapper != ""), nil
	}
	panic("environment: no path to execute")
}

// end closes the API, with every connection, and waits for its goroutines.
func (l *life) end() {
	close(l.done)
	_ = l.server.Close() // its listener may have gone with the sandbox
}
