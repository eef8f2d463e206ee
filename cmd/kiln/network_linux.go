package main

import (
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"kiln/box/sandbox/network"
	"kiln/box/sandbox/uplink"
)

// resolvConf is /etc/resolv.conf of every environment.
const resolvConf = "nameserver " + network.Resolver + "\n"

// outbound is the network of environments of one server.
type outbound struct {
	*network.Network
	off     string // why there is no way out; "" when there is one
	through string // the program that carries it for an ordinary user, or ""
}

// openNetwork makes the network that was asked for. Where this machine cannot give a
// way out there is none, and off says why: functions are kept in rather than the server
// from starting.
func (s *stack) openNetwork(owner string, so stackOptions) (err error) {
	o := network.Options{Owner: owner, Outbound: s.config.Network == "outbound", Range: s.config.NetworkRange, Deny: slices.Clone(s.config.NetworkDeny), Logger: s.log}
	if so.local.IsValid() {
		o.Local = []netip.Addr{so.local}
	}
	switch {
	case !o.Outbound:
		s.network.off = "--network none"
	case so.inside:
		s.openUplink(&o)
	}
	if so.inside { // /run is root's
		o.RunDir = filepath.Join(so.dataDir, "network")
	}
	s.network.Network, err = network.Open(o)
	if errors.Is(err, network.ErrUnsupported) {
		s.network.off, s.network.through = whyOff(err), ""
		o.Outbound, o.Host = false, nil
		s.network.Network, err = network.Open(o)
	}
	if err != nil {
		return err
	}
	s.addCloser("network", s.network.Close)
	return nil
}

// openUplink lets a program of this machine carry what functions send, where its
// network belongs to root. Without one there is no way out.
func (s *stack) openUplink(o *network.Options) {
	u, err := uplink.Open(s.log)
	if err != nil {
		o.Outbound, s.network.off = false, oneLine(err)
		return
	}
	s.addCloser("way out", u.Close)
	o.Host, s.network.through = u.Host, u.Program
	o.Deny = append(o.Deny, u.Deny...)
}

// oneLine gives the words of an error in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// whyOff gives the reason of an error of network.Open, in one line.
func whyOff(err error) string {
	if errors.Is(err, network.ErrNoRange) {
		return "this machine has routes to every range of addresses that kiln tries; --network-range names one that is free"
	}
	return strings.TrimPrefix(oneLine(err), network.ErrUnsupported.Error()+": ")
}

// sweepNetwork removes what a killed process with this owner left of its network.
func sweepNetwork(owner string) error {
	n, err := network.Open(network.Options{Owner: owner})
	if err != nil {
		return err
	}
	return n.Close()
}
