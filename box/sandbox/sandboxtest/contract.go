package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kiln/box/sandbox"
)

// contract is what every driver keeps, whatever it isolates.
var contract = []clause{
	{"a program gets its arguments, environment, directory and output, and nothing on standard input", programGetsItsThings},
	{"an exit code is reported", exitCodeIsReported},
	{"a program that sends itself SIGTERM dies of signal 15", suicideBySignal},
	{"Signal reaches the program, and a program that ended is done", signalReaches},
	{"what cannot be executed is a StartError with the kernel's reason", startErrors},
	{"a directory that is not there is an error but not of execve", missingDirectory},
	{"files are written with the user id filled in", filesAreWritten},
	{"the scratch directory is writable and outlives KillAll", scratchOutlivesKillAll},
	{"a child that outlives its program is gone after KillAll", killAllEndsOrphans},
	{"a child that outlives its program is gone after Destroy", destroyEndsOrphans},
	{"KillAll ends what ignores signals, and Start works again", killAllThenStart},
	{"Destroy ends what ignores signals", destroyEndsDeaf},
	{"a frozen program makes no progress and a thawed one goes on", freezeAndThaw},
	{"Freeze and Thaw are idempotent, and a frozen box starts nothing", freezeTwice},
	{"a frozen box can be killed", killFrozen},
	{"a frozen box can be destroyed", destroyFrozen},
	{"a program can connect to what Listen opened", connectToListener},
	{"several listeners are opened at once, or none of them", listenersAtOnce},
	{"a program gets the descriptors that it is given", descriptorsAreGiven},
	{"Dial reaches what a program listens on, and nothing else", dialReaches},
	{"every method of a destroyed box says that it is gone", methodsAfterDestroy},
	{"Destroy may be called by several at once", destroyTwice},
	{"a box's name is its own while it lives", namesAreUnique},
	{"a wrong spec is refused", wrongSpecs},
	{"directories are shared by who says so, and refused by all others", shareOrRefuse},
	{"50 boxes live side by side", manyBoxes},
	{"Destroy while programs start leaves none of them", destroyDuringStart},
	{"anything may be done in any order by several at once", anyOrder},
	{"Destroy during anything else leaves whole answers", destroyDuringAnything},
}

func programGetsItsThings(t *testing.T, r *rig) {
	b := r.create(t)
	p, err := tryStart(t, b, sandbox.Program{
		Path: "/probe/probe", Args: []string{"called so", "show", "a b", ""}, Env: []string{"X=1", "Y=ä ö"}, Dir: "/probe",
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := "/probe"
	if h, ok := b.(sandbox.HostPather); ok {
		dir = h.HostPath(dir)
	}
	want := "args=[\"a b\" \"\"]\nenv=[\"X=1\" \"Y=ä ö\"]\ndir=" + dir + "\nstdin=0\n"
	if got := p.rest(t); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	buf := make([]byte, 100)
	n, err := p.stderr.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(buf[:n]), "to stderr\n"; got != want {
		t.Errorf("standard error: got %q, want %q", got, want)
	}
	p.wait(t)
}

func exitCodeIsReported(t *testing.T, r *rig) {
	b := r.create(t)
	for _, code := range []string{"0", "1", "7", "255"} {
		p := start(t, b, "exit", code)
		p.wait(t)
		if got, want := fmt.Sprint(p.Status()), fmt.Sprintf("{%s 0 false}", code); got != want {
			t.Errorf("exit %s: got status %s, want %s", code, got, want)
		}
	}
}

func suicideBySignal(t *testing.T, r *rig) {
	b := r.create(t)
	for _, signal := range []int{15, 9, 2} {
		p := start(t, b, "suicide", fmt.Sprint(signal))
		p.wait(t)
		if got, want := p.Status(), (sandbox.ExitStatus{Signal: signal}); got != want {
			t.Errorf("signal %d: got status %+v, want %+v", signal, got, want)
		}
	}
}

func signalReaches(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "busy", "1")
	p.want(t, "ready")
	if got := p.Status(); got != (sandbox.ExitStatus{}) {
		t.Errorf("status of a living program: got %+v, want zero", got)
	}
	if err := p.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	if got, want := p.Status().Signal, 15; got != want {
		t.Errorf("got signal %d, want %d", got, want)
	}
	if err := p.Signal(15); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a program that ended: got %v, want %v", err, os.ErrProcessDone)
	}
}

