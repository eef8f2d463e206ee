package environment

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"kiln"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// debugPort is where the program of a box with a network of its own listens for its
// debugger.
const debugPort = 9229

// workbench is what a debugger needs of an environment: an address of this machine that
// leads to the program's port, and patience while somebody is there.
type workbench struct {
	listener net.Listener
	inside   string // host:port that the program listens on

	// The environment's goroutine's own.
	attached int           // connections
	left     time.Duration // of the time that was armed, while somebody is attached; 0 is none
}

// openWorkbench opens the address for a debugger, when the function wants one, and says
// it in the log.
func (e *Environment) openWorkbench() error {
	if !e.version.Config.Debug {
		return nil
	}
	port := debugPort
	if _, shared := e.sandbox.(sandbox.HostPather); shared {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port = free.Addr().(*net.TCPAddr).Port
		if err := free.Close(); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.bench = &workbench{listener: l, inside: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	e.journal.platform(telemetry.Event{Type: telemetry.Fault, Line: []byte("DEBUG A debugger may connect to " + l.Addr().String())})
	e.wg.Add(1)
	go e.receiveDebuggers(l)
	return nil
}

// receiveDebuggers takes connections until the workbench is closed.
func (e *Environment) receiveDebuggers(l net.Listener) {
	defer e.wg.Done()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			e.wg.Add(1)
			go e.receiveDebugger(c)
		case errors.Is(err, net.ErrClosed) || e.ctx.Err() != nil:
			return
		default: // out of descriptors
			select {
			case <-time.After(10 * time.Millisecond):
			case <-e.ctx.Done():
				return
			}
		}
	}
}

// receiveDebugger joins one connection with the program, and the environment waits as
// long as both want it.
func (e *Environment) receiveDebugger(c net.Conn) {
	defer e.wg.Done()
	defer c.Close()
	if !e.tellSelf(message{kind: attach}) {
		return
	}
	defer e.tellSelf(message{kind: detach})
	program, err := sandbox.Dial(e.ctx, e.sandbox, "tcp", e.bench.inside)
	if err != nil {
		e.logger.Info("nothing to debug", "address", e.bench.inside, "error", err)
		return
	}
	defer program.Close()
	stop := context.AfterFunc(e.ctx, func() {
		_ = c.Close()       // wakes both copies
		_ = program.Close() // as the one above
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(program, c) // either end may go, and that is all there is to say
		_ = program.Close()
	}()
	_, _ = io.Copy(c, program)
	_ = c.Close()
	<-done
}

// tellSelf gives a message to the environment's goroutine, unless it is over.
func (e *Environment) tellSelf(m message) bool {
	select {
	case e.messages <- m:
		return true
	case <-e.quiet:
		return false
	}
}

// closeWorkbench ends the address. Its connections end with the environment's context.
func (e *Environment) closeWorkbench() {
	if e.bench != nil {
		_ = e.bench.listener.Close() // there is nobody to tell
	}
}

// arm lets a time run. It stands still while a debugger is attached.
func (e *Environment) arm(d time.Duration) {
	e.timeUp = time.Now().Add(d)
	if e.bench != nil && e.bench.attached > 0 {
		e.bench.left = max(1, d)
		return
	}
	e.timer.Reset(d)
}

// disarm ends the time that runs, if one does.
func (e *Environment) disarm() {
	e.timer.Stop()
	e.timeUp = time.Time{}
	if e.bench != nil {
		e.bench.left = 0
	}
}

// attach stops the time that runs, and lets a box go on that rests.
func (e *Environment) attach() {
	if e.bench.attached++; e.bench.attached > 1 {
		return
	}
	if e.frozen {
		e.do(thaw)
	}
	if !e.timeUp.IsZero() && !e.state.resetting() && !e.state.ending() {
		e.timer.Stop()
		e.bench.left = max(1, time.Until(e.timeUp))
	}
}

// detach lets the time run on, and a box rest that should.
func (e *Environment) detach() {
	if e.bench.attached--; e.bench.attached > 0 {
		return
	}
	if left := e.bench.left; left > 0 {
		e.bench.left = 0
		e.arm(left)
	}
	if e.state == Frozen && !e.frozen {
		e.do(freeze)
	}
}

// debugVariables has the language's own debugger listen, and tells a program of the port
// that wants to listen by itself. Nothing waits for a debugger to come.
func debugVariables(rt kiln.Runtime, env []string, address string) []string {
	_, port, _ := net.SplitHostPort(address) // it was joined of two
	env = append(env, "KILN_DEBUG_PORT="+port)
	switch rt.Family {
	case "nodejs":
		return withOption(env, "NODE_OPTIONS", "--inspect="+address)
	case "java":
		return withOption(env, "JAVA_TOOL_OPTIONS", "-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address="+address)
	}
	return env
}

// withOption adds an option to a variable that holds a list of them.
func withOption(env []string, name, option string) []string {
	for i, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			env[i] = strings.TrimRight(kv, " ") + " " + option
			if value == "" {
				env[i] = name + "=" + option
			}
			return env
		}
	}
	return append(env, name+"="+option)
}
