package network_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// stranger is another program's conversation with the host's firewall.
func stranger(t testing.TB) network.Firewall {
	t.Helper()
	f, err := network.OpenFirewall()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

var families = map[string]byte{"ip": unix.NFPROTO_IPV4, "ip6": unix.NFPROTO_IPV6, "inet": unix.NFPROTO_INET}

// dropForwarded makes a table that drops forwarded packets by default, as container
// tools and firewalls do.
func dropForwarded(t testing.TB, f network.Firewall, family string) {
	t.Helper()
	if err := f.DropForwarded(families[family], "filter"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Delete(families[family], "filter") }) // the test may have done it
}

func TestAnEnvironmentGetsThroughAForwardPolicyOfDrop(t *testing.T) {
	for _, family := range []string{"ip", "ip6", "inet"} {
		t.Run(family, func(t *testing.T) {
			w := outside(t)
			w.greet(t, "[::]:80", "hello")
			f := stranger(t)
			dropForwarded(t, f, family)
			before := snapshot(t)
			n := open(t)
			s, _ := attach(t, n)
			for _, to := range []string{world4 + ":80", "[" + world6 + "]:80"} {
				if _, err := s.visit(to); err != nil {
					t.Errorf("visit %s: %v", to, err)
				}
			}
			if got, err := f.Foreign("testowner"); err != nil || got != 2 {
				t.Errorf("%d rules in others' tables, %v; want 2", got, err)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			same(t, "after Close", snapshot(t), before)
		})
	}
}

func TestTheDropThatTheTestsMakeDrops(t *testing.T) { // the control of the test above
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t)
	s, _ := attach(t, n)
	f := stranger(t)
	dropForwarded(t, f, "ip")
	within(t, 5*time.Second, func() error { return expectRules(f, 2) })
	if _, err := s.visit(world4 + ":80"); err != nil {
		t.Fatal(err)
	}
	stopped(t, s, func() error { return f.RemoveForeign("testowner") })
	within(t, 5*time.Second, func() error { return expectRules(f, 2) }) // the watch puts them back
}

// stopped is the control of these tests: without the rules that kiln added, nothing
// passes. The network's watch may put them back at once, so it is tried again.
func stopped(t testing.TB, s space, remove func() error) {
	t.Helper()
	within(t, 20*time.Second, func() error {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.quick(world4 + ":80"); err == nil {
			return errors.New("control: a packet passed a firewall that drops it")
		}
		return nil
	})
}

// expectRules says whether there are as many rules in others' tables.
func expectRules(f network.Firewall, want int) error {
	got, err := f.Foreign("testowner")
	if err == nil && got != want {
		err = fmt.Errorf("%d rules in others' tables, want %d", got, want)
	}
	return err
}

func TestAFirewallThatIsLoadedLaterIsNoticed(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	n := open(t)
	s, _ := attach(t, n)
	f := stranger(t)
	for range 3 { // loaded, and loaded again
		dropForwarded(t, f, "inet")
		within(t, 5*time.Second, func() error {
			_, err := s.quick(world4 + ":80")
			return err
		})
		if err := f.Delete(unix.NFPROTO_INET, "filter"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFlushOfAllRulesLeavesTheNetworkAlone(t *testing.T) {
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	host.greet(t, "[::]:8080", "the host")
	n := open(t)
	s, _ := attach(t, n)
	f := stranger(t)
	dropForwarded(t, f, "ip")
	within(t, 5*time.Second, func() error { return expectRules(f, 2) })
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := expectRules(f, 0); err != nil {
		t.Fatalf("control: the flush left the stranger's own table: %v", err)
	}
	if _, err := s.visit(world4 + ":80"); err != nil {
		t.Error(err)
	}
	unreachable(t, s, host4+":8080")
}

func TestWhatTheHostDidNotForwardBeforeItDoesNotForwardNow(t *testing.T) {
	w := outside(t)
	lan := newSpace(t)
	host.ip(t, "link add lan0 type veth peer name host\nlink set lan0 addrgenmode none\naddr add 192.168.77.1/24 dev lan0\naddr add fd77::1/64 dev lan0 nodad\nlink set lan0 up\n")
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "lan0") })
	move := exec.Command("ip", "link", "set", "host", "netns", "/proc/self/fd/3")
	move.ExtraFiles = append(move.ExtraFiles, dup(lan.fd))
	if out, err := move.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lan.ip(t, "addr add 192.168.77.2/24 dev host\naddr add fd77::2/64 dev host nodad\nlink set host up\nroute add default via 192.168.77.1\nroute add default via fd77::1\n")
	w.ip(t, "route add 192.168.77.0/24 via "+host4+"\nroute add fd77::/64 via "+host6+"\n")
	w.greet(t, "[::]:80", "hello")
	both := []string{world4 + ":80", "[" + world6 + "]:80"}
	for _, to := range both {
		if _, err := lan.quick(to); err == nil {
			t.Fatalf("%s was reached from the local network before there was a network of kiln", to)
		}
	}
	n := open(t)
	s, _ := attach(t, n)
	for _, to := range both {
		reachable(t, s, to)
		if _, err := lan.quick(to); err == nil {
			t.Errorf("%s was reached from the local network, since kiln makes the host route", to)
		}
	}
	if err := n.Unprotect(); err != nil {
		t.Fatal(err)
	}
	for _, to := range both {
		reachable(t, lan, to)
	}
}