func startErrors(t *testing.T, r *rig) {
	dir := t.TempDir()
	write := func(name, contents string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "text", 0o644)
	write("nonsense", "not a program", 0o755)
	write("script", "#!/does/not/exist\n", 0o755)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := r.create(t, func(s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/task"})
	})
	for path, want := range map[string]error{
		"/task/absent":      syscall.ENOENT,
		"/task/script":      syscall.ENOENT,
		"/task/plain":       syscall.EACCES,
		"/task":             syscall.EACCES,
		"/task/nonsense":    syscall.ENOEXEC,
		"/task/plain/below": syscall.ENOTDIR,
	} {
		_, err := tryStart(t, b, sandbox.Program{Path: path, Args: []string{path}})
		var s *sandbox.StartError
		if !errors.As(err, &s) || s.Path != path || !errors.Is(err, want) {
			t.Errorf("start %s: got %v, want a StartError of %v", path, err, want)
		}
	}
	if got, want := run(t, b, "spin", "1"), "ready\n"; !strings.HasPrefix(got, want) {
		t.Errorf("after errors: got %q, want %q and more", got, want)
	}
}

func missingDirectory(t *testing.T, r *rig) {
	b := r.create(t)
	_, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe"}, Dir: "/absent"})
	var s *sandbox.StartError
	if errors.As(err, &s) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want ENOENT that is no StartError", err)
	}
}

func filesAreWritten(t *testing.T, r *rig) {
	b := r.create(t)
	path := "/etc/passwd"
	if h, ok := b.(sandbox.HostPather); ok {
		path = h.HostPath(path)
	}
	want := fmt.Sprintf("box:x:%d:%d::/tmp:/\n", b.UserID(), b.UserID())
	if got := run(t, b, "cat", path); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func scratchOutlivesKillAll(t *testing.T, r *rig) {
	b := r.create(t)
	path := "/tmp/note"
	if h, ok := b.(sandbox.HostPather); ok {
		path = h.HostPath(path)
	}
	if got, want := run(t, b, "write", path, "kept"), "written\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	if got, want := run(t, b, "cat", path), "kept"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.ScratchBytes < 4 || u.ScratchBytes > 1<<20 {
		t.Errorf("got %d bytes used in the scratch directory, want a few", u.ScratchBytes)
	}
}

// orphaned starts a child that ignores signals and whose parent has ended.
func orphaned(t *testing.T, b sandbox.Sandbox) *program {
	t.Helper()
	p := start(t, b, "orphan")
	seen := map[string]bool{p.line(t): true, p.line(t): true}
	if !seen["child started"] || !seen["ready"] {
		t.Fatalf("got lines %v, want a started and ready child", seen)
	}
	p.wait(t)
	return p
}

func killAllEndsOrphans(t *testing.T, r *rig) {
	b := r.create(t)
	p := orphaned(t, b)
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	p.rest(t) // ends only when nobody holds the pipe
}

func destroyEndsOrphans(t *testing.T, r *rig) {
	b := r.create(t)
	p := orphaned(t, b)
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	p.rest(t)
}

func killAllThenStart(t *testing.T, r *rig) {
	b := r.create(t)
	p, q := start(t, b, "deaf"), start(t, b, "deaf")
	p.want(t, "ready")
	q.want(t, "ready")
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*program{p, q} {
		select {
		case <-p.Exited():
		default:
			t.Fatal("a program lives after KillAll")
		}
		if got, want := p.Status(), (sandbox.ExitStatus{Signal: 9}); got != want {
			t.Errorf("got status %+v, want %+v", got, want)
		}
	}
	if err := b.KillAll(); err != nil {
		t.Errorf("KillAll of nobody: %v", err)
	}
	run(t, b, "exit", "0")
	select {
	case <-b.Gone():
		t.Error("the box is gone after KillAll")
	default:
	}
}

