package sandboxtest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/box/sandbox"
)

func setuidLendsNothing(t *testing.T, r *rig) {
	probe, err := os.ReadFile(filepath.Join(r.probe, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, nil)
	if err := os.WriteFile(filepath.Join(dir, "sudo"), probe, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "sudo"), 0o755|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	b := r.create(t, func(s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/opt"})
	})
	out := run(t, b, "A11", "/opt/sudo")
	if want := fmt.Sprintf("uid %d gid %[1]d", b.UserID()); !strings.Contains(out, want) || !strings.Contains(out, "CapEff:\t0000000000000000") {
		t.Errorf("got %q, want %q and no capability", out, want)
	}
	expect(t, out, map[string][]string{"setuid 0": {"EPERM"}, "chmod 4755": {"EROFS"}})
}

func otherProcessesOutOfReach(t *testing.T, r *rig) {
	other := r.create(t)
	start(t, other, "deaf").want(t, "ready")
	b := r.create(t)
	expect(t, run(t, b, "A12", fmt.Sprint(os.Getpid())), map[string][]string{
		"ptrace": {"EPERM", "ESRCH"}, "process_vm_readv": {"EPERM", "ESRCH"}, "signal host process": {"ESRCH"}, "see host process": {"ENOENT"},
	})
}

func unprivileged(t *testing.T, r *rig) {
	a, b := r.create(t), r.create(t)
	if a.UserID() == b.UserID() {
		t.Errorf("two boxes share user %d", a.UserID())
	}
	out := run(t, b, "identity")
	for _, want := range []string{
		fmt.Sprintf("uid %d gid %[1]d", b.UserID()), "host box.test",
		"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n",
		"NoNewPrivs:\t1\n", "Groups:\t \n", "Umask:\t0022\n", "SigBlk:\t0000000000000000\n", "SigIgn:\t0000000000000000\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q in it", out, want)
		}
	}
	if r.can.SyscallFilter && !strings.Contains(out, "Seccomp:\t2\n") {
		t.Errorf("got %q, want a system call filter", out)
	}
	for line := range strings.Lines(run(t, b, "cat", "/proc/self/cgroup")) {
		if !strings.HasSuffix(line, ":/\n") {
			t.Errorf("got control group %q, want no path of the host", line)
		}
	}
	if r.can.PrivateNetwork {
		var links []string
		for line := range strings.Lines(out) {
			if rest, ok := strings.CutPrefix(line, "interface "); ok {
				links = append(links, strings.TrimSpace(rest))
			}
		}
		if len(links) != 1 || !strings.HasPrefix(links[0], "lo up|loopback") {
			t.Errorf("got interfaces %q, want the loopback device alone, up", links)
		}
	}
}

func zombiesAreReaped(t *testing.T, r *rig) {
	b := r.create(t)
	// Process 1 is hidden from the box's user, so that the probe sees itself alone.
	if got, want := run(t, b, "zombies", "20"), "processes 1 zombies 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func killEverybody(t *testing.T, r *rig) {
	other := r.create(t)
	p := start(t, other, "deaf")
	p.want(t, "ready")
	b := r.create(t)
	q := start(t, b, "signalall")
	q.wait(t)
	run(t, b, "exit", "0")
	select {
	case <-p.Exited():
		t.Error("kill -1 reached another box")
	case <-b.Gone():
		t.Error("kill -1 ended the box's init")
	default:
	}
}

func onlyListenersReachable(t *testing.T, r *rig) {
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	other := r.create(t)
	theirs, err := other.Listen("127.0.0.1:9002")
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	b := r.create(t)
	ours, err := b.Listen("127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := ours.Accept()
		if err == nil {
			err = c.Close()
		}
		accepted <- err
	}()
	closed := []string{host.Addr().String(), "127.0.0.1:9002", "169.254.169.254:80", "8.8.8.8:53", "[::1]:9001"}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(host.Addr().String())
	for _, a := range addresses {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			closed = append(closed, net.JoinHostPort(ip.String(), port))
		}
	}
	out := run(t, b, append([]string{"connect", "127.0.0.1:9001"}, closed...)...)
	if !strings.Contains(out, "127.0.0.1:9001 open\n") {
		t.Errorf("got %q, want the listener open", out)
	}
	for _, a := range closed {
		if !strings.Contains(out, a+" closed") {
			t.Errorf("%s: got %q, want it closed", a, out)
		}
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	// And nobody outside reaches what the box opens.
	p := start(t, b, "serve", "127.0.0.1:9003")
	p.want(t, "ready 127.0.0.1:9003")
	if c, err := net.DialTimeout("tcp", "127.0.0.1:9003", time.Second); err == nil {
		t.Error("the host reaches a port of the box")
		_ = c.Close()
	}
}

func abstractSockets(t *testing.T, r *rig) {
	name := "kiln-test-" + Owner("a18")
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", "@"+name)
	if err != nil {
		t.Fatalf("the host itself cannot connect, so that this test proves nothing: %v", err)
	}
	_ = c.Close()
	b := r.create(t)
	expect(t, run(t, b, "A18", name), map[string][]string{"abstract socket": {"ECONNREFUSED"}})
}

func perUserLimits(t *testing.T, r *rig) {
	greedy := r.create(t)
	p := start(t, greedy, "inotify")
	var n int
	if _, err := fmt.Sscanf(p.line(t), "opened %d then EMFILE", &n); err != nil || n < 1 {
		t.Fatalf("got %d watches and %v, want an end", n, err)
	}
	modest := r.create(t)
	q := start(t, modest, "inotify")
	var m int
	if _, err := fmt.Sscanf(q.line(t), "opened %d then EMFILE", &m); err != nil || m != n {
		t.Errorf("got %d watches and %v beside a greedy box, want %d", m, err, n)
	}
}

func cannotMount(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A08"), []string{"EPERM"}, map[string][]string{"clone3": {"ENOSYS"}})
}

func hostileCalls(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A14"), []string{"EPERM", "ENOSYS"}, nil)
}

func socketKinds(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A17"), []string{"EPERM", "EAFNOSUPPORT", "EPROTONOSUPPORT"}, nil)
}

func foreignCalls(t *testing.T, r *rig) {
	b := r.create(t)
	expect(t, run(t, b, "foreign"), map[string][]string{"x32": {"ENOSYS"}})
}

func ordinaryCalls(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "allowed")
	out := p.rest(t)
	p.wait(t)
	errs, _ := io.ReadAll(p.stderr)
	if got := p.Status(); got != (sandbox.ExitStatus{}) {
		t.Errorf("got status %+v, want success\n%s", got, errs)
	}
	names := results(out)
	if len(names) < 10 {
		t.Errorf("the probe tried too little: %q", out)
	}
	for name, got := range names {
		if got[0] != "ok" {
			t.Errorf("%s: got %s, want ok", name, got[0])
		}
	}
}
