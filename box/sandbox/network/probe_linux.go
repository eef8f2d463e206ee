package network

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe tries what an outbound network needs, in a namespace that is thrown away,
// and looks at the host. It changes nothing of the host.
func Probe() []Ability {
	const nothing = "functions have no outbound network"
	var list []Ability
	var root error
	if os.Geteuid() != 0 {
		root = fmt.Errorf("running as user %d", os.Geteuid())
	}
	list = add(list, "root", true, root, "", nothing)
	list = add(list, "virtual cables and firewall rules", true, tryAll(), "veth, nf_tables with fib, masquerade and reject", nothing)
	host, err := openSocket(unix.NETLINK_ROUTE)
	if err != nil {
		return add(list, "routes of the host", true, err, "", nothing)
	}
	defer host.close()
	u, err := host.uplink()
	if err == nil && u.mtu == 0 {
		err = errors.New("there is no default route")
	}
	list = add(list, "way out of the host", false, err, fmt.Sprintf("packets of %d bytes", u.mtu), "functions reach only what the host reaches")
	var v6 error
	if !u.v6 {
		v6 = errors.New("there is no default route for IPv6")
	}
	list = add(list, "IPv6", false, v6, "", "functions reach IPv4 addresses only")
	if read(forwarding["4"]) == "0" {
		list = add(list, "forwarding", false, nil, "off; kiln turns it on while it runs, and off again", "")
	} else {
		list = add(list, "forwarding", false, nil, "on already", "")
	}
	return add(list, "firewalls that drop forwarded packets", false, nil, droppers(), "")
}

// tryAll makes a gateway and the host's rules where nobody sees it.
func tryAll() error {
	ns, err := newNamespace(func() error {
		host, err := openSocket(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer host.close()
		firewall, err := openSocket(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer firewall.close()
		lo, err := host.find("lo")
		if err != nil {
			return err
		}
		if err := host.do(raiseLink(lo)); err != nil {
			return err
		}
		p, err := newPlan("probe", Options{}.Range, nil, false)
		if err != nil {
			return err
		}
		g, err := openGateway(host, p, nil, 1500)
		if err != nil {
			return err
		}
		return errors.Join(firewall.do(hostRules(p, 1, nil)...), g.close())
	})
	if ns >= 0 {
		unix.Close(ns)
	}
	return err
}

// droppers says which chains of others drop forwarded packets by default.
func droppers() string {
	firewall, err := openSocket(unix.NETLINK_NETFILTER)
	if err != nil {
		return err.Error()
	}
	defer firewall.close()
	chains, err := firewall.forwardChains("")
	if err != nil {
		return err.Error()
	}
	rules, err := firewall.foreignRules("")
	if err != nil {
		return err.Error()
	}
	for _, r := range rules { // the last one of a chain decides
		if policy, forwards := chains[r.foreignChain]; forwards && r.refuses && !policy {
			chains[r.foreignChain] = true
		}
	}
	var names []string
	for c, drops := range chains {
		if drops {
			names = append(names, c.table+" "+c.name)
		}
	}
	slices.Sort(names)
	said := "none"
	if len(names) > 0 {
		said = strings.Join(names, ", ") + ": kiln adds two rules there while it runs"
	}
	if legacyInUse() {
		said += "; iptables-legacy is in use"
	}
	return said
}
