package network_test

import (
	"os"
	"strings"
	"testing"

	"kiln/box/sandbox/network"
)

// setting reads or, with a value, changes a setting of the host.
func setting(t testing.TB, name string, value ...string) string {
	t.Helper()
	path := "/proc/sys/net/" + name
	for _, v := range value {
		if err := os.WriteFile(path, []byte(v), 0); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// expect compares a setting.
func expect(t testing.TB, name, want string) {
	t.Helper()
	if got := setting(t, name); got != want {
		t.Errorf("%s is %s, want %s", name, got, want)
	}
}

func TestEveryHostSettingIsPutBack(t *testing.T) {
	outside(t)
	// Unusual values, so that a default written back would show.
	host.ip(t, "link add d0 type bridge\nlink set d0 addrgenmode none\n")
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "d0") })
	setting(t, "ipv4/conf/d0/forwarding", "1")
	setting(t, "ipv4/conf/all/accept_redirects", "0")
	setting(t, "ipv6/conf/d0/accept_ra", "0")
	setting(t, "ipv6/conf/uplink/accept_ra", "1")
	t.Cleanup(func() { setting(t, "ipv4/conf/all/accept_redirects", "1") })
	before := snapshot(t)
	n := open(t)
	for name, want := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/uplink/forwarding": "1",
		"ipv6/conf/uplink/accept_ra": "2", // a host that routes would else forget its default route
		"ipv6/conf/d0/accept_ra":     "0",
	} {
		expect(t, name, want)
	}
	attach(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "after Close", snapshot(t), before)
}

func TestTheLastNetworkPutsTheSettingsBack(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	before := snapshot(t)
	dir := t.TempDir()
	first := open(t, func(o *network.Options) { o.RunDir = dir })
	second := open(t, func(o *network.Options) { o.RunDir, o.Owner = dir, "another" })
	a, _ := attach(t, first)
	b, _ := attach(t, second)
	for _, s := range []space{a, b} {
		reachable(t, s, world4+":80")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, "ipv4/ip_forward", "1")
	reachable(t, b, world4+":80")
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "after both", snapshot(t), before)
}

func TestEnvironmentsOfTwoNetworksDoNotReachEachOther(t *testing.T) {
	outside(t)
	dir := t.TempDir()
	first := open(t, func(o *network.Options) { o.RunDir = dir })
	second := open(t, func(o *network.Options) { o.RunDir, o.Owner = dir, "another" })
	a, _ := attach(t, first)
	b, l := attach(t, second)
	b.greet(t, "[::]:9000", "another environment")
	to := l.Addresses()[0].String() + ":9000"
	if _, err := a.quick(to); err == nil {
		t.Errorf("%s was reached", to)
	}
	if err := second.Unprotect(); err != nil {
		t.Fatal(err)
	}
	reachable(t, a, to)
}

func TestASettingThatSomebodyElseChangedIsLeftAlone(t *testing.T) {
	outside(t)
	setting(t, "ipv4/ip_forward", "0")
	n := open(t)
	expect(t, "ipv4/ip_forward", "1")
	setting(t, "ipv4/ip_forward", "0")
	setting(t, "ipv4/conf/uplink/forwarding", "1")
	t.Cleanup(func() { setting(t, "ipv4/conf/uplink/forwarding", "0") })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, "ipv4/ip_forward", "0")
	expect(t, "ipv4/conf/uplink/forwarding", "1")
	expect(t, "ipv6/conf/all/forwarding", "0")
}

func TestAHostThatBecameARouterForOthersGoesOnRouting(t *testing.T) {
	outside(t)
	n := open(t)
	host.ip(t, "link add docker0 type bridge\nlink set docker0 up\n")
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "docker0") })
	t.Cleanup(func() { setting(t, "ipv4/ip_forward", "0"); setting(t, "ipv6/conf/all/forwarding", "0") })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, "ipv4/ip_forward", "1")
}
