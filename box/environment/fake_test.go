package environment_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// box is a sandbox whose programs are Go functions. They speak the real Runtime API
// over a real loopback connection and print into the real pipe.
type box struct {
	program func(p *proc) sandbox.ExitStatus

	mu       sync.Mutex
	procs    map[*proc]struct{}
	started  int
	orders   []string // what was asked of the box, in order
	frozen   bool
	usage    sandbox.Usage
	startErr func(path string) error
	thawErr  error
	gone     chan struct{}
	destroy  sync.Once
	taken    int // how often Listen still finds its address taken
}

var _ sandbox.Sandbox = (*box)(nil)

func newBox(program func(p *proc) sandbox.ExitStatus) *box {
	return &box{program: program, procs: map[*proc]struct{}{}, gone: make(chan struct{}), usage: sandbox.Usage{PeakMemoryBytes: 9 << 20}}
}

func (b *box) note(format string, args ...any) {
	b.orders = append(b.orders, fmt.Sprintf(format, args...))
}

func (b *box) ID() string  { return "fake" }
func (b *box) UserID() int { return 1000 }

func (b *box) Listen(string) (net.Listener, error) {
	b.mu.Lock()
	taken := b.taken > 0
	if taken {
		b.taken--
	}
	b.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("listen: %w", syscall.EADDRINUSE)
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// Dial reaches what a program of the box listens on.
func (b *box) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (b *box) Start(_ context.Context, program sandbox.Program) (sandbox.Process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.startErr != nil {
		if err := b.startErr(program.Path); err != nil {
			return nil, err
		}
	}
	b.started++
	b.note("start %s", strings.Join(program.Args, " "))
	p := &proc{box: b, name: path.Base(program.Path), dir: program.Dir, signals: make(chan syscall.Signal, 8), nth: b.started, stdout: program.Stdout, files: program.Files, env: map[string]string{}, exited: make(chan struct{}), returned: make(chan struct{})}
	for _, kv := range program.Env {
		name, value, _ := strings.Cut(kv, "=")
		p.env[name] = value
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	b.procs[p] = struct{}{}
	go func() {
		defer close(p.returned)
		p.exit(b.program(p))
	}()
	return p, nil
}

func (b *box) Freeze() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("freeze")
	b.frozen = true
	return nil
}

func (b *box) Thaw() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("thaw")
	b.frozen = false
	return b.thawErr
}

func (b *box) Limit(milli int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("limit %d", milli)
	return nil
}

func (b *box) Usage() (sandbox.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note("usage")
	return b.usage, nil
}

func (b *box) KillAll() error {
	b.mu.Lock()
	procs := b.procs
	b.procs = map[*proc]struct{}{}
	if len(procs) > 0 {
		b.note("kill")
	}
	b.mu.Unlock()
	for p := range procs {
		p.exit(sandbox.ExitStatus{Signal: int(syscall.SIGKILL)})
		<-p.returned
	}
	return nil
}

func (b *box) Destroy() error {
	b.destroy.Do(func() {
		_ = b.KillAll() // it cannot fail here
		b.mu.Lock()
		defer b.mu.Unlock()
		b.note("destroy")
		select {
		case <-b.gone:
		default:
			close(b.gone)
		}
	})
	return nil
}

func (b *box) Gone() <-chan struct{} { return b.gone }

func (b *box) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.orders...)
}

// proc is one running program and its hands: a connection to the Runtime API.
type proc struct {
	box    *box
	name   string // of its program's file
	dir    string
	nth    int // 1 is the first process of the box
	env    map[string]string
	stdout *os.File
	files  map[int]*os.File
	// signals are those that it was sent, SIGKILL apart.
	signals chan syscall.Signal
	ctx     context.Context
	cancel  context.CancelFunc

	once     sync.Once
	status   sandbox.ExitStatus
	exited   chan struct{}
	returned chan struct{}

	mu    sync.Mutex
	conns []net.Conn
	main  *client
}

func (p *proc) Exited() <-chan struct{}    { return p.exited }
func (p *proc) Status() sandbox.ExitStatus { return p.status }

// Signal ends the process, or lets it know.
func (p *proc) Signal(number int) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone
	default:
	}
	n := syscall.Signal(number)
	p.note("%s %s", n, p.name)
	if n == syscall.SIGKILL {
		p.exit(sandbox.ExitStatus{Signal: number})
		return nil
	}
	p.signals <- n
	return nil
}

// note puts a line between the orders that the box got.
func (p *proc) note(format string, args ...any) {
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	p.box.note(format, args...)
}

// exit ends the process: its connections close and its context is done.
func (p *proc) exit(s sandbox.ExitStatus) {
	p.once.Do(func() {
		p.status = s
		p.cancel()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close() // as the kernel does, without asking
		}
		p.mu.Unlock()
		close(p.exited)
	})
}

// leave ends the process as exit(code) does, while a child keeps running: it blocks
// until everything in the box is killed.
func (p *proc) leave(code int) sandbox.ExitStatus {
	p.once.Do(func() {
		p.status = sandbox.ExitStatus{Code: code}
		close(p.exited)
	})
	for {
		p.box.mu.Lock()
		_, alive := p.box.procs[p]
		p.box.mu.Unlock()
		if !alive {
			break
		}
		time.Sleep(time.Millisecond) // the child's own pace, not the test's
	}
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close() // as the kernel does, without asking
	}
	p.mu.Unlock()
	return sandbox.ExitStatus{}
}

// frame writes a message to the telemetry descriptor, as the bootstraps do: kind is the
// lowest byte.
func (p *proc) frame(kind byte, text string) {
	_, _ = p.files[62].Write(frameOf(kind, text, time.Now())) // as print
}

