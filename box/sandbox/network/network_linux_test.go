package network_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

func TestAnEnvironmentReachesTheWorldAsTheHost(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "world sees")
	n := open(t)
	s, l := attach(t, n)
	if got, want := len(l.Addresses()), 2; got != want {
		t.Fatalf("%d addresses, want %d: %v", got, want, l.Addresses())
	}
	for to, want := range map[string]string{
		world4: "world sees " + host4, mapped4: "world sees " + host4, world6: "world sees " + host6,
	} {
		got, err := s.visit(net.JoinHostPort(to, "80"))
		if err != nil || got != want {
			t.Errorf("visit %s: %q, %v; want %q", to, got, err, want)
		}
	}
}

func TestTheProgramsOfAnEnvironmentSeeOneOrdinaryInterface(t *testing.T) {
	outside(t)
	n := open(t)
	s, l := attach(t, n)
	var list []net.Interface
	var addresses []net.Addr
	err := s.do(func() (err error) {
		if list, err = net.Interfaces(); err != nil {
			return err
		}
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		addresses, err = eth.Addrs()
		return err
	})
	if err != nil || len(list) != 2 {
		t.Fatalf("interfaces %v, %v; want lo and eth0", list, err)
	}
	if list[1].MTU != 1400 {
		t.Errorf("packets of %d bytes, want the way out's 1400", list[1].MTU)
	}
	var got []string
	for _, a := range addresses {
		got = append(got, a.String())
	}
	want := []string{l.Addresses()[0].String() + "/32", l.Addresses()[1].String() + "/128"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

func TestWithoutIPv6OnTheHostAnEnvironmentHasIPv4Only(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	host.run(t, "ip", "-6", "route", "del", "default")
	n := open(t)
	s, l := attach(t, n)
	if got := l.Addresses(); len(got) != 1 || !got[0].Is4() {
		t.Errorf("addresses %v, want one of IPv4", got)
	}
	if _, err := s.visit(world4 + ":80"); err != nil {
		t.Error(err)
	}
	if _, err := s.visit("[" + world6 + "]:80"); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("visit over IPv6: %v, want network is unreachable", err)
	}
	if got := s.run(t, "ip", "-6", "-o", "addr", "show", "dev", "eth0"); got != "" {
		t.Errorf("IPv6 addresses %q, want none", got)
	}
}

func TestAnEnvironmentWithoutOutboundReachesNothing(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t)
	s := newSpace(t)
	l, err := n.Attach(s.fd, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, to := range []string{world4 + ":80", "[" + world6 + "]:80"} {
		if _, err := s.visit(to); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("visit %s: %v, want network is unreachable", to, err)
		}
	}
	if len(l.Addresses()) != 0 {
		t.Errorf("addresses %v, want none", l.Addresses())
	}
}

func TestAfterCutNoPacketPasses(t *testing.T) {
	w := outside(t)
	n := open(t)
	s, l := attach(t, n)
	there := w.packet(t, world4+":53")
	here := s.packet(t, l.Addresses()[0].String()+":0")
	send := func() {
		t.Helper()
		// After the cut there may be no route any more.
		_, _ = here.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(world4), Port: 53})
	}
	send()
	if _, _, err := read(there, time.Second); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	if err := l.Cut(); err != nil {
		t.Fatal(err)
	}
	send()
	if got, from, err := read(there, 200*time.Millisecond); err == nil {
		t.Errorf("after the cut %q came from %s", got, from)
	}
	within(t, 5*time.Second, func() error {
		if !strings.Contains(s.run(t, "ip", "-o", "link"), "eth0") {
			return nil
		}
		return errors.New("the cable is still there")
	})
}

// read waits for a packet.
func read(c *net.UDPConn, d time.Duration) (string, netip.AddrPort, error) {
	c.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 100)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	return string(buf[:n]), from, err
}

func TestOneInterfaceOneTableAndNothingElseIsSeenOnTheHost(t *testing.T) {
	outside(t)
	before := strings.Count(host.run(t, "ip", "-o", "link"), "\n")
	n := open(t)
	for range 20 {
		attach(t, n)
	}
	if got := strings.Count(host.run(t, "ip", "-o", "link"), "\n"); got != before+1 {
		t.Errorf("%d interfaces, want one more than %d", got, before)
	}
}

