package network

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Numbers of the kernel's interface that package unix does not name.
const (
	tableOwned     = 0x2 // NFT_TABLE_F_OWNER: the table goes when its socket closes, and nobody else can change it
	stateKnown     = 0x2 | 0x4
	stateNew       = 0x8
	connlimitCount = 1
	connlimitFlags = 2
	connlimitOver  = 1
	keyIPv4        = 7 // types of keys, as the nft program counts them, so that it can show them
	keyIPv6        = 8
	keyInterface   = 20
	commentType    = 0 // of a rule's user data, as the nft program writes it
)

// Priorities of chains. A hook's chains run from the lowest to the highest.
const (
	priorityFirst  = -310 // before connection tracking (-200) and everybody's NAT (-100)
	priorityFilter = 0
	priorityNAT    = 100
)

// nft begins a message to the firewall.
func nft(what string, kind, flags uint16, family byte) *message {
	return request(what, unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, family, unix.NFNETLINK_V0, 0, 0)
}

// batch is a change of rules that happens as a whole or not at all.
func batch(changes ...*message) []*message {
	mark := func(kind uint16) *message {
		return request("change firewall rules", kind, 0, unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES)
	}
	return append(append([]*message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, changes...), mark(unix.NFNL_MSG_BATCH_END))
}

// table makes a table for IPv4 and IPv6.
func table(name string, flags uint32) *message {
	m := nft("add table "+name, unix.NFT_MSG_NEWTABLE, create, unix.NFPROTO_INET)
	return m.text(unix.NFTA_TABLE_NAME, name).big(unix.NFTA_TABLE_FLAGS, flags)
}

// chain makes a chain that lets pass what no rule stops.
func chain(table, name, kind string, hook uint32, priority int32) *message {
	m := nft("add chain "+name, unix.NFT_MSG_NEWCHAIN, create, unix.NFPROTO_INET)
	m.text(unix.NFTA_CHAIN_TABLE, table).text(unix.NFTA_CHAIN_NAME, name)
	m.nest(unix.NFTA_CHAIN_HOOK, func() {
		m.big(unix.NFTA_HOOK_HOOKNUM, hook).big(unix.NFTA_HOOK_PRIORITY, uint32(priority))
	})
	return m.big(unix.NFTA_CHAIN_POLICY, 1).text(unix.NFTA_CHAIN_TYPE, kind)
}

// branch makes a chain that only other chains lead to.
func branch(table, name string) *message {
	m := nft("add chain "+name, unix.NFT_MSG_NEWCHAIN, create, unix.NFPROTO_INET)
	return m.text(unix.NFTA_CHAIN_TABLE, table).text(unix.NFTA_CHAIN_NAME, name)
}

// rule adds a rule at the end of a chain of any family.
func rule(family byte, table, chain, comment string, expressions ...expression) *message {
	m := nft("add rule to "+chain, unix.NFT_MSG_NEWRULE, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_APPEND, family)
	m.text(unix.NFTA_RULE_TABLE, table).text(unix.NFTA_RULE_CHAIN, chain)
	m.nest(unix.NFTA_RULE_EXPRESSIONS, func() {
		for _, e := range expressions {
			m.nest(unix.NFTA_LIST_ELEM, func() { e(m) })
		}
	})
	return m.bytes(unix.NFTA_RULE_USERDATA, userdata(comment)...)
}

// before puts a rule before the one with a handle, instead of at the end.
func (m *message) before(handle []byte) *message {
	binary.NativeEndian.PutUint16(m.b[6:], m.flags()&^unix.NLM_F_APPEND)
	return m.bytes(unix.NFTA_RULE_POSITION, handle...)
}

// userdata is a comment as the nft program would store it.
func userdata(comment string) []byte {
	return append(append([]byte{commentType, byte(len(comment) + 1)}, comment...), 0)
}

