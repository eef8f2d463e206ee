package network

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sets of the host's table, by name and number within a batch.
const (
	flows4, flows4ID = "flows4", 1
	flows6, flows6ID = "flows6", 2
	older4, older4ID = "older4", 3
	older6, older6ID = "older6", 4
)

// hostRules is the host's one table, which belongs to the socket that makes it: it
// goes when the server ends, and a flush of all rules by somebody else leaves it
// alone. Older are, for each family, the interfaces that the host had when kiln made
// it route; none when it routed already. Between them nothing is forwarded that was
// not before.
func hostRules(p plan, connections int, older map[string][]int) []*message {
	t := p.table
	from := device(unix.NFT_META_IIFNAME, unix.NFT_CMP_EQ, p.device)
	to := device(unix.NFT_META_OIFNAME, unix.NFT_CMP_EQ, p.device)
	elsewhere := device(unix.NFT_META_OIFNAME, unix.NFT_CMP_NEQ, p.device)
	r := func(chain, comment string, parts ...any) *message {
		return rule(unix.NFPROTO_INET, t, chain, comment, join(parts...)...)
	}
	changes := []*message{
		table(t, tableOwned),
		set(t, flows4, flows4ID, keyIPv4, 4, true),
		set(t, flows6, flows6ID, keyIPv6, 16, true),
		chain(t, "before", "filter", unix.NF_INET_PRE_ROUTING, priorityFirst),
		chain(t, "through", "filter", unix.NF_INET_FORWARD, priorityFilter-10),
		chain(t, "here", "filter", unix.NF_INET_LOCAL_IN, priorityFilter-10),
		chain(t, "after", "nat", unix.NF_INET_POST_ROUTING, priorityNAT),
		branch(t, "refusal"),
		// Before anybody's translation: a published port of a container is the host's too.
		r("before", "local, broadcast, multicast", from, fib(unix.NFTA_FIB_F_DADDR, unix.NFT_FIB_RESULT_ADDRTYPE),
			compare(unix.NFT_CMP_NEQ, binary.NativeEndian.AppendUint32(nil, unix.RTN_UNICAST)...), count, jump("refusal")),
		r("refusal", "no connection", meta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, unix.IPPROTO_TCP), reset),
		r("refusal", "no packet", refuse),
		r("here", "the host itself", from, count, drop),
		r("through", "nobody calls an environment", to, state(stateKnown, true), count, drop),
		r("through", "too many connections", from, state(stateNew, false), protocol(unix.NFPROTO_IPV4),
			header(12, 4), moreThan(uint32(connections), flows4, flows4ID), count, jump("refusal")),
		r("through", "too many connections", from, state(stateNew, false), protocol(unix.NFPROTO_IPV6),
			header(8, 16), moreThan(uint32(connections), flows6, flows6ID), count, jump("refusal")),
		r("after", "as the host", elsewhere, within(p.v4), masquerade),
	}
	if p.v6.IsValid() {
		changes = append(changes, r("after", "as the host", elsewhere, within(p.v6), masquerade))
	}
	changes = append(changes, apartAsBefore(t, older4, older4ID, unix.NFPROTO_IPV4, older["4"])...)
	changes = append(changes, apartAsBefore(t, older6, older6ID, unix.NFPROTO_IPV6, older["6"])...)
	return batch(changes...)
}

// silence lets a host on which nobody listens say nothing to TCP: a packet that the kernel
// cannot assign to a connection of an environment would else be answered with a reset,
// which ends the connection that it belongs to.
func silence(p plan) []*message {
	return batch(rule(unix.NFPROTO_INET, p.table, "here", "nobody listens here",
		join(meta(unix.NFT_META_L4PROTO), compare(unix.NFT_CMP_EQ, unix.IPPROTO_TCP), count, drop)...))
}

// apartAsBefore forwards nothing between interfaces of a list.
func apartAsBefore(table, name string, id uint32, family byte, interfaces []int) []*message {
	if len(interfaces) == 0 {
		return nil
	}
	var keys [][]byte
	for _, i := range interfaces {
		keys = append(keys, binary.NativeEndian.AppendUint32(nil, uint32(i)))
	}
	steps := join(protocol(family), meta(unix.NFT_META_IIF), inSet(name, id), meta(unix.NFT_META_OIF), inSet(name, id), count, drop)
	return []*message{
		set(table, name, id, keyInterface, 4, false),
		elements(table, name, id, keys),
		rule(unix.NFPROTO_INET, table, "through", "not forwarded before kiln either", steps...),
	}
}

// within goes on only for packets that come from a range.
func within(p netip.Prefix) []expression {
	a := p.Masked().Addr().AsSlice()
	mask := make([]byte, len(a))
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	source, version := header(12, 4), byte(unix.NFPROTO_IPV4)
	if !p.Addr().Is4() {
		source, version = header(8, 16), unix.NFPROTO_IPV6
	}
	return join(protocol(version), source, masked(mask...), compare(unix.NFT_CMP_EQ, a...))
}
