package linux_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/network"
	"kiln/box/sandbox/sandboxtest"
)

// hostVariable marks a test that runs in a network of its own, which plays the host.
const hostVariable = "KILN_TEST_SANDBOX_HOST"

// onItsOwnHost runs the calling test again in a network namespace that plays the host,
// so that nothing of the real one is touched, and says whether this is that run.
func onItsOwnHost(t *testing.T) bool {
	t.Helper()
	needRoot(t)
	if os.Getenv(hostVariable) != "" {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return true
	}
	again := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1")
	again.Env = append(os.Environ(), hostVariable+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

// interfaces lists what the host has beside loopback and what every namespace begins
// with.
func interfaces(t testing.TB, before ...string) (list []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/sys/net/ipv4/conf/*")
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Join(before, " ") + " "
	for _, a := range all {
		if name := filepath.Base(a); !strings.Contains(known, name+" ") {
			list = append(list, name)
		}
	}
	return list
}

// say runs the probe in a box and gives what it prints.
func say(t testing.TB, b sandbox.Sandbox, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: append([]string{"probe"}, args...), Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestABoxHasAWayOutWhenItAsksForOne(t *testing.T) {
	if !onItsOwnHost(t) {
		return
	}
	before := interfaces(t)
	owner := sandboxtest.Owner("wayout")
	n, err := network.Open(network.Options{Owner: owner, RunDir: t.TempDir(), Outbound: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the driver
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if left := interfaces(t, before...); len(left) > 0 {
			t.Errorf("interfaces are left: %v", left)
		}
	})
	d := open(t, linux.Options{Owner: owner, Network: n, PoolSize: 1})
	if !d.Capabilities().OutboundNetwork {
		t.Error("the driver does not say that boxes can have a way out")
	}
	probe := sandboxtest.Probe(t)
	for round := range 3 { // from the pool or not
		for _, outbound := range []bool{true, false} {
			b, err := d.Create(t.Context(), sandbox.Spec{
				ID: "a", Mounts: []sandbox.Mount{{Target: "/"}, {Source: probe, Target: "/probe"}}, ScratchBytes: 64 << 20, Outbound: outbound,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(say(t, b, "cat", "/proc/net/dev"), "eth0"); got != outbound {
				t.Errorf("round %d: a way out is %v, asked for %v", round, got, outbound)
			}
			// The host has no route there: it says so, and so does a box without a way out.
			if got := say(t, b, "connect", "192.0.2.1:80"); !strings.Contains(got, "unreachable") {
				t.Errorf("round %d, outbound %v: %s", round, outbound, got)
			}
			if err := b.Freeze(); err != nil {
				t.Fatal(err)
			}
			if outbound { // the other goes while it is frozen
				if err := b.Thaw(); err != nil {
					t.Fatal(err)
				}
				if got := say(t, b, "cat", "/proc/net/dev"); !strings.Contains(got, "eth0") {
					t.Errorf("after a thaw: %s", got)
				}
			}
			if err := b.Destroy(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestADriverWhoseNetworkHasNoWayOutGivesNone(t *testing.T) {
	if !onItsOwnHost(t) {
		return
	}
	owner := sandboxtest.Owner("nowayout")
	n, err := network.Open(network.Options{Owner: owner, RunDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	d := open(t, linux.Options{Owner: owner, Network: n, PoolSize: 1})
	if d.Capabilities().OutboundNetwork {
		t.Error("the driver says that boxes can have a way out")
	}
	b, err := d.Create(t.Context(), sandbox.Spec{
		ID: "a", Mounts: []sandbox.Mount{{Target: "/"}, {Source: sandboxtest.Probe(t), Target: "/probe"}}, ScratchBytes: 64 << 20, Outbound: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, b, "connect", "192.0.2.1:80", network.Resolver+":53"); !strings.Contains(got, "192.0.2.1:80 closed") || !strings.Contains(got, network.Resolver+":53 open") {
		t.Errorf("got %s, want the name server and nothing else", got)
	}
	if err := b.Destroy(); err != nil {
		t.Error(err)
	}
}