func TestOlderFirewallsThatDropAreOpenedAndPutBack(t *testing.T) {
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s, of the package iptables", tool)
		}
	}
	w := outside(t)
	w.greet(t, "[::]:80", "hello")
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
		host.run(t, tool, "-P", "FORWARD", "DROP")
		host.run(t, tool, "-N", "USER")
		host.run(t, tool, "-A", "FORWARD", "-i", "br0", "-j", "USER")
		host.run(t, tool, "-A", "FORWARD", "-p", "tcp", "--dport", "9999", "-m", "comment", "--comment", "mine", "-j", "REJECT")
		host.run(t, tool, "-A", "FORWARD", "-p", "tcp", "--dport", "9998") // counts only, falls through to the policy
		host.run(t, tool, "-A", "USER", "-p", "udp", "-j", "RETURN")
		host.run(t, tool, "-A", "USER", "-j", "ACCEPT")
		host.run(t, tool, "-A", "OUTPUT", "-p", "udp", "--dport", "5", "-j", "USER") // a jump behind FORWARD
		host.run(t, tool, "-A", "INPUT", "-p", "tcp", "--dport", "6", "-c", "17", "1234")
	}
	t.Cleanup(func() {
		for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
			host.run(t, tool, "-F")
			host.run(t, tool, "-X")
			host.run(t, tool, "-P", "FORWARD", "ACCEPT")
		}
	})
	save := func() string {
		out := host.run(t, "iptables-legacy-save", "-c", "-t", "filter") + host.run(t, "ip6tables-legacy-save", "-c", "-t", "filter")
		var lines []string
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	before := save()
	n := open(t)
	s, _ := attach(t, n)
	for _, to := range []string{world4 + ":80", "[" + world6 + "]:80"} {
		if _, err := s.visit(to); err != nil {
			t.Errorf("visit %s: %v", to, err)
		}
	}
	device := network.DeviceName("testowner")
	during := save()
	for _, want := range []string{"-A FORWARD -i " + device + " -j ACCEPT", "-A FORWARD -o " + device + " -j ACCEPT"} {
		if got := strings.Count(during, want); got != 2 {
			t.Errorf("%d rules %q, want one a family in:\n%s", got, want, during)
		}
	}
	// Its own rules come first.
	if _, err := s.visit(world4 + ":9999"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("what the firewall rejects: %v, want connection refused", err)
	}
	stopped(t, s, func() error { return network.CloseLegacy(device) })
	within(t, 10*time.Second, func() error { // the watch puts them back
		_, err := s.quick(world4 + ":80")
		return err
	})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	counted := func(s string) string { return packets.ReplaceAllString(s, "[n]") }
	if got, want := counted(save()), counted(before); got != want {
		t.Errorf("after Close:\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(save(), "[17:1234]") {
		t.Errorf("a counter was lost:\n%s", save())
	}
}

func TestALastRuleThatRejectsEverythingIsPassed(t *testing.T) {
	for _, kind := range []string{"nft", "legacy"} {
		t.Run(kind, func(t *testing.T) {
			w := outside(t)
			w.greet(t, "[::]:80", "hello")
			t.Cleanup(func() {
				if err := stranger(t).Flush(); err != nil {
					t.Error(err)
				}
			})
			for _, family := range []string{"iptables-", "ip6tables-"} {
				tool := family + kind
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("needs %s, of the package iptables", tool)
				}
				host.run(t, tool, "-A", "FORWARD", "-p", "tcp", "--dport", "9999", "-j", "REJECT", "--reject-with", "tcp-reset")
				host.run(t, tool, "-A", "FORWARD", "-j", "REJECT")
				t.Cleanup(func() { host.run(t, tool, "-F") })
				before := packets.ReplaceAllString(host.run(t, tool+"-save", "-t", "filter"), "")
				t.Cleanup(func() {
					after := packets.ReplaceAllString(host.run(t, tool+"-save", "-t", "filter"), "")
					if withoutDates(after) != withoutDates(before) {
						t.Errorf("after Close:\n%s\nwant\n%s", after, before)
					}
				})
			}
			n := open(t)
			s, _ := attach(t, n)
			for _, to := range []string{world4, "[" + world6 + "]"} {
				if _, err := s.visit(to + ":80"); err != nil {
					t.Errorf("visit %s: %v", to, err)
				}
				if _, err := s.visit(to + ":9999"); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("what the firewall rejects: %v, want connection refused", err)
				}
			}
			device := network.DeviceName("testowner")
			f := stranger(t)
			stopped(t, s, func() error {
				return errors.Join(network.CloseLegacy(device), f.RemoveForeign("testowner"))
			})
		})
	}
}

// withoutDates leaves the comments of a listing out.
func withoutDates(s string) string {
	var kept []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