func TestTwelveHundredEnvironmentsAreAliveAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it makes 1,200 namespaces")
	}
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t)
	const many = 1200
	var spaces []space
	var links []*network.Link
	seen := map[netip.Addr]bool{}
	for range many {
		fd, err := network.NewNamespace(func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := (space{fd}).do(loopbackUp); err != nil {
			t.Fatal(err)
		}
		l, err := n.Attach(fd, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range l.Addresses() {
			if seen[a] {
				t.Fatalf("address %s was given twice", a)
			}
			seen[a] = true
		}
		spaces, links = append(spaces, space{fd}), append(links, l)
	}
	for i, s := range spaces {
		to := world4 + ":80"
		if i%2 == 1 {
			to = "[" + world6 + "]:80"
		}
		if _, err := s.visit(to); err != nil {
			t.Fatalf("environment %d: %v", i, err)
		}
	}
	for _, l := range links {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 10*time.Second, func() error {
		if !n.Settled() {
			return errors.New("not all cables are removed")
		}
		return nil
	})
	if got := strings.Count(space{n.Gateway()}.run(t, "ip", "-o", "link"), "\n"); got != 4 {
		t.Errorf("the gateway has %d interfaces, want lo, its cable to the host and the one to itself", got)
	}
}

// loopbackUp brings the loopback device of the calling thread's network up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func TestAddressesAreUsedAgainOnlyWhenAllHaveBeenUsed(t *testing.T) {
	outside(t)
	n := open(t, func(o *network.Options) { o.Range = netip.MustParsePrefix("10.77.0.0/27") })
	var first netip.Addr
	for i := range 15 {
		s, l := attach(t, n)
		if i == 0 {
			first = l.Addresses()[0]
		} else if l.Addresses()[0] == first {
			t.Fatalf("the first address again, as number %d", i+1)
		}
		if i > 0 {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_ = s
	}
	within(t, 5*time.Second, func() error {
		if !n.Settled() {
			return errors.New("the first cable is still there")
		}
		return nil
	})
	_, l := attach(t, n)
	if got := l.Addresses()[0]; got != first {
		t.Errorf("address %s, want %s, the only free one", got, first)
	}
	full := newSpace(t)
	if _, err := n.Attach(full.fd, true); err == nil || !strings.Contains(err.Error(), "all 15 addresses") {
		t.Errorf("one too many: %v, want an error that says so", err)
	}
}

func TestARangeThatTheHostUsesIsRefused(t *testing.T) {
	outside(t)
	o := network.Options{Owner: "testowner", RunDir: t.TempDir(), Outbound: true, Range: netip.MustParsePrefix("203.0.0.0/16")}
	n, err := network.Open(o)
	if err == nil {
		n.Close()
		t.Fatal("a range that overlaps a route was taken")
	}
	if !errors.Is(err, network.ErrUnsupported) || !strings.Contains(err.Error(), "overlaps 203.0.113") {
		t.Errorf("error %v, want one that names both", err)
	}
}

func TestTwoNetworksOfOneOwnerCannotLive(t *testing.T) {
	outside(t)
	dir := t.TempDir()
	open(t, func(o *network.Options) { o.RunDir = dir })
	n, err := network.Open(network.Options{Owner: "testowner", RunDir: dir, Outbound: true})
	if err == nil {
		n.Close()
		t.Fatal("a second network of the same owner was opened")
	}
	if !strings.Contains(err.Error(), "lives already") {
		t.Errorf("error %v, want one that says that it lives already", err)
	}
}

func TestANetworkWithoutOutboundTouchesNothing(t *testing.T) {
	outside(t)
	before := snapshot(t)
	n := open(t, func(o *network.Options) { o.Outbound = false })
	s := newSpace(t)
	l, err := n.Attach(s.fd, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	same(t, "while it lives", snapshot(t), before)
	if _, err := s.visit(world4 + ":80"); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("visit: %v, want network is unreachable", err)
	}
}

func TestProbeSaysWhatThereIsAndChangesNothing(t *testing.T) {
	outside(t)
	before := snapshot(t)
	for _, a := range network.Probe() {
		t.Logf("%+v", a)
		if !a.OK {
			t.Errorf("%s: %s", a.Name, a.Detail)
		}
	}
	same(t, "after a probe", snapshot(t), before)
	if _, err := os.Stat("/run/kiln/settings." + network.ThisNetwork() + ".json"); err == nil {
		t.Error("a probe wrote an account of settings")
	}
}

func TestAnAddressOfTheHostCanBeTheEnvironmentsOwn(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	host.greet(t, "[::]:8080", "the host")
	n := open(t, func(o *network.Options) {
		o.Local = []netip.Addr{netip.MustParseAddr(host4), netip.MustParseAddr(host6)}
	})
	s, _ := attach(t, n)
	without := newSpace(t)
	l, err := n.Attach(without.fd, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, inside := range []space{s, without} {
		for _, a := range []string{host4, host6} {
			to := net.JoinHostPort(a, "8080")
			unreachable(t, inside, to)
			inside.greet(t, to, "inside")
			if got, err := inside.visit(to); err != nil || !strings.HasPrefix(got, "inside") {
				t.Errorf("visit %s: %q, %v", to, got, err)
			}
		}
	}
	reachable(t, s, world4+":80")
	reachable(t, s, "["+world6+"]:80")
}

func TestWhatWasMeantForAnEarlierOwnerOfAnAddressDoesNotCome(t *testing.T) {
	w := outside(t)
	n := open(t, func(o *network.Options) { o.Range = netip.MustParsePrefix("10.77.0.0/27") })
	there := w.packet(t, world4+":7")
	there6 := w.packet(t, "["+world6+"]:7")
	first, l := attach(t, n)
	addresses := l.Addresses()
	knock := func(s space) (back []func() error, here []*net.UDPConn) {
		t.Helper()
		for i, listener := range []*net.UDPConn{there, there6} {
			c := s.packet(t, net.JoinHostPort(addresses[i].String(), "4000"))
			if _, err := c.WriteTo([]byte("x"), listener.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			_, from, err := read(listener, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			here = append(here, c)
			back = append(back, func() error {
				_, err := listener.WriteToUDPAddrPort([]byte("for the first"), from)
				return err
			})
		}
		return back, here
	}
	back, here := knock(first)
	for i := range back {
		if err := back[i](); err != nil {
			t.Fatal(err)
		}
		if _, _, err := read(here[i], time.Second); err != nil {
			t.Fatalf("control: the first owner hears nothing: %v", err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, func() error {
		if !n.Settled() {
			return errors.New("the first cable is still there")
		}
		return nil
	})
	for range 14 {
		attach(t, n)
	}
	bystander := host.packet(t, host4+":4001") // whose connection is not forgotten
	if _, err := bystander.WriteTo([]byte("x"), there.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	tracked := connections(t)
	next, l := attach(t, n)
	if got := l.Addresses(); got[0] != addresses[0] || got[1] == addresses[1] {
		t.Fatalf("addresses %v, want the first's for IPv4 and a new one for IPv6 (%v)", got, addresses)
	}
	c := next.packet(t, net.JoinHostPort(addresses[0].String(), "4000"))
	if err := back[0](); err != nil {
		t.Fatal(err)
	}
	if got, _, err := read(c, 200*time.Millisecond); err == nil {
		t.Errorf("at %s came %q", addresses[0], got)
	}
	now := connections(t)
	if strings.Contains(now, "src="+addresses[0].String()+" ") || !strings.Contains(tracked, "src="+addresses[0].String()+" ") {
		t.Errorf("connections before:\n%s\nafter:\n%s", tracked, now)
	}
	if !strings.Contains(now, "sport=4001") {
		t.Errorf("a connection of the host itself was forgotten:\n%s", now)
	}
}

// connections lists what the host tracks.
func connections(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/nf_conntrack")
	if err != nil {
		t.Skipf("needs a kernel that lists tracked connections: %v", err)
	}
	return string(text)
}

func TestAnAttachThatMeetsCloseFailsCleanly(t *testing.T) {
	outside(t)
	n := open(t)
	done := make(chan error)
	for range 4 {
		go func() {
			for {
				fd, err := network.NewNamespace(loopbackUp)
				if err == nil {
					var l *network.Link
					if l, err = n.Attach(fd, true); err == nil {
						err = l.Close()
					}
					unix.Close(fd)
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	within(t, 5*time.Second, func() error {
		if n.Made() < 8 {
			return errors.New("few namespaces were attached")
		}
		return nil
	})
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-done; !strings.Contains(err.Error(), "the network is closed") {
			t.Error(err)
		}
	}
}

func TestAfterCloseNoDescriptorAndNoGoroutineIsLeft(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	spaces := []space{newSpace(t), newSpace(t), newSpace(t)}
	count := func() (descriptors, goroutines int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list), runtime.NumGoroutine()
	}
	run := func(owner string) {
		n, err := network.Open(network.Options{Owner: owner, RunDir: t.TempDir(), Outbound: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spaces {
			if _, err := n.Attach(s.fd, true); err != nil {
				t.Fatal(err)
			}
			reachable(t, s, world4+":80")
		}
		if err := n.Close(); err != nil { // with the links that nobody closed
			t.Fatal(err)
		}
		for i, s := range spaces { // attached once, as it must be
			if got := s.run(t, "ip", "-o", "link"); strings.Contains(got, "eth0") {
				t.Errorf("after Close a namespace has %s", got)
			}
			spaces[i] = newSpace(t)
		}
	}
	run("first") // what is made once for all stays
	descriptors, goroutines := count()
	for range 3 {
		run("again")
	}
	within(t, 5*time.Second, func() error {
		d, g := count()
		if d -= 3 * len(spaces); d > descriptors || g > goroutines { // the new namespaces
			return fmt.Errorf("%d descriptors, %d before; %d goroutines, %d before", d, descriptors, g, goroutines)
		}
		return nil
	})
}

func TestAStrictReversePathFilterOfTheHostIsPassed(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	for _, name := range []string{"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"} {
		old := setting(t, name)
		setting(t, name, "1")
		t.Cleanup(func() { setting(t, name, old) })
	}
	n := open(t)
	s, _ := attach(t, n)
	reachable(t, s, world4+":80")
}
