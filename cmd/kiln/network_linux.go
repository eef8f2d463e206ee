package main

import (
	"errors"
	"net/netip"
	"strings"

	"kiln/box/sandbox/network"
)

// resolvConf is /etc/resolv.conf of every environment.
const resolvConf = "nameserver " + network.Resolver + "\n"

// outbound is the network of environments of one server.
type outbound struct {
	*network.Network
	off string // why there is no way out; "" when there is one
}

// openNetwork makes the network that was asked for. Where this machine cannot give a
// way out there is none, and off says why: functions are kept in rather than the server
// from starting. local is the server's own address, if it is not loopback.
func (s *stack) openNetwork(owner string, local netip.Addr) (err error) {
	o := network.Options{Owner: owner, Outbound: s.config.Network == "outbound", Range: s.config.NetworkRange, Logger: s.log}
	if local.IsValid() {
		o.Local = []netip.Addr{local}
	}
	if !o.Outbound {
		s.network.off = "--network none"
	}
	s.network.Network, err = network.Open(o)
	if errors.Is(err, network.ErrUnsupported) {
		s.network.off = whyOff(err)
		o.Outbound = false
		s.network.Network, err = network.Open(o)
	}
	if err != nil {
		return err
	}
	s.addCloser("network", s.network.Close)
	return nil
}

// whyOff gives the reason of an error of network.Open, in one line.
func whyOff(err error) string {
	if errors.Is(err, network.ErrNoRange) {
		return "this machine has routes to every range of addresses that kiln tries; --network-range names one that is free"
	}
	text := strings.TrimPrefix(err.Error(), network.ErrUnsupported.Error()+": ")
	return strings.ReplaceAll(text, "\n", "; ")
}

// sweepNetwork removes what a killed process with this owner left of its network.
func sweepNetwork(owner string) error {
	n, err := network.Open(network.Options{Owner: owner})
	if err != nil {
		return err
	}
	return n.Close()
}
