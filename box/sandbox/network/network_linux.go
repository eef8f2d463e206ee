package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Network is a way out for the namespaces that are attached to it. It is safe for
// concurrent use. Close it, or it ends with the process.
type Network struct {
	options   Options
	log       *slog.Logger
	forwarder *forwarder

	// Without outbound, all below is nil.
	host     *socket // routing of the host
	firewall *socket // owns the host's table
	plan     plan
	ledger   *ledger
	gateway  *gateway
	remover  *remover
	watch    *watch

	mu     sync.Mutex
	links  map[*Link]struct{} // nil once closed
	free   []int              // places given back, the longest unused first
	next   int                // the first place that was never used
	number uint64             // of the next IPv6 address
	making sync.WaitGroup     // Attach calls under way

	closing  sync.Once
	closeErr error
}

// Open makes the gateway and what the host needs for it, after it has removed what
// an earlier network of the same owner left. Nothing is left when it returns an
// error.
func Open(options Options) (*Network, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n := &Network{
		options:   options,
		log:       options.Logger.With("network", options.Owner),
		forwarder: newForwarder(options.ResolvConf),
		links:     map[*Link]struct{}{},
		next:      firstPlace,
		number:    firstPlace,
	}
	if !options.Outbound {
		n.clear()
		return n, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs to run as root", ErrUnsupported)
	}
	if err := n.onHost(n.open); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnsupported, err), n.onHost(n.release))
	}
	return n, nil
}

// onHost runs f in the host's network.
func (n *Network) onHost(f func() error) error {
	if n.options.Host == nil {
		return f()
	}
	return inside(int(n.options.Host.Fd()), f)
}

// Outbound says whether namespaces can have a way out.
func (n *Network) Outbound() bool { return n.gateway != nil }

// open makes everything that all namespaces share.
func (n *Network) open() (err error) {
	if n.host, err = openSocket(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	if n.firewall, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
		return err
	}
	if n.ledger, err = openLedger(n.options.RunDir, n.options.Owner, n.host, n.log); err != nil {
		return err
	}
	if err := n.sweep(); err != nil {
		return fmt.Errorf("remove leftovers: %w", err)
	}
	u, err := n.host.uplink()
	if err != nil {
		return err
	}
	if n.plan, err = newPlan(n.options.Owner, n.options.Range, u.taken, u.v6); err != nil {
		return err
	}
	older, err := n.ledger.forward(n.host, u.v6)
	if err != nil {
		return err
	}
	if n.gateway, err = openGateway(n.host, n.plan, n.options.Deny, cableMTU(u.mtu)); err != nil {
		return err
	}
	n.remover = newRemover(n)
	if err := n.firewall.do(hostRules(n.plan, n.options.Connections, older)...); err != nil {
		return err
	}
	if n.options.Host != nil { // nobody else has rules there
		return n.firewall.do(silence(n.plan)...)
	}
	n.watch, err = openWatch(n)
	return err
}

// uplink is how the host itself reaches the outside.
type uplink struct {
	mtu   int            // the smallest of the interfaces with a default route, 0 without one
	v6    bool           // there is a default route for IPv6
	taken []netip.Prefix // what the host has other routes to
}

// cableMTU is the packet size of all cables: the way out's, so that nobody has to find
// out that packets are too large, or the usual one while there is no way out. IPv6
// needs 1,280.
func cableMTU(uplink int) int {
	if uplink == 0 {
		return 1500
	}
	return max(uplink, 1280)
}

// uplink reads the host's routes.
func (s *socket) uplink() (uplink, error) {
	routes, err := s.routes()
	if err != nil {
		return uplink{}, err
	}
	links, err := s.interfaces()
	if err != nil {
		return uplink{}, err
	}
	var u uplink
	for _, r := range routes {
		if r.to.Bits() > 0 {
			u.taken = append(u.taken, r.to)
			continue
		}
		at := slices.IndexFunc(links, func(l netInterface) bool { return l.index == r.index })
		if r.kind != unix.RTN_UNICAST || at < 0 || links[at].name == "lo" {
			continue
		}
		u.v6 = u.v6 || r.to.Addr().Is6()
		if m := links[at].mtu; u.mtu == 0 || m < u.mtu {
			u.mtu = m
		}
	}
	return u, nil
}

