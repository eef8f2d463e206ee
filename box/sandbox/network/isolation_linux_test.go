package network_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// Each test of this file has two halves: what must not be reached is not, and the
// same listener is reached once the rule that protects it is taken away.

// refused says whether a connect was answered with an error at once.
func refused(err error) bool {
	return errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENETUNREACH)
}

// unreachable checks that a place is not reached, and that this is said at once.
func unreachable(t testing.TB, s space, to string) {
	t.Helper()
	start := time.Now()
	got, err := s.visit(to)
	if err == nil {
		t.Errorf("%s was reached: %q", to, got)
	} else if took := time.Since(start); !refused(err) || took > 9*time.Second {
		// A refusal takes no time, or on a busy machine a second: an ICMP error that comes
		// while connect still runs is lost, and the next packet brings the next one.
		t.Errorf("%s: %v after %v, want a refusal", to, err, took)
	}
}

// reachable checks that a place is reached.
func reachable(t testing.TB, s space, to string) {
	t.Helper()
	if _, err := s.visit(to); err != nil {
		t.Errorf("control: %s is not reached: %v", to, err)
	}
}

// ports joins addresses with a port.
func ports(port string, addresses ...string) []string {
	var list []string
	for _, a := range addresses {
		list = append(list, net.JoinHostPort(a, port))
	}
	return list
}

func TestTheHostsAddressesAreUnreachable(t *testing.T) {
	w := outside(t)
	host.ip(t, "link add docker0 type bridge\naddr add 172.17.0.1/16 dev docker0\naddr add fd17::1/64 dev docker0 nodad\nlink set docker0 up\n")
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "docker0") })
	host.greet(t, "[::]:8080", "the host")
	n := open(t)
	s, _ := attach(t, n)
	all := ports("8080", host4, host6, "172.17.0.1", "fd17::1")
	for _, to := range all {
		unreachable(t, s, to)
		reachable(t, host, to)
	}
	// What is broadcast to the host's networks, and the way there.
	v4, v6 := n.Range()
	for _, to := range ports("8080", "203.0.113.255", "172.17.255.255", "255.255.255.255", "169.254.0.1",
		v4.Addr().Next().String(), v4.Addr().Next().Next().String(), v6.Addr().Next().String(), v6.Addr().Next().Next().String()) {
		if got, err := s.quick(to); err == nil {
			t.Errorf("%s was reached: %q", to, got)
		}
	}
	reachable(t, w, host4+":8080")
	if err := n.Unprotect(); err != nil {
		t.Fatal(err)
	}
	for _, to := range all {
		reachable(t, s, to)
	}
}

