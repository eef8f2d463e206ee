package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// gateway is a network namespace of the server's own to which every environment has
// a cable, and which has one cable to the host. It routes and filters and tracks
// nothing; the host translates addresses. Nothing names it: it is gone with the
// server, however that ends, and all cables with it.
type gateway struct {
	ns     int
	rtnl   *socket // speaks in the gateway's network
	slow   *socket // the same, for what takes long
	filter *socket // the same, to its firewall
	up     int     // index of its end of the cable to the host
	mtu    int
	quiet  bool // the kernel runs IPv6 and must be told not to make addresses
}

const (
	gatewayTable = "kiln"
	upName       = "host" // the gateway's end of the cable to the host
	// nowhere is where routes to forbidden destinations lead: a cable of the gateway
	// to itself. Nothing arrives there; the rules refuse what would go.
	nowhere, nowhereElse = "nowhere", "nowhere1"
	// firstCable is the least interface index of environments' cables in the gateway.
	firstCable = 1000
)

// openGateway makes the gateway and its cable to the host.
func openGateway(host *socket, p plan, deny []netip.Prefix, mtu int) (_ *gateway, err error) {
	g := &gateway{ns: -1, mtu: mtu, quiet: knowsV6()}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	g.ns, err = newNamespace(func() (err error) {
		if g.rtnl, err = openSocket(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if g.slow, err = openSocket(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if g.filter, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		return routeHere(p.v6.IsValid())
	})
	if err != nil {
		return nil, fmt.Errorf("make gateway: %w", err)
	}
	near := end{name: p.device, ns: -1, mac: hardware(hostPlace)}
	far := end{name: upName, ns: g.ns, mac: hardware(gatewayPlace)}
	if err := host.do(addCable(near, far, mtu)); err != nil {
		return nil, err
	}
	if err := g.connect(host, p); err != nil {
		return nil, err
	}
	if err := g.forbid(p, deny); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if err := g.filter.do(gatewayRules(g.up)...); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

// routeHere makes the calling thread's network one that routes.
func routeHere(v6 bool) error {
	err := write(forwarding["4"], "1")
	if err == nil && v6 {
		err = write(forwarding["6"], "1")
	}
	if err != nil {
		return fmt.Errorf("make gateway route: %w", err)
	}
	return nil
}

// connect gives both ends of the cable between host and gateway what they need to
// find each other without asking.
func (g *gateway) connect(host *socket, p plan) error {
	near, err := host.find(p.device)
	if err != nil {
		return err
	}
	far, err := g.rtnl.find(upName)
	if err != nil {
		return err
	}
	g.up = far
	host4, host6 := p.v4At(hostPlace), p.v6At(hostPlace)
	gate4, gate6 := p.v4At(gatewayPlace), p.v6At(gatewayPlace)
	hostSide := []*message{
		raiseLink(near),
		addNeighbour(near, gate4, hardware(gatewayPlace)),
		addRoute(p.v4, gate4, near),
	}
	gateSide := []*message{
		raiseLink(far),
		addAddress(far, single(gate4)),
		addNeighbour(far, host4, hardware(hostPlace)),
		addRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), host4, far),
	}
	if p.v6.IsValid() {
		hostSide = append(hostSide, addNeighbour(near, gate6, hardware(gatewayPlace)), addRoute(p.v6, gate6, near))
		gateSide = append(gateSide, addAddress(far, single(gate6)),
			addNeighbour(far, host6, hardware(hostPlace)),
			addRoute(netip.PrefixFrom(netip.IPv6Unspecified(), 0), host6, far))
	}
	if g.quiet {
		hostSide = append([]*message{withoutAutomatic(near)}, hostSide...)
		gateSide = append([]*message{withoutAutomatic(far)}, gateSide...)
	}
	if err := g.rtnl.do(gateSide...); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if err := host.do(hostSide...); err != nil {
		return err
	}
	return g.rtnl.ready(far)
}

// knowsV6 says whether this kernel runs IPv6 at all.
func knowsV6() bool { return read("ipv6/conf/all/disable_ipv6") != "" }

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// forbid leads what no environment may reach nowhere. Routes do it, not rules,
// because the kernel finds the right one among many at no cost.
func (g *gateway) forbid(p plan, deny []netip.Prefix) error {
	if err := g.rtnl.do(addCable(end{name: nowhere, ns: -1, mac: hardware(0)}, end{name: nowhereElse, ns: -1, mac: hardware(0)}, g.mtu)); err != nil {
		return err
	}
	index, err := g.rtnl.find(nowhere)
	if err != nil {
		return err
	}
	other, err := g.rtnl.find(nowhereElse)
	if err != nil {
		return err
	}
	changes := []*message{raiseLink(other), raiseLink(index)}
	if g.quiet {
		changes = append([]*message{withoutAutomatic(other), withoutAutomatic(index)}, changes...)
	}
	var done []netip.Prefix
	for _, to := range slices.Concat(forbidden, []netip.Prefix{p.v4, p.v6}, deny) {
		to = to.Masked()
		if !to.IsValid() || !to.Addr().Is4() && !p.v6.IsValid() || slices.Contains(done, to) {
			continue
		}
		done = append(done, to)
		changes = append(changes, addRoute(to, netip.Addr{}, index))
	}
	return errors.Join(g.rtnl.do(changes...), g.rtnl.ready(index), g.rtnl.ready(other))
}

// gatewayRules let an environment send only from its own addresses, and only to the
// host's cable. Whether a source is the environment's own, the routing table knows:
// the way back must be the way it came. So no rule or set grows with environments.
func gatewayRules(up int) []*message {
	index := binary.NativeEndian.AppendUint32(nil, uint32(up))
	notUp := compare(unix.NFT_CMP_NEQ, index...)
	fromBox := join(meta(unix.NFT_META_IIF), notUp)
	r := func(chain, comment string, parts ...any) *message {
		return rule(unix.NFPROTO_INET, gatewayTable, chain, comment, join(parts...)...)
	}
	return batch(
		table(gatewayTable, 0),
		chain(gatewayTable, "before", "filter", unix.NF_INET_PRE_ROUTING, priorityFirst),
		chain(gatewayTable, "through", "filter", unix.NF_INET_FORWARD, priorityFilter),
		chain(gatewayTable, "here", "filter", unix.NF_INET_LOCAL_IN, priorityFilter),
		r("before", "an address of somebody else", fromBox,
			fib(unix.NFTA_FIB_F_SADDR|unix.NFTA_FIB_F_IIF, unix.NFT_FIB_RESULT_OIF), compare(unix.NFT_CMP_EQ, 0, 0, 0, 0), count, drop),
		branch(gatewayTable, "refusal"),
		r("refusal", "no connection", meta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, unix.IPPROTO_TCP), reset),
		r("refusal", "no packet", refuse),
		r("through", "another environment, or nowhere", fromBox, meta(unix.NFT_META_OIF), notUp, count, jump("refusal")),
		r("here", "the gateway itself", fromBox, count, drop),
	)
}

// close takes the gateway and all its cables away.
func (g *gateway) close() error {
	var errs []error
	if g.up != 0 {
		errs = append(errs, g.rtnl.do(deleteLink(g.up))) // the host's end is gone when this returns
	}
	for _, s := range []*socket{g.rtnl, g.slow, g.filter} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if g.ns >= 0 {
		errs = append(errs, unix.Close(g.ns))
	}
	return errors.Join(errs...)
}

// find gives the index of an interface.
func (s *socket) find(name string) (int, error) {
	list, err := s.interfaces()
	if err != nil {
		return 0, err
	}
	for _, l := range list {
		if l.name == name {
			return l.index, nil
		}
	}
	return 0, fmt.Errorf("interface %s: %w", name, errNoInterface)
}

var errNoInterface = errors.New("there is none")
