package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/box/sandbox"
	"kiln/engine/worker"
	"kiln/telemetry"
)

// shelf answers for every runtime and every package.
type shelf struct{ fail error }

func (s shelf) Runtime(_ context.Context, identifier, arch string) (kiln.Runtime, error) {
	if identifier != "provided.al2023" || arch != "x86_64" {
		return kiln.Runtime{}, kiln.Errorf(kiln.BadRuntime, "nothing serves %s on %s", identifier, arch)
	}
	return kiln.Runtime{Identifier: identifier, Family: "provided", Command: []string{"/var/runtime/bootstrap"}, ReleaseARN: "arn:aws:lambda:eu-west-1::runtime:new"}, nil
}

func (s shelf) Prepare(context.Context, *kiln.Version, kiln.Runtime) (kiln.Rootfs, error) {
	return kiln.Rootfs{
		Mounts: []kiln.RuntimeMount{{Source: "/base", Target: "/"}, {Source: "/code", Target: "/var/task"}},
		Files:  []kiln.RootfsFile{{Path: "/etc/passwd", Contents: []byte("x:${UID}")}},
	}, s.fail
}

// carton is a driver whose boxes are goroutines: a program in one is a small client
// of the Runtime API.
type carton struct {
	mu     sync.Mutex
	specs  []sandbox.Spec
	limits []int64
	living int
	fail   error
}

func (c *carton) Name() string                       { return "carton" }
func (c *carton) Capabilities() sandbox.Capabilities { return sandbox.Capabilities{} }
func (c *carton) Close() error                       { return nil }

func (c *carton) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, c.fail
	}
	c.specs = append(c.specs, spec)
	c.living++
	return &box{driver: c, id: spec.ID, gone: make(chan struct{})}, nil
}

// seen gives what was asked of the driver.
func (c *carton) seen() (specs []sandbox.Spec, limits []int64, living int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.specs), slices.Clone(c.limits), c.living
}

type box struct {
	driver *carton
	id     string
	gone   chan struct{}
	once   sync.Once

	mu        sync.Mutex
	programs  []*program
	listeners []net.Listener
}

func (b *box) ID() string            { return b.id }
func (b *box) UserID() int           { return 1 }
func (b *box) Gone() <-chan struct{} { return b.gone }
func (b *box) Freeze() error         { return nil }
func (b *box) Thaw() error           { return nil }

func (b *box) Usage() (sandbox.Usage, error) { return sandbox.Usage{MemoryBytes: 5 * mb}, nil }

func (b *box) Limit(milliCPU int64) error {
	b.driver.mu.Lock()
	defer b.driver.mu.Unlock()
	b.driver.limits = append(b.driver.limits, milliCPU)
	return nil
}

func (b *box) Listen(string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		b.mu.Lock()
		b.listeners = append(b.listeners, l)
		b.mu.Unlock()
	}
	return l, err
}

func (b *box) Start(_ context.Context, p sandbox.Program) (sandbox.Process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	run := &program{exited: make(chan struct{}), cancel: cancel}
	b.mu.Lock()
	b.programs = append(b.programs, run)
	b.mu.Unlock()
	for _, v := range p.Env {
		if api, ok := strings.CutPrefix(v, "AWS_LAMBDA_RUNTIME_API="); ok {
			go func() {
				defer close(run.exited)
				serve(ctx, "http://"+api+"/2018-06-01/runtime/invocation/")
			}()
			return run, nil
		}
	}
	cancel()
	return nil, errors.New("the program does not know its API")
}

func (b *box) KillAll() error {
	b.mu.Lock()
	programs := b.programs
	b.mu.Unlock()
	for _, p := range programs {
		p.cancel()
		<-p.exited
	}
	return nil
}

func (b *box) Destroy() error {
	err := b.KillAll()
	b.once.Do(func() {
		for _, l := range b.listeners {
			_ = l.Close() // the server may have closed it
		}
		b.driver.mu.Lock()
		b.driver.living--
		b.driver.mu.Unlock()
		close(b.gone)
	})
	return err
}

type program struct {
	exited chan struct{}
	cancel func()
}

func (p *program) Exited() <-chan struct{}    { return p.exited }
func (p *program) Status() sandbox.ExitStatus { return sandbox.ExitStatus{Signal: 9} }
func (p *program) Signal(int) error           { return nil }

// serve is the runtime: it answers each event with itself in brackets.
func serve(ctx context.Context, api string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, api+"next", nil)
		event, err := client.Do(req)
		if err != nil {
			return
		}
		payload, _ := io.ReadAll(event.Body)
		_ = event.Body.Close()
		req, _ = http.NewRequestWithContext(ctx, http.MethodPost, api+event.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response",
			bytes.NewReader(fmt.Appendf(nil, "[%s]", payload)))
		answer, err := client.Do(req)
		if err != nil {
			return
		}
		_ = answer.Body.Close()
	}
}

