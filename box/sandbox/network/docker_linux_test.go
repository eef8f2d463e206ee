package network_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// packets are counters as the iptables programs print them.
var packets = regexp.MustCompile(`\[\d+:\d+\]`)

// containers sets the host up as a container tool does: a bridge, a container, its
// chains and translations, a published port, and a policy of drop.
func containers(t *testing.T) space {
	t.Helper()
	c := newSpace(t)
	host.run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	t.Cleanup(func() { host.run(t, "sysctl", "-qw", "net.ipv4.ip_forward=0") })
	host.ip(t, "link add docker0 type bridge\nlink set docker0 addrgenmode none\naddr add 172.17.0.1/16 dev docker0\nlink set docker0 up\nlink add veth1 type veth peer name eth0\nlink set veth1 addrgenmode none\nlink set veth1 master docker0\nlink set veth1 up\n")
	t.Cleanup(func() { host.run(t, "ip", "link", "del", "docker0"); host.run(t, "ip", "link", "del", "veth1") })
	move := exec.Command("ip", "link", "set", "eth0", "netns", "/proc/self/fd/3")
	move.ExtraFiles = append(move.ExtraFiles, dup(c.fd))
	if out, err := move.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.ip(t, "addr add 172.17.0.2/16 dev eth0\nlink set eth0 up\nroute add default via 172.17.0.1\n")
	for _, line := range []string{
		"-t filter -P FORWARD DROP",
		"-t filter -N DOCKER", "-t filter -N DOCKER-USER", "-t filter -N DOCKER-ISOLATION-STAGE-1",
		"-t filter -A FORWARD -j DOCKER-USER",
		"-t filter -A FORWARD -j DOCKER-ISOLATION-STAGE-1",
		"-t filter -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"-t filter -A FORWARD -o docker0 -j DOCKER",
		"-t filter -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
		"-t filter -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT",
		"-t filter -A DOCKER-ISOLATION-STAGE-1 -j RETURN",
		"-t filter -A DOCKER-USER -j RETURN",
		"-t nat -N DOCKER",
		"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
		"-t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
	} {
		host.run(t, "iptables-nft", strings.Fields(line)...)
	}
	t.Cleanup(func() {
		f := stranger(t)
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestItWorksBesideContainersAndLeavesThemAlone(t *testing.T) {
	if _, err := exec.LookPath("iptables-nft"); err != nil {
		t.Skip("needs iptables-nft, of the package iptables")
	}
	w := outside(t)
	w.greet(t, "[::]:80", "world sees")
	c := containers(t)
	c.greet(t, "0.0.0.0:80", "a container")
	save := func() string {
		var lines []string
		for line := range strings.Lines(host.run(t, "iptables-nft-save")) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, packets.ReplaceAllString(line, "[n]"))
			}
		}
		return strings.Join(lines, "")
	}
	works := func(when string) {
		t.Helper()
		if got, err := c.visit(world4 + ":80"); err != nil || got != "world sees "+host4 {
			t.Errorf("%s a container visits the world: %q, %v", when, got, err)
		}
		if got, err := w.visit(host4 + ":8080"); err != nil || !strings.HasPrefix(got, "a container") {
			t.Errorf("%s the world visits a published port: %q, %v", when, got, err)
		}
	}
	before := save()
	works("before")
	n := open(t)
	s, _ := attach(t, n)
	works("beside")
	if got, err := s.visit(world4 + ":80"); err != nil || got != "world sees "+host4 {
		t.Errorf("an environment visits the world: %q, %v", got, err)
	}
	unreachable(t, s, host4+":8080") // the host's address, whoever is behind it
	unreachable(t, s, "172.17.0.1:8080")
	during := save()
	for line := range strings.Lines(before) {
		if !strings.Contains(during, line) {
			t.Errorf("a rule is gone: %s", line)
		}
	}
	if !strings.Contains(during, "-A FORWARD -i kiln-") {
		t.Errorf("iptables cannot show the rule that was added:\n%s", during)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	works("after")
	if got := save(); got != before {
		t.Errorf("after Close:\n%s\nwant\n%s", got, before)
	}
	if got := strings.TrimSpace(host.run(t, "sysctl", "-n", "net.ipv4.ip_forward")); got != "1" {
		t.Errorf("ip_forward is %s, want 1 as before", got)
	}
}
