package network

import "net/netip"

// What tests need to see of the inside.
var (
	NewNamespace = newNamespace
	Inside       = inside
	DeviceName   = deviceName
)

// Gateway gives a descriptor of the gateway's namespace.
func (n *Network) Gateway() int { return n.gateway.ns }

// Range is what environments get addresses from.
func (n *Network) Range() (v4, v6 netip.Prefix) { return n.plan.v4, n.plan.v6 }
