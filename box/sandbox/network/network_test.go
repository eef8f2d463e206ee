package network_test

import (
	"net"
	"testing"
)

func serveUntilKilled() {}

func TestAnEnvironmentReachesTheWorldAsTheHost(t *testing.T) {
	w := outside(t)
	w.greet(t, net.JoinHostPort("::", "80"), "world sees")
	n := open(t)
	s, l := attach(t, n)
	if got, want := len(l.Addresses()), 2; got != want {
		t.Fatalf("%d addresses, want %d: %v", got, want, l.Addresses())
	}
	for _, c := range []struct{ to, want string }{
		{world4, "world sees " + host4}, {mapped4, "world sees " + host4}, {world6, "world sees " + host6},
	} {
		got, err := s.visit(net.JoinHostPort(c.to, "80"))
		if err != nil || got != c.want {
			t.Errorf("visit %s: %q, %v; want %q", c.to, got, err, c.want)
		}
	}
	t.Log(host.run(t, "ip", "addr"))
	t.Log(host.run(t, "nft", "list", "ruleset"))
	t.Log(s.run(t, "ip", "addr"), s.run(t, "ip", "route"), s.run(t, "ip", "-6", "route"))
	t.Log(space{n.Gateway()}.run(t, "nft", "list", "ruleset"))
}
