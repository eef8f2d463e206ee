package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// world is a network namespace that plays the host, so that servers can listen there
// on addresses which this machine does not have, and nothing leaves it.
type world struct {
	fd int // of the namespace
}

// Addresses of the world's host, besides loopback.
const (
	metadata4 = "169.254.169.254"
	metadata6 = "fd00:ec2::254"
	credents4 = "169.254.170.2" // where containers get credentials
	host4     = "198.51.100.7"
	router4   = "198.51.100.1"
	docker4   = "172.17.0.1"
	host6     = "2001:db8::7"
)

// newWorld makes one. It goes with the test.
func newWorld(t testing.TB) *world {
	t.Helper()
	harness.NeedRoot(t)
	w := &world{fd: -1}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread goes with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			w.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(w.fd) }) // nothing was written
	w.ip(t, "link set lo up")
	w.ip(t, "link add outside type veth peer name far")
	w.ip(t, "link set far up")
	w.ip(t, "link add docker0 type veth peer name container")
	w.ip(t, "link set container up")
	for link, addresses := range map[string][]string{
		"lo":      {metadata4 + "/32", credents4 + "/32", metadata6 + "/128"},
		"outside": {host4 + "/24", host6 + "/64"},
		"docker0": {docker4 + "/16"},
	} {
		for _, a := range addresses {
			flags := ""
			if strings.Contains(a, ":") {
				flags = " nodad"
			}
			w.ip(t, "address add "+a+" dev "+link+flags)
		}
		w.ip(t, "link set "+link+" up")
	}
	// A router that nobody answers for: what is sent to it is sent, and seen.
	w.ip(t, "neighbour add "+router4+" lladdr 02:00:00:00:00:01 dev outside")
	w.ip(t, "route add default via "+router4)
	return w
}

// enter runs f on a thread that is in the world; what f opens or starts stays there.
func (w *world) enter(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: a thread that was elsewhere is thrown away
		if err := unix.Setns(w.fd, unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// ip runs the ip command in the world.
func (w *world) ip(t testing.TB, args string) {
	t.Helper()
	err := w.enter(func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// control makes a control run in the world.
func (w *world) control(t testing.TB, e event) (r report) {
	t.Helper()
	// Between exec and its end the command is a process of the world.
	err := w.enter(func() error { r = control(t, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// listen opens a listener in the world that counts who comes.
func (w *world) listen(t testing.TB, address string) *counter {
	t.Helper()
	c := &counter{}
	err := w.enter(func() (err error) { c.Listener, err = net.Listen("tcp", address); return err })
	if err != nil {
		t.Fatal(err)
	}
	c.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, canaryText) }), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			c.mu.Lock()
			c.n++
			c.mu.Unlock()
		}
	}}
	go func() { _ = c.server.Serve(c.Listener) }() // until Close
	t.Cleanup(func() { _ = c.server.Close() })     // nobody waits for it
	return c
}

// counter is a listener with the number of connections that came.
type counter struct {
	net.Listener
	server *http.Server
	mu     sync.Mutex
	n      int
}

// came gives the number and begins again.
func (c *counter) came() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

// serve starts a server in the world.
func (w *world) serve(t testing.TB, args ...string) *place {
	t.Helper()
	return private(t, harness.Options{Args: args, Fork: w.enter, Dial: func(network, address string) (c net.Conn, err error) {
		err = w.enter(func() (err error) { c, err = net.Dial(network, address); return err })
		return c, err
	}})
}

// watch records what is sent in the world until the result is called, which gives
// how many packets held a text.
func (w *world) watch(t testing.TB) func(text string) int {
	t.Helper()
	var fd int
	err := w.enter(func() (err error) {
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

// mustReach checks that a control in the world reaches every address. A new address
// takes a moment until the kernel routes it.
func (w *world) mustReach(t testing.TB, addresses []string) {
	t.Helper()
	var r report
	_ = within(20*time.Second, func() bool { // worked tells
		r = w.control(t, event{Do: "dial", Dial: addresses, Millis: 2000})
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