func destroyEndsDeaf(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "deaf")
	p.want(t, "ready")
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	if got := p.Status(); got.Signal != 9 || !got.OutOfTurn {
		t.Errorf("got status %+v, want signal 9 out of turn", got)
	}
}

func methodsAfterDestroy(t *testing.T, r *rig) {
	b := r.create(t)
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Gone():
	default:
		t.Error("Gone is open after Destroy")
	}
	_, listenErr := b.Listen("127.0.0.1:0")
	_, listenAllErr := sandbox.ListenAll(b, "127.0.0.1:0", "127.0.0.1:0")
	_, startErr := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe"})
	_, usageErr := b.Usage()
	for name, err := range map[string]error{
		"Listen": listenErr, "ListenAll": listenAllErr, "Start": startErr, "Usage": usageErr, "Freeze": b.Freeze(), "Thaw": b.Thaw(), "Limit": b.Limit(100), "KillAll": b.KillAll(),
	} {
		if !errors.Is(err, sandbox.ErrGone) {
			t.Errorf("%s: got %v, want %v", name, err, sandbox.ErrGone)
		}
	}
}

func destroyTwice(t *testing.T, r *rig) {
	b := r.create(t)
	start(t, b, "deaf").want(t, "ready")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := b.Destroy(); err != nil {
				t.Error(err)
			}
			if _, err := b.Usage(); !errors.Is(err, sandbox.ErrGone) {
				t.Errorf("after Destroy: got %v, want %v", err, sandbox.ErrGone)
			}
		})
	}
	all.Wait()
}

func namesAreUnique(t *testing.T, r *rig) {
	spec := r.spec()
	b, err := r.driver.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID() != spec.ID {
		t.Errorf("got id %q, want %q", b.ID(), spec.ID)
	}
	if c, err := r.driver.Create(t.Context(), spec); err == nil {
		t.Error("got a second box of the same id, want an error")
		_ = c.Destroy()
	}
	run(t, b, "exit", "0") // the refusal has not touched the first
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	again, err := r.driver.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("the id of a destroyed box: %v", err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
}

func wrongSpecs(t *testing.T, r *rig) {
	for name, change := range map[string]func(*sandbox.Spec){
		"empty id":     func(s *sandbox.Spec) { s.ID = "" },
		"id with path": func(s *sandbox.Spec) { s.ID = "../x" },
		"long id":      func(s *sandbox.Spec) { s.ID = strings.Repeat("x", 65) },
		"no mounts":    func(s *sandbox.Spec) { s.Mounts = nil },
		"no root":      func(s *sandbox.Spec) { s.Mounts = s.Mounts[1:] },
	} {
		if b, err := r.driver.Create(t.Context(), r.spec(change)); err == nil {
			t.Errorf("%s: got a box, want an error", name)
			_ = b.Destroy()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, err := r.driver.Create(ctx, r.spec()); err == nil {
		// A driver may have been faster than the context; then the box is whole.
		run(t, b, "exit", "0")
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
	}
}

func manyBoxes(t *testing.T, r *rig) {
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			b, err := r.driver.Create(t.Context(), r.spec())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() {
				if err := b.Destroy(); err != nil {
					t.Error(err)
				}
			}()
			p, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "3"}})
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Exited()
			if got, want := p.Status(), (sandbox.ExitStatus{Code: 3}); got != want {
				t.Errorf("got status %+v, want %+v", got, want)
			}
		})
	}
	all.Wait()
}

func destroyDuringStart(t *testing.T, r *rig) {
	for range 5 {
		b := r.create(t)
		var all sync.WaitGroup
		outs := make(chan *program, 8)
		for range cap(outs) {
			all.Go(func() {
				p, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "deaf"}})
				if err == nil {
					outs <- p
				} else if !errors.Is(err, sandbox.ErrGone) {
					t.Errorf("got %v, want a program or %v", err, sandbox.ErrGone)
				}
			})
		}
		if err := b.Destroy(); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		close(outs)
		for p := range outs {
			p.wait(t)
			p.rest(t)
		}
	}
}