func frameOf(kind byte, text string, at time.Time) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0xa55a0000|uint32(kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))
	return append(b, text...)
}

func (p *proc) print(text string) { _, _ = p.stdout.WriteString(text) }

// client is one keep-alive connection to the Runtime API.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (p *proc) dial() *client {
	nc, err := net.Dial("tcp", p.env["AWS_LAMBDA_RUNTIME_API"])
	if err != nil {
		return nil
	}
	p.mu.Lock()
	p.conns = append(p.conns, nc)
	p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = nc.Close() // killed meanwhile
	}
	return &client{nc, bufio.NewReader(nc)}
}

func (p *proc) conn() *client {
	if p.main == nil {
		p.main = p.dial()
	}
	return p.main
}

const api = "/2018-06-01/runtime/"

// reply is what the Runtime API answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r *reply) id() string { return r.header.Get("Lambda-Runtime-Aws-Request-Id") }

// send writes a request without reading its answer.
func (c *client) send(method, path string, header map[string]string, body string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: runtime\r\n", method, path)
	for k, v := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", k, v)
	}
	if method == "POST" || method == "PUT" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	_, err := c.Write(b.Bytes())
	return err
}

// read reads one answer.
func (c *client) read() (*reply, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, body}, err
}

func (c *client) do(method, path string, header map[string]string, body string) (*reply, error) {
	if c == nil {
		return nil, net.ErrClosed
	}
	if err := c.send(method, path, header, body); err != nil {
		return nil, err
	}
	return c.read()
}

func (p *proc) next() (*reply, error) { return p.conn().do("GET", api+"invocation/next", nil, "") }

func (p *proc) respond(id, body string) (*reply, error) {
	return p.conn().do("POST", api+"invocation/"+id+"/response", nil, body)
}

func (p *proc) fail(id, errorType, body string) (*reply, error) {
	return p.conn().do("POST", api+"invocation/"+id+"/error", map[string]string{"Lambda-Runtime-Function-Error-Type": errorType}, body)
}

func (p *proc) failInit(errorType, body string) (*reply, error) {
	return p.conn().do("POST", api+"init/error", map[string]string{"Lambda-Runtime-Function-Error-Type": errorType}, body)
}

// loop is a runtime: it calls handle for each event until the API is gone.
func loop(handle func(p *proc, event *reply) (string, error)) func(p *proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		for {
			event, err := p.next()
			if err != nil || event.status != 200 {
				return sandbox.ExitStatus{Code: 1}
			}
			answer, err := handle(p, event)
			if err != nil {
				_, err = p.fail(event.id(), "Function.Failed", `{"errorMessage":"`+err.Error()+`","errorType":"Failed"}`)
			} else {
				_, err = p.respond(event.id(), answer)
			}
			if err != nil {
				return sandbox.ExitStatus{Code: 1}
			}
		}
	}
}

func echo(_ *proc, event *reply) (string, error) { return string(event.body), nil }

// sink keeps events.
type sink struct {
	mu     sync.Mutex
	events []telemetry.Event
}

func (s *sink) Emit(e telemetry.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// lines gives the log as text, with ids and measures made equal.
func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for i := range s.events {
		if s.events[i].Logged() {
			out = append(out, s.events[i].Text())
		}
	}
	return out
}

func (s *sink) all() []telemetry.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]telemetry.Event(nil), s.events...)
}

// rig is an environment in a fake box.
type rig struct {
	*environment.Environment
	box  *box
	sink *sink
	t    testing.TB
	n    int
}

func version() *kiln.Version {
	return &kiln.Version{
		Function: kiln.FunctionID{Scope: kiln.Scope{Account: "123456789012", Region: "eu-west-1"}, Name: "hello"},
		Config:   kiln.Config{Runtime: "provided.al2023", Handler: "function.handler", MemoryMB: 128, Timeout: 3 * time.Second},
	}
}

func options(b *box, s telemetry.Sink) environment.Options {
	return environment.Options{
		ID: "e1", Sandbox: b, Version: version(), Sink: s,
		Runtime: kiln.Runtime{Identifier: "provided.al2023", Family: "provided", Command: []string{"/var/task/bootstrap"}, Release: "provided:al2023.v1", ReleaseARN: "arn:aws:lambda:eu-west-1::runtime:1"},
	}
}

// start makes an environment and closes it with the test.
func start(t testing.TB, b *box, change ...func(*environment.Options)) *rig {
	t.Helper()
	s := &sink{}
	o := options(b, s)
	for _, f := range change {
		f(&o)
	}
	r := &rig{environment.New(o), b, s, t, 0}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// free waits for the slot.
func (r *rig) free() *rig {
	r.t.Helper()
	select {
	case _, ok := <-r.Idle():
		if !ok {
			r.t.Fatal("the environment is over")
		}
	case <-time.After(20 * time.Second):
		r.t.Fatalf("the slot did not become free; state %s", r.State())
	}
	return r
}

func (r *rig) invocation(payload string) *kiln.Invocation {
	r.n++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", r.n)
	return &kiln.Invocation{
		ID: id, Attempt: "attempt-" + strconv.Itoa(r.n),
		Function: version().Function, Payload: []byte(payload), Trace: "Root=1-5759e988-bd862e3fe1be46a994272793",
	}
}

// invoke waits for the slot and runs one invocation.
func (r *rig) invoke(payload string) *kiln.Outcome {
	r.t.Helper()
	o, err := r.free().Invoke(r.t.Context(), r.invocation(payload))
	if err != nil {
		r.t.Fatalf("invoke: %v", err)
	}
	return o
}
