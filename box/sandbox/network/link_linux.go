package network

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Link is one namespace's way out and name server. Its methods may be called from
// several goroutines.
type Link struct {
	network   *Network
	place     place // none without a way out
	addresses []netip.Addr
	names     *nameServer

	cutting, closing sync.Once
	cutErr, closeErr error
}

const (
	// insideName is what programs see.
	insideName = "eth0"
	// insideIndex is above what a namespace may have by itself.
	insideIndex = 64
	// loopbackIndex is that of every namespace's loopback device.
	loopbackIndex = 1
)

// The gateway's addresses as an environment sees them. They are on the cable alone
// and nobody answers at them.
var (
	gatewayInside4 = netip.MustParseAddr("169.254.0.1")
	gatewayInside6 = netip.MustParseAddr("fe80::1")
)

// Attach gives the network namespace that ns, a descriptor, refers to a name server
// and, with outbound, a way out; a network without one gives none. The namespace's
// loopback device must be up, and it must be nobody else's and never attached again.
// The caller keeps the descriptor. When Attach returns an error, the namespace is of
// no use any more.
func (n *Network) Attach(ns int, outbound bool) (*Link, error) {
	l := &Link{network: n}
	if err := n.begin(l); err != nil {
		return nil, fmt.Errorf("attach a namespace: %w", err)
	}
	defer n.making.Done()
	if err := l.open(ns, outbound && n.gateway != nil); err != nil {
		return nil, errors.Join(fmt.Errorf("attach a namespace: %w", err), l.Close())
	}
	return l, nil
}

// open does the work of Attach.
func (l *Link) open(ns int, outbound bool) (err error) {
	n := l.network
	var rtnl *socket
	udp, tcp := -1, -1
	err = inside(ns, func() (err error) {
		if outbound || len(n.options.Local) > 0 {
			if rtnl, err = openSocket(unix.NETLINK_ROUTE); err != nil {
				return err
			}
		}
		udp, tcp, err = nameSockets()
		return err
	})
	if rtnl != nil {
		defer rtnl.close()
	}
	if err != nil {
		return err
	}
	if l.names, err = serveNames(n.forwarder, udp, tcp, !outbound); err != nil {
		return err
	}
	for _, a := range n.options.Local {
		if err := rtnl.do(addAddress(loopbackIndex, single(a))); err != nil {
			return err
		}
	}
	if !outbound {
		return nil
	}
	return l.connect(ns, rtnl)
}

// connect makes the cable from the gateway into the namespace.
func (l *Link) connect(ns int, rtnl *socket) error {
	n := l.network
	p, err := n.takePlace()
	if err != nil {
		return err
	}
	l.place = p
	v4, v6 := n.plan.v4At(p.v4), n.plan.v6At(p.number)
	l.addresses = append(l.addresses, v4)
	near := end{name: fmt.Sprintf("e%d", p.v4), index: firstCable + p.v4, ns: -1, mac: hardware(gatewayPlace)}
	far := end{name: insideName, index: insideIndex, ns: ns, mac: hardware(p.v4)}
	if p.used {
		if err := n.forgetConnections(v4); err != nil {
			return err
		}
	}
	gateSide := []*message{
		raiseLink(near.index),
		addNeighbour(near.index, v4, far.mac),
		addRoute(single(v4), netip.Addr{}, near.index),
	}
	boxSide := []*message{
		raiseLink(far.index),
		addAddress(far.index, single(v4)),
		addNeighbour(far.index, gatewayInside4, near.mac),
		addRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), gatewayInside4, far.index),
	}
	if v6.IsValid() {
		l.addresses = append(l.addresses, v6)
		gateSide = append(gateSide, addNeighbour(near.index, v6, far.mac), addRoute(single(v6), netip.Addr{}, near.index))
		boxSide = append(boxSide, addAddress(far.index, single(v6)), addLocal(v6, far.index), addNeighbour(far.index, gatewayInside6, near.mac),
			addRoute(netip.PrefixFrom(netip.IPv6Unspecified(), 0), gatewayInside6, far.index))
	}
	if n.gateway.quiet {
		gateSide = append([]*message{withoutAutomatic(near.index)}, gateSide...)
		boxSide = append([]*message{withoutAutomatic(far.index)}, boxSide...)
	}
	gateSide = append([]*message{addCable(near, far, n.gateway.mtu)}, gateSide...)
	if err := n.gateway.rtnl.do(gateSide...); err != nil {
		return err
	}
	if err := rtnl.do(boxSide...); err != nil {
		return err
	}
	return n.gateway.rtnl.ready(near.index)
}

// Addresses are the namespace's own: IPv4, and IPv6 where the host has it. There are
// none without a way out.
func (l *Link) Addresses() []netip.Addr { return l.addresses }

// Freeze holds back the name server's answers, until Thaw: the programs of the
// namespace are about to be frozen.
func (l *Link) Freeze() { l.names.gate.close() }

// Thaw lets the name server's answers go.
func (l *Link) Thaw() { l.names.gate.open() }

// Cut takes the way out away for good. When it returns, no packet passes any more and
// names are refused. A second call waits for the first.
func (l *Link) Cut() error {
	l.names.refusing.Store(true)
	return l.disconnect()
}

// disconnect makes the gateway forget the namespace, once. What comes from there is
// from nobody then, and dropped. The cable is removed with others, a little later.
func (l *Link) disconnect() error {
	l.cutting.Do(func() {
		if l.place.v4 == 0 {
			return
		}
		var forget []*message
		for _, a := range l.addresses {
			forget = append(forget, deleteRoute(single(a), firstCable+l.place.v4))
		}
		err := l.network.gateway.rtnl.do(forget...)
		if err != nil && !errors.Is(err, unix.ESRCH) { // the namespace is gone, and the cable with it
			l.cutErr = fmt.Errorf("cut a namespace off: %w", err)
		}
		l.network.remover.remove(l.place.v4)
	})
	return l.cutErr
}

// Close takes the way out and the name server away. It works before and after the
// end of the namespace. A second call waits for the first.
func (l *Link) Close() error {
	l.closing.Do(func() {
		var errs []error
		if l.names != nil {
			errs = append(errs, l.names.close())
		}
		l.closeErr = errors.Join(append(errs, l.disconnect())...)
		l.network.forget(l)
	})
	return l.closeErr
}
