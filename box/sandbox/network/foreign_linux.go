package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A chain of somebody else that drops what it does not know, by its policy or by its
// last rule, as firewalls and container tools set it up for forwarded packets, drops
// an environment's packets too: in netfilter every chain has a veto. Kiln adds to
// such a chain, at the end or before that last rule, two rules that accept what comes
// from and goes to its one interface. All other rules of the chain are asked first.
// The two carry the owner in their comment, by which they are found again.

// foreignChain is a chain of somebody else.
type foreignChain struct {
	family      byte
	table, name string
}

// foreignComment marks the rules of an owner.
func foreignComment(owner string) string { return "kiln " + owner }

// forwardChains lists the chains for forwarded packets, except those of kiln's own
// tables, and says of each whether its policy drops.
func (s *socket) forwardChains(ownTable string) (map[foreignChain]bool, error) {
	chains := map[foreignChain]bool{}
	err := s.ask(nft("list chains", unix.NFT_MSG_GETCHAIN, unix.NLM_F_DUMP, unix.NFPROTO_UNSPEC), func(_ uint16, body []byte) error {
		if len(body) < 4 {
			return nil
		}
		c := foreignChain{family: body[0]}
		hook, policy := uint32(unix.NF_INET_NUMHOOKS), uint32(1)
		attributes(body[4:], func(kind uint16, data []byte) {
			switch kind {
			case unix.NFTA_CHAIN_TABLE:
				c.table = unix.ByteSliceToString(data)
			case unix.NFTA_CHAIN_NAME:
				c.name = unix.ByteSliceToString(data)
			case unix.NFTA_CHAIN_POLICY:
				policy = number(data)
			case unix.NFTA_CHAIN_HOOK:
				hook = number(attribute(data, unix.NFTA_HOOK_HOOKNUM))
			}
		})
		ip := c.family == unix.NFPROTO_IPV4 || c.family == unix.NFPROTO_IPV6 || c.family == unix.NFPROTO_INET
		if ip && hook == unix.NF_INET_FORWARD && c.table != ownTable {
			chains[c] = policy == 0
		}
		return nil
	})
	return chains, err
}

// number reads a number in the byte order of the network; what is none is -1.
func number(data []byte) uint32 {
	if len(data) != 4 {
		return ^uint32(0)
	}
	return binary.BigEndian.Uint32(data)
}

// foreignRule is a rule in a chain of somebody else.
type foreignRule struct {
	foreignChain
	handle  []byte
	ours    bool // it carries the owner's comment
	refuses bool // it drops or rejects every packet
}

// foreignRules lists all rules, those of a chain in their order.
func (s *socket) foreignRules(owner string) ([]foreignRule, error) {
	mark := userdata(foreignComment(owner))
	var list []foreignRule
	err := s.ask(nft("list rules", unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, unix.NFPROTO_UNSPEC), func(_ uint16, body []byte) error {
		if len(body) < 4 {
			return nil
		}
		r := foreignRule{foreignChain: foreignChain{family: body[0]}}
		attributes(body[4:], func(kind uint16, data []byte) {
			switch kind {
			case unix.NFTA_RULE_TABLE:
				r.table = unix.ByteSliceToString(data)
			case unix.NFTA_RULE_CHAIN:
				r.name = unix.ByteSliceToString(data)
			case unix.NFTA_RULE_HANDLE:
				r.handle = bytes.Clone(data)
			case unix.NFTA_RULE_USERDATA:
				r.ours = bytes.Equal(data, mark)
			case unix.NFTA_RULE_EXPRESSIONS:
				r.refuses = refusesAll(data)
			}
		})
		list = append(list, r)
		return nil
	})
	return list, err
}

// refusesAll says whether the steps of a rule drop or reject whatever comes.
func refusesAll(expressions []byte) bool {
	refuses, condition := false, false
	attributes(expressions, func(_ uint16, e []byte) {
		data := attribute(e, unix.NFTA_EXPR_DATA)
		switch unix.ByteSliceToString(attribute(e, unix.NFTA_EXPR_NAME)) {
		case "counter", "log":
		case "reject":
			refuses = true
		case "target": // of iptables
			name := unix.ByteSliceToString(attribute(data, unix.NFTA_TARGET_NAME))
			refuses = refuses || name == "REJECT" || name == "DROP"
			condition = condition || name != "REJECT" && name != "DROP" && name != "LOG"
		case "immediate":
			verdict := attribute(attribute(data, unix.NFTA_IMMEDIATE_DATA), unix.NFTA_DATA_VERDICT)
			drops := number(attribute(verdict, unix.NFTA_VERDICT_CODE)) == 0
			refuses, condition = refuses || drops, condition || !drops
		default:
			condition = true
		}
	})
	return refuses && !condition
}

// openForeign adds the two rules to every chain that needs them and has not both.
func openForeign(s *socket, p plan, owner string) (added int, err error) {
	chains, err := s.forwardChains(p.table)
	if err != nil || len(chains) == 0 {
		return 0, err
	}
	rules, err := s.foreignRules(owner)
	if err != nil {
		return 0, err
	}
	ours, last := map[foreignChain][]foreignRule{}, map[foreignChain]foreignRule{}
	for _, r := range rules {
		if r.ours {
			ours[r.foreignChain] = append(ours[r.foreignChain], r)
		}
		last[r.foreignChain] = r
	}
	var errs []error
	for c, drops := range chains {
		if !drops && !last[c].refuses || len(ours[c]) >= 2 {
			continue
		}
		var changes []*message
		for _, r := range ours[c] {
			changes = append(changes, deleteForeign(r))
		}
		for _, key := range []uint32{unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME} {
			// The shape in which iptables itself writes "-i name -j ACCEPT", so that it
			// can show it.
			name := append([]byte(p.device), 0)
			m := rule(c.family, c.table, c.name, foreignComment(owner), meta(key), compare(unix.NFT_CMP_EQ, name...), count, accept)
			if last[c].refuses {
				m.before(last[c].handle)
			}
			changes = append(changes, m)
		}
		// Each on its own: a chain may be gone by now, or belong to a program that
		// locked it.
		if err := s.do(batch(changes...)...); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("chain %s of table %s drops what environments send, and cannot be changed; let interface %s be forwarded there: %w", c.name, c.table, p.device, err))
			continue
		}
		added++
	}
	return added, errors.Join(errs...)
}

// deleteForeign removes one rule.
func deleteForeign(r foreignRule) *message {
	m := nft("delete rule of "+r.name, unix.NFT_MSG_DELRULE, unix.NLM_F_ACK, r.family)
	return m.text(unix.NFTA_RULE_TABLE, r.table).text(unix.NFTA_RULE_CHAIN, r.name).bytes(unix.NFTA_RULE_HANDLE, r.handle...)
}

// closeForeign removes all rules of an owner from others' tables.
func closeForeign(s *socket, owner string) error {
	rules, err := s.foreignRules(owner)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rules {
		if !r.ours {
			continue
		}
		if err := s.do(batch(deleteForeign(r))...); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