// nowhere takes events and forgets them.
type nowhere struct{}

func (nowhere) Emit(telemetry.Event) {}

// real is a call of a version that the shelf serves.
func real(memoryMB int) *kiln.Invocation {
	inv := call("f")
	inv.ID, inv.Payload = kiln.NewID(), []byte(`{"a":1}`)
	inv.Target.Version.Config = kiln.Config{
		Runtime: "provided.al2023", Architecture: "x86_64", Handler: "h", MemoryMB: memoryMB, StorageMB: 512, Timeout: 30 * time.Second,
	}
	return inv
}

// build makes a worker with real environments in cartons.
func build(t *testing.T, driver *carton, o worker.BuilderOptions) *worker.Worker {
	t.Helper()
	o.Driver, o.Sink = driver, nowhere{}
	if o.Rootfs == nil {
		o.Rootfs = shelf{}
	}
	o.Runtimes = shelf{}
	b, err := worker.NewBuilder(o)
	if err != nil {
		t.Fatal(err)
	}
	w := worker.New(worker.Options{Launcher: b, IdleTimeout: time.Hour})
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if _, _, living := driver.seen(); living != 0 {
			t.Errorf("%d boxes are left", living)
		}
	})
	return w
}

func TestACallRunsInARealEnvironmentAndTheNextOneFindsItWarm(t *testing.T) {
	driver := &carton{}
	w := build(t, driver, worker.BuilderOptions{})
	first := run(t, w, real(128))
	second := run(t, w, real(128))
	if string(first.Payload) != `[{"a":1}]` || string(second.Payload) != string(first.Payload) || first.Failed || first.Version != kiln.Latest {
		t.Errorf("got %+v and %+v", first, second)
	}
	if first.Report.Init == 0 || second.Report.Init != 0 || first.Report.Queue == 0 || first.Report.Queue < first.Report.Init {
		t.Errorf("the first queued %v with an init of %v, the second had an init of %v", first.Report.Queue, first.Report.Init, second.Report.Init)
	}
	specs, _, _ := driver.seen()
	list := w.Environments()
	if len(specs) != 1 || len(list) != 1 || list[0].ID != specs[0].ID || list[0].Invocations != 2 || list[0].Function.Name != "f" {
		t.Errorf("specs %+v, environments %+v", specs, list)
	}
}