// set makes a set of keys of a type and length. A dynamic one is filled by rules.
func set(table, name string, id, keyType, keyLength uint32, dynamic bool) *message {
	m := nft("add set "+name, unix.NFT_MSG_NEWSET, create, unix.NFPROTO_INET)
	m.text(unix.NFTA_SET_TABLE, table).text(unix.NFTA_SET_NAME, name)
	flags := uint32(0)
	if dynamic {
		flags = unix.NFT_SET_EVAL
	}
	m.big(unix.NFTA_SET_FLAGS, flags).big(unix.NFTA_SET_KEY_TYPE, keyType).big(unix.NFTA_SET_KEY_LEN, keyLength).big(unix.NFTA_SET_ID, id)
	if dynamic {
		m.nest(unix.NFTA_SET_DESC, func() { m.big(unix.NFTA_SET_DESC_SIZE, 65535) })
	}
	return m
}

// elements fills a set.
func elements(table, name string, id uint32, keys [][]byte) *message {
	m := nft("fill set "+name, unix.NFT_MSG_NEWSETELEM, create, unix.NFPROTO_INET)
	m.text(unix.NFTA_SET_ELEM_LIST_TABLE, table).text(unix.NFTA_SET_ELEM_LIST_SET, name).big(unix.NFTA_SET_ELEM_LIST_SET_ID, id)
	return m.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
		for _, k := range keys {
			m.nest(unix.NFTA_LIST_ELEM, func() {
				m.nest(unix.NFTA_SET_ELEM_KEY, func() { m.bytes(unix.NFTA_DATA_VALUE, k...) })
			})
		}
	})
}

// deleteTable removes a table with all that is in it.
func deleteTable(name string) *message {
	m := nft("delete table "+name, unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, unix.NFPROTO_INET)
	return m.text(unix.NFTA_TABLE_NAME, name)
}

// expression writes one step of a rule.
type expression func(m *message)

// step is an expression with a name and arguments.
func step(name string, fill func(m *message)) expression {
	return func(m *message) {
		m.text(unix.NFTA_EXPR_NAME, name)
		m.nest(unix.NFTA_EXPR_DATA, func() { fill(m) })
	}
}

// meta loads a property of the packet into register 1.
func meta(key uint32) expression {
	return step("meta", func(m *message) { m.big(unix.NFTA_META_DREG, unix.NFT_REG_1).big(unix.NFTA_META_KEY, key) })
}

// compare goes on only when register 1 begins, or does not begin, with data.
func compare(op uint32, data ...byte) expression {
	return step("cmp", func(m *message) {
		m.big(unix.NFTA_CMP_SREG, unix.NFT_REG_1).big(unix.NFTA_CMP_OP, op)
		m.nest(unix.NFTA_CMP_DATA, func() { m.bytes(unix.NFTA_DATA_VALUE, data...) })
	})
}

// masked keeps the bits of mask in register 1.
func masked(mask ...byte) expression {
	return step("bitwise", func(m *message) {
		m.big(unix.NFTA_BITWISE_SREG, unix.NFT_REG_1).big(unix.NFTA_BITWISE_DREG, unix.NFT_REG_1).big(unix.NFTA_BITWISE_LEN, uint32(len(mask)))
		m.nest(unix.NFTA_BITWISE_MASK, func() { m.bytes(unix.NFTA_DATA_VALUE, mask...) })
		m.nest(unix.NFTA_BITWISE_XOR, func() { m.bytes(unix.NFTA_DATA_VALUE, make([]byte, len(mask))...) })
	})
}

// fib asks the routing table about an address of the packet.
func fib(flags, result uint32) expression {
	return step("fib", func(m *message) {
		m.big(unix.NFTA_FIB_DREG, unix.NFT_REG_1).big(unix.NFTA_FIB_RESULT, result).big(unix.NFTA_FIB_FLAGS, flags)
	})
}