// clear removes what an earlier network of this owner left, where no new one is made.
// What it cannot do, the next one tries again.
func (n *Network) clear() {
	if os.Geteuid() != 0 {
		return // and so was the earlier one
	}
	old := &Network{options: n.options, log: n.log}
	err := func() (err error) {
		if old.host, err = openSocket(unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if old.firewall, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		if old.ledger, err = openLedger(n.options.RunDir, n.options.Owner, old.host, n.log); err != nil {
			return err
		}
		return old.sweep()
	}()
	if err = errors.Join(err, old.release()); err != nil {
		n.log.Debug("look for what an earlier network left", "error", err)
	}
}

// sweep removes what an earlier network of this owner left in spite of everything:
// rules in others' tables after a kill, the rest only when a process that outlived
// the server still holds the gateway.
func (n *Network) sweep() error {
	if err := closeForeign(n.firewall, n.options.Owner); err != nil {
		return err
	}
	if err := closeLegacy(deviceName(n.options.Owner)); err != nil {
		return err
	}
	index, err := n.host.find(deviceName(n.options.Owner))
	if err == nil {
		err = n.host.do(deleteLink(index))
	} else if errors.Is(err, errNoInterface) {
		err = nil
	}
	if err != nil {
		return err
	}
	err = n.firewall.do(batch(deleteTable("kiln_" + n.options.Owner))...)
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return err
}

// Close cuts every namespace off, removes all that the network made, puts the host's
// settings back, and waits. A second call waits for the first.
func (n *Network) Close() error {
	n.closing.Do(func() {
		n.mu.Lock()
		links := n.links
		n.links = nil
		n.mu.Unlock()
		n.making.Wait()
		var errs []error
		for l := range links {
			errs = append(errs, l.Close())
		}
		n.closeErr = errors.Join(append(errs, n.onHost(n.release))...)
	})
	return n.closeErr
}

// release undoes open: every step, whatever the others said.
func (n *Network) release() error {
	var errs []error
	if n.watch != nil {
		errs = append(errs, n.watch.close())
	}
	if n.remover != nil {
		n.remover.close()
	}
	if n.gateway != nil {
		errs = append(errs, n.gateway.close())
	}
	if n.firewall != nil {
		errs = append(errs, closeForeign(n.firewall, n.options.Owner), closeLegacy(deviceName(n.options.Owner)))
	}
	if n.ledger != nil {
		errs = append(errs, n.ledger.close(n.host))
	}
	for _, s := range []*socket{n.firewall, n.host} { // the host's table goes with its socket
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// place is what one environment has its addresses from.
type place struct {
	v4     int    // the place in the range; 0 is none
	used   bool   // somebody had it before
	number uint64 // of the IPv6 address, which nobody had or will have
}

// takePlace gives a place that nobody has. Those given back longest ago come first,
// and all come after the ones never used, since the outside may still send to them.
func (n *Network) takePlace() (place, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := place{number: n.number}
	switch {
	case n.next < firstPlace+n.plan.places():
		p.v4 = n.next
		n.next++
	case len(n.free) > 0:
		p.v4, p.used = n.free[0], true
		n.free = n.free[1:]
	default:
		return place{}, fmt.Errorf("all %d addresses of %s are in use", n.plan.places(), n.plan.v4)
	}
	n.number++
	return p, nil
}

// givePlace takes an address back.
func (n *Network) givePlace(place int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.free = append(n.free, place)
}

// begin counts a link that is being made, unless the network is closed; done must
// follow.
func (n *Network) begin(l *Link) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links == nil {
		return errors.New("the network is closed")
	}
	n.links[l] = struct{}{}
	n.making.Add(1)
	return nil
}

// forget ends the counting of a link.
func (n *Network) forget(l *Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}
