package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// What tests need to see of the inside.
var (
	NewNamespace = newNamespace
	Inside       = inside
	DeviceName   = deviceName
	ThisNetwork  = thisNetwork
	LegacyInUse  = legacyInUse
	OpenLegacy   = openLegacy
	CloseLegacy  = closeLegacy
)

// Gateway gives a descriptor of the gateway's namespace.
func (n *Network) Gateway() int { return n.gateway.ns }

// Range is what environments get addresses from.
func (n *Network) Range() (v4, v6 netip.Prefix) { return n.plan.v4, n.plan.v6 }

// Unprotect takes the host's rules away, which nobody but the network can.
func (n *Network) Unprotect() error {
	return n.firewall.do(batch(deleteTable(n.plan.table))...)
}

// UnprotectGateway takes the gateway's rules away.
func (n *Network) UnprotectGateway() error {
	return n.gateway.filter.do(batch(deleteTable(gatewayTable))...)
}

// Settled waits until cables that were cut are removed.
func (n *Network) Settled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next-firstPlace == len(n.links)+len(n.free)
}

// Firewall is a stranger's conversation with the firewall of the calling thread's
// network.
type Firewall struct{ s *socket }

// OpenFirewall opens one.
func OpenFirewall() (Firewall, error) {
	s, err := openSocket(unix.NETLINK_NETFILTER)
	return Firewall{s}, err
}

// Close ends it.
func (f Firewall) Close() { f.s.close() }

// DropForwarded makes a table whose one chain drops forwarded packets by default.
func (f Firewall) DropForwarded(family byte, name string) error {
	t := nft("add table", unix.NFT_MSG_NEWTABLE, create, family).text(unix.NFTA_TABLE_NAME, name)
	c := chain(name, "FORWARD", "filter", unix.NF_INET_FORWARD, priorityFilter)
	c.b[unix.SizeofNlMsghdr] = family
	c.b = bytes.Replace(c.b, []byte{8, 0, unix.NFTA_CHAIN_POLICY, 0, 0, 0, 0, 1}, []byte{8, 0, unix.NFTA_CHAIN_POLICY, 0, 0, 0, 0, 0}, 1)
	return f.s.do(batch(t, c)...)
}

// Delete removes a table.
func (f Firewall) Delete(family byte, name string) error {
	return f.s.do(batch(nft("delete table", unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, family).text(unix.NFTA_TABLE_NAME, name))...)
}

// Flush removes all tables that a stranger may remove.
func (f Firewall) Flush() error {
	return f.s.do(batch(nft("flush", unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, unix.NFPROTO_UNSPEC))...)
}

// Foreign counts the rules of an owner in others' tables.
func (f Firewall) Foreign(owner string) (int, error) {
	rules, err := f.s.foreignRules(owner)
	n := 0
	for _, r := range rules {
		if r.ours {
			n++
		}
	}
	return n, err
}

// Ruleset writes out all tables, chains, sets and rules, byte for byte.
func (f Firewall) Ruleset() (string, error) {
	var out strings.Builder
	for _, kind := range []uint16{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		err := f.s.ask(nft("list", kind, unix.NLM_F_DUMP, unix.NFPROTO_UNSPEC), func(kind uint16, body []byte) error {
			fmt.Fprintf(&out, "%d %d %x\n", kind, body[0], body[4:]) // between them a count of changes
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// Dropped sums the packets that rules with a comment counted, in the gateway.
func (n *Network) Dropped(comment string) (packets uint64, err error) {
	mark := userdata(comment)
	err = n.gateway.filter.ask(nft("list rules", unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, unix.NFPROTO_INET), func(_ uint16, body []byte) error {
		if !bytes.Equal(attribute(body[4:], unix.NFTA_RULE_USERDATA), mark) {
			return nil
		}
		attributes(attribute(body[4:], unix.NFTA_RULE_EXPRESSIONS), func(_ uint16, element []byte) {
			if unix.ByteSliceToString(attribute(element, unix.NFTA_EXPR_NAME)) != "counter" {
				return
			}
			count := attribute(attribute(element, unix.NFTA_EXPR_DATA), unix.NFTA_COUNTER_PACKETS)
			for _, b := range count {
				packets = packets&^(0xff<<56)<<8 | uint64(b)
			}
		})
		return nil
	})
	return packets, err
}

// RemoveForeign removes the rules of an owner from others' tables.
func (f Firewall) RemoveForeign(owner string) error { return closeForeign(f.s, owner) }

// Made counts the addresses that were given.
func (n *Network) Made() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next - firstPlace
}