func TestABoxIsMadeAsTheVersionSays(t *testing.T) {
	driver := &carton{}
	w := build(t, driver, worker.BuilderOptions{})
	run(t, w, real(256))
	specs, limits, _ := driver.seen()
	got := specs[0]
	if !regexp.MustCompile(`^[a-z0-9-]{1,64}$`).MatchString(got.ID) {
		t.Errorf("the id %q is none", got.ID)
	}
	got.ID = ""
	want := sandbox.Spec{
		Mounts:      []sandbox.Mount{{Source: "/base", Target: "/"}, {Source: "/code", Target: "/var/task"}},
		Files:       []sandbox.File{{Path: "/etc/passwd", Contents: []byte("x:${UID}"), Mode: 0o644}},
		MemoryBytes: 256 << 20, CPUWeight: 14, PIDs: 1024, OpenFiles: 1024, ScratchBytes: 512 << 20, Hostname: "localhost", Outbound: true,
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, l := range limits {
		if l != 0 {
			t.Errorf("a bursting function was limited to %d", l)
		}
	}
}

func TestABoxHasWhatItsVersionNamesOfTheServer(t *testing.T) {
	systems, networks := kiln.FileSystems{"point": "/srv/shared"}, kiln.Networks{"subnet-open": true, "subnet-shut": false, "sg-1": true}
	for subnet, outbound := range map[string]bool{"subnet-open": true, "subnet-shut": false} {
		driver := &carton{}
		w := build(t, driver, worker.BuilderOptions{FileSystems: systems, Networks: networks})
		inv := real(128)
		inv.Target.Version.Config.FileSystem = kiln.FileSystemUse{ARN: "point", Path: "/mnt/data"}
		inv.Target.Version.Config.VPC = kiln.VPCUse{Subnets: []string{subnet}, SecurityGroups: []string{"sg-1"}}
		run(t, w, inv)
		specs, _, _ := driver.seen()
		if s := specs[0]; s.Outbound != outbound || !slices.Equal(s.Shares, []sandbox.Share{{Source: "/srv/shared", Target: "/mnt/data"}}) || s.Mounts[len(s.Mounts)-1] != (sandbox.Mount{Target: "/mnt"}) {
			t.Errorf("%s: got %+v", subnet, s)
		}
	}
}

func TestAStrictFunctionIsLimitedToItsShareOnceItRuns(t *testing.T) {
	for memory, want := range map[int]int64{128: 72, 1769: 1000, 10240: 5789} {
		driver := &carton{}
		w := build(t, driver, worker.BuilderOptions{CPU: kiln.CPUStrict})
		run(t, w, real(memory))
		specs, limits, _ := driver.seen()
		if specs[0].MilliCPU != 0 || !slices.Contains(limits, want) {
			t.Errorf("%d MB: limit %d at first and then %v; want none and then %d", memory, specs[0].MilliCPU, limits, want)
		}
	}
}

func TestAFunctionsOwnCPUModeWinsOverTheServers(t *testing.T) {
	for _, c := range []struct {
		server, own string
		want        int64
	}{{kiln.CPUBurst, kiln.CPUStrict, 72}, {kiln.CPUStrict, kiln.CPUBurst, 0}, {"", kiln.CPUStrict, 72}, {kiln.CPUStrict, "", 72}, {"", "", 0}} {
		driver := &carton{}
		w := build(t, driver, worker.BuilderOptions{CPU: c.server})
		inv := real(128)
		inv.Target.Version.Config.CPUMode = c.own
		run(t, w, inv)
		_, limits, _ := driver.seen()
		if c.want != 0 && !slices.Contains(limits, c.want) || c.want == 0 && slices.ContainsFunc(limits, func(l int64) bool { return l != 0 }) {
			t.Errorf("the server %q, the function %q: limits %v, want %d", c.server, c.own, limits, c.want)
		}
	}
}

func TestALaunchThatFailsTellsItsReasonAndLeavesNothing(t *testing.T) {
	broken := errors.New("no space left")
	for name, c := range map[string]struct {
		change func(*kiln.Invocation, *carton, *worker.BuilderOptions)
		code   kiln.Code
		cause  error
	}{
		"runtime": {func(inv *kiln.Invocation, _ *carton, _ *worker.BuilderOptions) {
			inv.Target.Version.Config.Runtime = "python9.9"
		}, kiln.BadRuntime, nil},
		"release": {func(inv *kiln.Invocation, _ *carton, _ *worker.BuilderOptions) {
			inv.Target.Version.Updates = kiln.RuntimeUpdates{Mode: kiln.UpdateManual, Release: "old"}
		}, kiln.BadRuntime, nil},
		"rootfs": {func(_ *kiln.Invocation, _ *carton, o *worker.BuilderOptions) {
			o.Rootfs = shelf{fail: kiln.Errorf(kiln.BadPackage, "broken: %w", broken)}
		}, kiln.BadPackage, broken},
		"file system": {func(inv *kiln.Invocation, _ *carton, _ *worker.BuilderOptions) {
			inv.Target.Version.Config.FileSystem = kiln.FileSystemUse{ARN: "point", Path: "/mnt/data"}
		}, kiln.BadMount, nil},
		"directory": {func(_ *kiln.Invocation, d *carton, _ *worker.BuilderOptions) {
			d.fail = fmt.Errorf("%w: %w", sandbox.ErrShare, broken)
		}, kiln.BadMount, broken},
		"subnet": {func(inv *kiln.Invocation, _ *carton, _ *worker.BuilderOptions) {
			inv.Target.Version.Config.VPC = kiln.VPCUse{Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}}
		}, kiln.BadNetwork, nil},
		"driver": {func(_ *kiln.Invocation, d *carton, _ *worker.BuilderOptions) { d.fail = broken }, kiln.Internal, broken},
	} {
		driver, inv, o := &carton{}, real(128), worker.BuilderOptions{}
		c.change(inv, driver, &o)
		w := build(t, driver, o)
		_, err := w.Run(t.Context(), inv)
		if kiln.CodeOf(err) != c.code || c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAVersionRunsOnTheReleaseThatItKeeps(t *testing.T) {
	inv := real(128)
	inv.Target.Version.Updates = kiln.RuntimeUpdates{Mode: kiln.UpdateManual, Release: "new"}
	if out := run(t, build(t, &carton{}, worker.BuilderOptions{}), inv); string(out.Payload) != `[{"a":1}]` {
		t.Errorf("got %+v", out)
	}
}

func TestAnUnknownCPUModeIsRefused(t *testing.T) {
	if _, err := worker.NewBuilder(worker.BuilderOptions{CPU: "turbo"}); err == nil || !strings.Contains(err.Error(), "turbo") {
		t.Errorf("got %v", err)
	}
}

func TestABurstOfRealEnvironmentsIsAnsweredAndClosed(t *testing.T) {
	driver := &carton{}
	w := build(t, driver, worker.BuilderOptions{})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if out := run(t, w, real(128)); string(out.Payload) != `[{"a":1}]` {
				t.Errorf("got %+v", out)
			}
		})
	}
	wg.Wait()
	w.Drop("f")
	specs, _, _ := driver.seen()
	t.Logf("200 calls used %d boxes", len(specs))
}
