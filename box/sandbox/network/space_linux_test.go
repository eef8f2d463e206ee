package network_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// space is a network namespace that a test made.
type space struct{ fd int }

// host is the namespace of the test process, which plays the host.
var host = space{fd: -1}

// newSpace makes a namespace with a loopback device that is up.
func newSpace(t testing.TB) space {
	t.Helper()
	fd, err := network.NewNamespace(func() error { return exec.Command("ip", "link", "set", "lo", "up").Run() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return space{fd}
}

// do runs f in the namespace.
func (s space) do(f func() error) error {
	if s.fd < 0 {
		return f()
	}
	return network.Inside(s.fd, f)
}

// run runs a program in the namespace and gives what it printed.
func (s space) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := s.do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ip runs lines of commands for ip -batch.
func (s space) ip(t testing.TB, lines string) {
	t.Helper()
	var out bytes.Buffer
	err := s.do(func() error {
		c := exec.Command("ip", "-batch", "-")
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(lines), &out, &out
		return c.Run()
	})
	if err != nil {
		t.Fatalf("ip: %v\n%s", err, &out)
	}
}

// listen opens a TCP listener in the namespace that greets each caller with words
// and says which address it came from.
func (s space) greet(t testing.TB, address, words string) {
	t.Helper()
	var l net.Listener
	err := s.do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			peer, _ := netip.ParseAddrPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s %s", words, peer.Addr().Unmap())
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

// visit connects from the namespace and gives what the listener says.
func (s space) visit(address string) (string, error) { return s.try(address, 3*time.Second) }

// quick is a visit for a place that is probably not reached.
func (s space) quick(address string) (string, error) { return s.try(address, 300*time.Millisecond) }

// try connects within a time.
func (s space) try(address string, limit time.Duration) (string, error) {
	var c net.Conn
	err := s.do(func() (err error) {
		d := net.Dialer{Timeout: limit}
		kind := "tcp4" // one family, so that it stays on this thread
		if strings.HasPrefix(address, "[") {
			kind = "tcp6"
		}
		c, err = d.Dial(kind, address)
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	said, err := io.ReadAll(c)
	return string(said), err
}

// packet opens a UDP socket in the namespace.
func (s space) packet(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	err := s.do(func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// needRoot skips a test that makes namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("the tests need ip, of the package iproute2")
	}
}

// The addresses of the world outside, and of the host on the cable to it.
const (
	world4, world6 = "203.0.113.1", "2001:db8:77::1"
	host4, host6   = "203.0.113.2", "2001:db8:77::2"
	mapped4        = "198.51.100.7" // an address that the world has beside its cable
)

// outside makes a world outside of the host: a namespace with a cable to it, through
// which the host has its default routes. Loopback of the host is up.
func outside(t testing.TB) space {
	t.Helper()
	needRoot(t)
	w := newSpace(t)
	host.ip(t, "link set lo up\n")
	err := host.do(func() error {
		c := exec.Command("ip", "link", "add", "uplink", "mtu", "1400", "type", "veth", "peer", "name", "host", "mtu", "1400", "netns", "/proc/self/fd/3")
		c.ExtraFiles = []*os.File{dup(w.fd)}
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "uplink") })
	w.ip(t, `addr add `+world4+`/24 dev host
addr add `+world6+`/64 dev host nodad
addr add `+mapped4+`/32 dev lo
link set host addrgenmode none
link set host up
`)
	host.ip(t, `addr add `+host4+`/24 dev uplink
addr add `+host6+`/64 dev uplink nodad
link set uplink addrgenmode none
link set uplink up
route add default via `+world4+`
route add default via `+world6+`
`)
	within(t, 5*time.Second, func() error {
		if !strings.Contains(host.run(t, "ip", "-6", "route", "show", "table", "local"), host6) {
			return errors.New("the cable to the world is not up")
		}
		return nil
	})
	return w
}

// dup copies a descriptor for a child.
func dup(fd int) *os.File {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		panic(err)
	}
	return os.NewFile(uintptr(n), "namespace")
}

// open opens a network on the host that plays.
func open(t testing.TB, change ...func(*network.Options)) *network.Network {
	t.Helper()
	o := network.Options{Owner: "testowner", RunDir: t.TempDir(), Outbound: true}
	for _, c := range change {
		c(&o)
	}
	n, err := network.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// attach makes a namespace and attaches it.
func attach(t testing.TB, n *network.Network) (space, *network.Link) {
	t.Helper()
	s := newSpace(t)
	l, err := n.Attach(s.fd, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, l
}

// within polls until f is content or time is up, and says what it said last.
func within(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	end := time.Now().Add(d)
	err := errors.New("not asked")
	for time.Now().Before(end) {
		if err = f(); err == nil {
			return
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
	t.Fatal(err)
}