func TestTheHostsLoopbackIsUnreachable(t *testing.T) {
	outside(t)
	host.greet(t, "127.0.0.1:8081", "the host")
	host.greet(t, "[::1]:8081", "the host")
	n := open(t)
	s, _ := attach(t, n)
	for _, to := range ports("8081", "127.0.0.1", "::1", "0.0.0.0", "::") {
		reachable(t, host, to)
		unreachable(t, s, to) // it has a loopback of its own
	}
	// Sent out on the wire on purpose, they are thrown away on the way.
	s.run(t, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
	s.run(t, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
	s.run(t, "ip", "route", "add", "127.0.0.0/8", "via", "169.254.0.1", "dev", "eth0", "onlink")
	if got, err := s.quick("127.0.0.1:8081"); err == nil {
		t.Errorf("127.0.0.1 was reached through the gateway: %q", got)
	}
}

func TestMetadataServicesAreUnreachable(t *testing.T) {
	w := outside(t)
	services := []string{"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fd00:42::42"}
	for _, a := range services {
		w.run(t, "ip", "addr", "add", a, "dev", "lo")
	}
	w.greet(t, "[::]:80", "credentials")
	n := open(t)
	s, _ := attach(t, n)
	for _, to := range ports("80", services...) {
		reachable(t, host, to)
		unreachable(t, s, to)
	}
	// The same in the clothes of IPv6.
	w.run(t, "ip", "addr", "add", "64:ff9b::a9fe:a9fe", "dev", "lo")
	w.run(t, "ip", "addr", "add", "2002:a9fe:a9fe::1", "dev", "lo")
	for _, to := range ports("80", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1") {
		reachable(t, host, to)
		unreachable(t, s, to)
	}
	gateway := space{n.Gateway()}
	gateway.run(t, "ip", "route", "del", "169.254.0.0/16")
	gateway.run(t, "ip", "route", "del", "fd00:ec2::254/128")
	for _, to := range ports("80", "169.254.169.254", "fd00:ec2::254") {
		reachable(t, s, to)
	}
}

func TestWhatIsDeniedIsUnreachable(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t, func(o *network.Options) {
		o.Deny = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:77::/64")}
	})
	s, _ := attach(t, n)
	unreachable(t, s, mapped4+":80")
	unreachable(t, s, "["+world6+"]:80")
	reachable(t, s, world4+":80")
}

func TestOtherEnvironmentsAreUnreachable(t *testing.T) {
	outside(t)
	n := open(t)
	a, _ := attach(t, n)
	b, l := attach(t, n)
	b.greet(t, "[::]:9000", "another environment")
	var all []string
	for _, address := range l.Addresses() {
		all = append(all, net.JoinHostPort(address.String(), "9000"))
	}
	for _, to := range all {
		reachable(t, b, to)
		unreachable(t, a, to)
	}
	// Addresses of the range that nobody has.
	v4, v6 := n.Range()
	for _, to := range ports("9000", strings.Replace(v4.Addr().String(), ".0", ".9", 1), v6.Addr().String()+"9") {
		unreachable(t, a, to)
	}
	if err := n.UnprotectGateway(); err != nil {
		t.Fatal(err)
	}
	for _, to := range all {
		reachable(t, a, to)
	}
}

func TestAbstractSocketsOfTheHostAndOfOthersAreUnreachable(t *testing.T) {
	outside(t)
	n := open(t)
	a, _ := attach(t, n)
	b, _ := attach(t, n)
	for i, owner := range []space{host, b} {
		name := fmt.Sprintf("@kiln-test-%d", i)
		var l net.Listener
		err := owner.do(func() (err error) {
			l, err = net.Listen("unix", name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial := func(s space) error {
			return s.do(func() error {
				c, err := net.Dial("unix", name)
				if err == nil {
					c.Close()
				}
				return err
			})
		}
		if err := dial(owner); err != nil {
			t.Errorf("control: %v", err)
		}
		if err := dial(a); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect to %s: %v, want connection refused", name, err)
		}
	}
}

func TestNobodyOutsideCallsAnEnvironment(t *testing.T) {
	w := outside(t)
	n := open(t)
	s, l := attach(t, n)
	s.greet(t, "[::]:9000", "an environment")
	v4, v6 := n.Range()
	w.run(t, "ip", "route", "add", v4.String(), "via", host4)
	w.run(t, "ip", "route", "add", v6.String(), "via", host6)
	for _, a := range l.Addresses() {
		to := net.JoinHostPort(a.String(), "9000")
		d := net.Dialer{Timeout: 300 * time.Millisecond}
		err := w.do(func() error {
			c, err := d.Dial("tcp", to)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil {
			t.Errorf("%s was reached from outside", to)
		}
	}
	if err := n.Unprotect(); err != nil {
		t.Fatal(err)
	}
	for _, a := range l.Addresses() {
		reachable(t, w, net.JoinHostPort(a.String(), "9000"))
	}
}

func TestWhatIsSentFromAnAddressOfSomebodyElseIsDropped(t *testing.T) {
	w := outside(t)
	n := open(t)
	a, own := attach(t, n)
	_, other := attach(t, n)
	v4 := w.packet(t, world4+":7")
	v6 := w.packet(t, "["+world6+"]:7")
	send := func(from netip.Addr) {
		t.Helper()
		to := &net.UDPAddr{IP: net.ParseIP(world4), Port: 7}
		if from.Is6() {
			to.IP = net.ParseIP(world6)
		}
		c := a.packet(t, net.JoinHostPort(from.String(), "0"))
		if _, err := c.WriteTo([]byte(from.String()), to); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(c *net.UDPConn) string {
		got, _, err := read(c, 200*time.Millisecond)
		if err != nil {
			return "nothing"
		}
		return got
	}
	foreign := append(other.Addresses(), netip.MustParseAddr(host4), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:db8:99::1"))
	for _, f := range foreign {
		a.run(t, "ip", "addr", "add", f.String(), "dev", "lo")
	}
	for _, f := range foreign {
		before, err := n.Dropped("an address of somebody else")
		if err != nil {
			t.Fatal(err)
		}
		send(f)
		listener := v4
		if f.Is6() {
			listener = v6
		}
		if got := heard(listener); got != "nothing" {
			t.Errorf("the world heard %s", got)
		}
		if after, err := n.Dropped("an address of somebody else"); err != nil || after == before {
			t.Errorf("from %s: %d dropped packets before and %d after, %v; want more", f, before, after, err)
		}
	}
	for _, f := range own.Addresses() { // control: the same with its own
		send(f)
		listener := v4
		if f.Is6() {
			listener = v6
		}
		if got := heard(listener); got != f.String() {
			t.Errorf("from its own address %s the world heard %s", f, got)
		}
	}
	if err := n.UnprotectGateway(); err != nil {
		t.Fatal(err)
	}
	send(other.Addresses()[0])
	if got := heard(v4); got != other.Addresses()[0].String() {
		t.Errorf("control: without the rule the world heard %s", got)
	}
}

func TestMulticastDoesNotLeaveAnEnvironment(t *testing.T) {
	outside(t)
	n := open(t)
	a, _ := attach(t, n)
	b, _ := attach(t, n)
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	listen := func(s space, name string) *net.UDPConn {
		var c *net.UDPConn
		err := s.do(func() error {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			c, err = net.ListenMulticastUDP("udp4", i, group)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	others := map[string]*net.UDPConn{
		"the host":            listen(host, network.DeviceName("testowner")),
		"another environment": listen(b, "eth0"),
		"itself":              listen(a, "eth0"),
	}
	var c net.PacketConn
	err := a.do(func() (err error) {
		c, err = net.ListenPacket("udp4", ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WriteTo([]byte("mdns"), group); err != nil {
		t.Fatal(err)
	}
	for who, l := range others {
		_, _, err := read(l, 200*time.Millisecond)
		if who == "itself" && err != nil { // the kernel loops it back: it was sent
			t.Errorf("control: nothing was sent: %v", err)
		} else if who != "itself" && err == nil {
			t.Errorf("%s heard it", who)
		}
	}
}

func TestOneEnvironmentCannotFillTheHostsTableOfConnections(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t, func(o *network.Options) { o.Connections = 20 })
	greedy, _ := attach(t, n)
	other, _ := attach(t, n)
	sender := greedy.packet(t, "0.0.0.0:0")
	for i := range 100 { // one socket, many connections as the host counts
		_, _ = sender.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(world4), Port: 1000 + i}) // refusals come back here
	}
	if _, err := greedy.visit(world4 + ":80"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("one connection too many: %v, want connection refused", err)
	}
	if _, err := other.visit(world4 + ":80"); err != nil {
		t.Errorf("another environment: %v", err)
	}
	if _, err := greedy.visit("[" + world6 + "]:80"); err != nil {
		t.Errorf("IPv6 is counted apart: %v", err)
	}
}