// header loads bytes of the packet's network header into register 1.
func header(offset, length uint32) expression {
	return step("payload", func(m *message) {
		m.big(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1).big(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
		m.big(unix.NFTA_PAYLOAD_OFFSET, offset).big(unix.NFTA_PAYLOAD_LEN, length)
	})
}

// inSet goes on only when register 1 is in a set.
func inSet(name string, id uint32) expression {
	return step("lookup", func(m *message) {
		m.text(unix.NFTA_LOOKUP_SET, name).big(unix.NFTA_LOOKUP_SET_ID, id).big(unix.NFTA_LOOKUP_SREG, unix.NFT_REG_1)
	})
}

// moreThan goes on only when more than limit connections are tracked for the key in
// register 1.
func moreThan(limit uint32, name string, id uint32) expression {
	return step("dynset", func(m *message) {
		m.text(unix.NFTA_DYNSET_SET_NAME, name).big(unix.NFTA_DYNSET_SET_ID, id)
		m.big(unix.NFTA_DYNSET_OP, unix.NFT_DYNSET_OP_ADD).big(unix.NFTA_DYNSET_SREG_KEY, unix.NFT_REG_1)
		m.nest(unix.NFTA_DYNSET_EXPR, func() {
			step("connlimit", func(m *message) { m.big(connlimitCount, limit).big(connlimitFlags, connlimitOver) })(m)
		})
	})
}

// end steps of rules.
var (
	count      = step("counter", func(*message) {})
	masquerade = step("masq", func(*message) {})
	drop       = decide(0)
	accept     = decide(1)
	// reset ends a TCP connect at once.
	reset = step("reject", func(m *message) { m.big(unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_TCP_RST) })
	// refuse answers "prohibited". A TCP socket that is just connecting does not obey
	// it before a second has passed, because here the answer comes too early.
	refuse = step("reject", func(m *message) {
		m.big(unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_ICMPX_UNREACH).u8(unix.NFTA_REJECT_ICMP_CODE, unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED)
	})
)

// decide ends the chain with a verdict: 0 drops, 1 accepts.
func decide(code uint32) expression {
	return verdictStep(func(m *message) { m.big(unix.NFTA_VERDICT_CODE, code) })
}

// jump goes on with another chain of the table.
func jump(chain string) expression {
	return verdictStep(func(m *message) {
		code := int32(unix.NFT_JUMP)
		m.big(unix.NFTA_VERDICT_CODE, uint32(code)).text(unix.NFTA_VERDICT_CHAIN, chain)
	})
}

// verdictStep says how to go on.
func verdictStep(fill func(m *message)) expression {
	return step("immediate", func(m *message) {
		m.big(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		m.nest(unix.NFTA_IMMEDIATE_DATA, func() {
			m.nest(unix.NFTA_DATA_VERDICT, func() { fill(m) })
		})
	})
}

// device compares the name of the interface that key asks for.
func device(key uint32, op uint32, name string) []expression {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expression{meta(key), compare(op, padded...)}
}

// state goes on only when the connection is in one of the states (or, with not, in
// none of them).
func state(bits uint32, not bool) []expression {
	op := uint32(unix.NFT_CMP_NEQ)
	if not {
		op = unix.NFT_CMP_EQ
	}
	return []expression{
		step("ct", func(m *message) { m.big(unix.NFTA_CT_DREG, unix.NFT_REG_1).big(unix.NFTA_CT_KEY, unix.NFT_CT_STATE) }),
		masked(binary.NativeEndian.AppendUint32(nil, bits)...),
		compare(op, 0, 0, 0, 0),
	}
}

// protocol goes on only for packets of an address family.
func protocol(family byte) []expression {
	return []expression{meta(unix.NFT_META_NFPROTO), compare(unix.NFT_CMP_EQ, family)}
}

// join puts steps in a row.
func join(parts ...any) []expression {
	var all []expression
	for _, p := range parts {
		switch p := p.(type) {
		case expression:
			all = append(all, p)
		case []expression:
			all = append(all, p...)
		}
	}
	return all
}
