package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// space is a network namespace of a test.
type space struct{ fd int }

// newSpace makes one, with loopback up. It goes with the test.
func newSpace(t testing.TB) space {
	t.Helper()
	harness.NeedRoot(t)
	s := space{-1}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread goes with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(s.fd) }) // nothing was written
	s.ip(t, "link set lo up")
	return s
}

// enter runs f on a thread that is there; what f opens or starts stays there.
func (s space) enter(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: a thread that was elsewhere is thrown away
		if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// ip runs the ip command there and gives what it says.
func (s space) ip(t testing.TB, args string) string {
	t.Helper()
	var out []byte
	err := s.enter(func() (err error) {
		if out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// listen opens a listener there; whoever uses it closes it.
func (s space) listen(t testing.TB, address string) (l net.Listener) {
	t.Helper()
	err := s.enter(func() (err error) { l, err = net.Listen("tcp", address); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // or it is closed already
	return l
}

// dial connects from there.
func (s space) dial(network, address string) (c net.Conn, err error) {
	err = s.enter(func() (err error) { c, err = net.DialTimeout(network, address, 5*time.Second); return err })
	return c, err
}

// The addresses of the world outside, and of the machine on the cable to it.
const (
	world4, world6     = "203.0.113.1", "2001:db8:77::1"
	machine4, machine6 = "203.0.113.2", "2001:db8:77::2"
	metadata4          = "169.254.169.254"
	worldName          = "example.com" // which the certificates of package httptest are for
)

// machine is a network that plays the host of a server, with a resolver that only
// itself can ask. A cable leads to the world.
type machine struct {
	space
	world  space
	resolv string // its /etc/resolv.conf
}

// newMachine makes both.
func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{space: newSpace(t), world: newSpace(t), resolv: filepath.Join(t.TempDir(), "resolv.conf")}
	err := m.enter(func() error {
		fd, err := unix.FcntlInt(uintptr(m.world.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		far := os.NewFile(uintptr(fd), "world")
		defer far.Close()
		add := exec.Command("ip", strings.Fields("link add uplink mtu 1400 type veth peer name far mtu 1400 netns /proc/self/fd/3")...)
		add.ExtraFiles = []*os.File{far}
		if out, err := add.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		// A new namespace may begin with what this machine has.
		return errors.Join(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0), os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("0"), 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	m.world.ip(t, "addr add "+world4+"/24 dev far")
	m.world.ip(t, "addr add "+world6+"/64 dev far nodad")
	m.world.ip(t, "link set far addrgenmode none")
	m.world.ip(t, "link set far up")
	m.ip(t, "addr add "+machine4+"/24 dev uplink")
	m.ip(t, "addr add "+machine6+"/64 dev uplink nodad")
	m.ip(t, "addr add "+metadata4+"/32 dev lo")
	m.ip(t, "link set uplink addrgenmode none") // a link-local address would come later
	m.ip(t, "link set uplink up")
	harness.Eventually(t, 10*time.Second, "the cable is up", func() bool {
		return strings.Contains(m.ip(t, "-o link show uplink"), "state UP") && strings.Contains(m.ip(t, "-6 route show table local"), machine6)
	})
	m.ip(t, "route add default via "+world4)
	m.ip(t, "route add default via "+world6)
	if err := os.WriteFile(m.resolv, []byte("nameserver 127.0.0.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.resolve(t)
	return m
}

// resolve answers questions for worldName on the machine's loopback.
func (m *machine) resolve(t testing.TB) {
	t.Helper()
	var conn net.PacketConn
	err := m.enter(func() (err error) { conn, err = net.ListenPacket("udp4", "127.0.0.53:53"); return err })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answerTo(question[:n]), from) // who asked may be gone
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done }) // nothing is to be written
}

// answerTo gives the answer of a name server that knows one address of one name.
func answerTo(question []byte) []byte {
	name := ""
	at := 12
	for at < len(question) && question[at] != 0 {
		length := int(question[at])
		if at+1+length >= len(question) {
			return nil
		}
		name += string(question[at+1:at+1+length]) + "."
		at += 1 + length
	}
	if at+5 > len(question) {
		return nil
	}
	kind := int(question[at+1])<<8 | int(question[at+2])
	answer := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:at+5]...)
	switch {
	case name != worldName+".":
		answer[3] |= 3 // no such name
	case kind == 1:
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		answer = append(answer, net.ParseIP(world4).To4()...)
	}
	return answer
}

// serve starts a server on the machine.
func (m *machine) serve(t testing.TB, data string, args ...string) *harness.Server {
	t.Helper()
	return built.StartWith(t, harness.Options{Data: data, Args: args, Dial: m.dial, Fork: func(start func() error) error {
		return m.enter(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := unix.Mount(m.resolv, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("show another /etc/resolv.conf: %w", err)
			}
			return start()
		})
	}})
}

// settings is everything of the machine's network that a server could change.
func (m *machine) settings(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, args := range []string{"-o link", "-o addr", "route show table all", "-6 route show table all", "rule", "-6 rule", "neigh show nud permanent"} {
		for line := range strings.Lines(m.ip(t, args)) {
			// What changes by itself: lifetimes and the state of neighbours.
			if line, _, _ = strings.Cut(line, " valid_lft"); !strings.Contains(line, "expires") {
				fmt.Fprintln(&all, strings.TrimSpace(line))
			}
		}
	}
	err := m.enter(func() error {
		for _, pattern := range []string{"ipv4/ip_forward", "ipv4/conf/*/*", "ipv6/conf/*/forwarding", "ipv6/conf/*/accept_ra"} {
			files, err := filepath.Glob("/proc/sys/net/" + pattern)
			if err != nil {
				return err
			}
			for _, f := range files {
				text, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				fmt.Fprintf(&all, "%s = %s", strings.TrimPrefix(f, "/proc/sys/net/"), text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// unchanged compares the settings with what they were.
func (m *machine) unchanged(t testing.TB, before string) {
	t.Helper()
	now := strings.Split(m.settings(t), "\n")
	was := strings.Split(before, "\n")
	for _, line := range was {
		if !contains(now, line) {
			t.Errorf("the machine had: %s", line)
		}
	}
	for _, line := range now {
		if !contains(was, line) {
			t.Errorf("the machine has now: %s", line)
		}
	}
}

func contains(list []string, text string) bool {
	for _, l := range list {
		if l == text {
			return true
		}
	}
	return false
}
