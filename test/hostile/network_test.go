package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// world is a network namespace that plays the host, so that servers can listen there
// on addresses which this machine does not have, and a second one that plays
// everything else. Nothing leaves the two.
type world struct {
	host, internet namespace
}

// namespace is a descriptor of a network namespace.
type namespace int

// Addresses of the host, besides loopback, and of the internet.
const (
	metadata4 = "169.254.169.254"
	metadata6 = "fd00:ec2::254"
	credents4 = "169.254.170.2" // where containers get credentials
	host4     = "198.51.100.7"
	docker4   = "172.17.0.1"
	host6     = "2001:db8::7"
	router4   = "198.51.100.1" // in the internet
	site4     = "203.0.113.10" // in the internet
)

// newWorld makes one. It goes with the test, and by then it must be as it was.
func newWorld(t testing.TB) *world {
	t.Helper()
	harness.NeedRoot(t)
	w := &world{newNamespace(t), newNamespace(t)}
	w.host.ip(t, "link set lo up")
	w.internet.ip(t, "link set lo up")
	w.host.ip(t, "link add outside type veth peer name far")
	w.host.ip(t, fmt.Sprintf("link set far netns /proc/%d/fd/%d", os.Getpid(), w.internet))
	w.host.ip(t, "link add docker0 type veth peer name container")
	w.host.ip(t, "link set container up")
	for link, addresses := range map[string][]string{
		"lo":      {metadata4 + "/32", credents4 + "/32", metadata6 + "/128"},
		"outside": {host4 + "/24", host6 + "/64"},
		"docker0": {docker4 + "/16"},
	} {
		for _, a := range addresses {
			w.host.address(t, link, a)
		}
		w.host.ip(t, "link set "+link+" up")
	}
	w.internet.address(t, "far", router4+"/24")
	w.internet.address(t, "lo", site4+"/32")
	w.internet.ip(t, "link set far up")
	w.host.ip(t, "route add default via "+router4)
	// A host that routed before would hide that a server turned it on.
	if err := w.host.enter(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0o644) }); err != nil {
		t.Fatal(err)
	}
	before := w.host.state(t)
	t.Cleanup(func() {
		if after := w.host.state(t); after != before {
			t.Errorf("the host's network was\n%s\nand is\n%s", before, after)
		}
	})
	return w
}

// newNamespace makes a network namespace that goes with the test.
func newNamespace(t testing.TB) namespace {
	t.Helper()
	fd := -1
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread goes with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // nothing was written
	return namespace(fd)
}

// address gives an interface an address.
func (n namespace) address(t testing.TB, link, a string) {
	t.Helper()
	if strings.Contains(a, ":") {
		a += " nodad"
	}
	n.ip(t, "address add "+a+" dev "+link)
}

// state describes what a server could change of a host's network.
func (n namespace) state(t testing.TB) string {
	t.Helper()
	var all []string
	for _, args := range []string{"-br link show", "-4 route show table all", "rule show"} {
		for line := range strings.Lines(n.ip(t, args)) {
			f := strings.Fields(strings.ReplaceAll(line, "linkdown", "")) // a cable takes a moment
			if strings.HasPrefix(args, "-br") {
				f = f[:1] // the name; the state of the cable is beside it
			}
			all = append(all, strings.Join(f, " "))
		}
	}
	err := n.enter(func() error {
		for _, p := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			all = append(all, string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// enter runs f on a thread that is in the namespace; what f opens or starts stays
// there.
func (n namespace) enter(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: a thread that was elsewhere is thrown away
		if err := unix.Setns(int(n), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// ip runs the ip command in the namespace.
func (n namespace) ip(t testing.TB, args string) (out string) {
	t.Helper()
	err := n.enter(func() error {
		text, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, text)
		}
		out = string(text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// control makes a control run on the host of the world.
func (w *world) control(t testing.TB, e event) (r report) {
	t.Helper()
	if err := w.host.enter(func() error { r = control(t, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return r
}

// listen opens a listener that notes what it is sent.
func (n namespace) listen(t testing.TB, address string) *listener {
	t.Helper()
	l := &listener{}
	if err := n.enter(func() (err error) { l.Listener, err = net.Listen("tcp", address); return err }); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // who sends nothing has come, too
			text, _ := io.ReadAll(io.LimitReader(c, 4096))          // as much as came
			_ = c.Close()
			l.mu.Lock()
			l.texts = append(l.texts, string(text))
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() }) // nobody waits for it
	return l
}

// listener is a listener with what it was sent, one text a connection, in their
// order.
type listener struct {
	net.Listener
	mu    sync.Mutex
	texts []string
}

// heard gives what came so far.
func (l *listener) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.texts)
}

// serve starts a server on the host of the world.
func (w *world) serve(t testing.TB, args ...string) *place {
	t.Helper()
	return private(t, harness.Options{Args: args, Fork: w.host.enter, Dial: func(network, address string) (c net.Conn, err error) {
		err = w.host.enter(func() (err error) { c, err = net.Dial(network, address); return err })
		return c, err
	}})
}

// watch records what comes by in a namespace; the result gives how many packets held a
// text.
func (n namespace) watch(t testing.TB) func(text string) int {
	t.Helper()
	var fd int
	err := n.enter(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(htons(unix.ETH_P_ALL)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "packets")
	var mu sync.Mutex
	var packets [][]byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64<<10)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				return
			}
			mu.Lock()
			packets = append(packets, bytes.Clone(buffer[:n]))
			mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = file.Close(); <-done }) // it was only read
	return func(text string) (found int) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range packets {
			if bytes.Contains(p, []byte(text)) {
				found++
			}
		}
		return found
	}
}

// htons turns a number into network order.
func htons(n uint16) uint16 { return n<<8 | n>>8 }

// mustReach checks that somebody on the host reaches every address. A new address
// takes a moment until the kernel routes it.
func (w *world) mustReach(t testing.TB, addresses []string, text string) {
	t.Helper()
	var r report
	_ = within(20*time.Second, func() bool { // worked tells
		r = w.control(t, event{Do: "dial", Dial: addresses, Text: text, Millis: 2000})
		for _, a := range addresses {
			if r.Results[a] != "ok" {
				return false
			}
		}
		return true
	})
	r.worked(t, addresses...)
}

var errTooLate = errors.New("too late")

// within waits for a condition without failing the test.
func within(limit time.Duration, holds func() bool) error {
	for end := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return errTooLate
		}
	}
	return nil
}
