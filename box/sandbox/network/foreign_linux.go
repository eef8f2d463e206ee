package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A chain of somebody else that drops what it does not know, as firewalls and
// container tools set it up for forwarded packets, drops an environment's packets
// too: in netfilter every chain has a veto. foreign adds, at the end of such a
// chain, two rules that accept what goes to and comes from kiln's one interface.
// All rules of the chain itself are asked first. The rules carry the owner in
// their comment, by which they are found again.

// place of a chain.
type foreignChain struct {
	family      byte
	table, name string
}

// foreignComment marks the rules of an owner.
func foreignComment(owner string) string { return "kiln " + owner }

// forwardChains lists the chains for forwarded packets that drop by default, except
// those of kiln's own tables.
func (s *socket) forwardChains(ownTable string) ([]foreignChain, error) {
	var list []foreignChain
	err := s.dump(nft("list chains", unix.NFT_MSG_GETCHAIN, 0, unix.NFPROTO_UNSPEC), func(_ uint16, body []byte) error {
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
		if ip && hook == unix.NF_INET_FORWARD && policy == 0 && c.table != ownTable {
			list = append(list, c)
		}
		return nil
	})
	return list, err
}

// number reads a number in the byte order of the network; what is none is -1.
func number(data []byte) uint32 {
	if len(data) != 4 {
		return ^uint32(0)
	}
	return binary.BigEndian.Uint32(data)
}

// foreignRule is a rule of ours in a chain of somebody else.
type foreignRule struct {
	foreignChain
	handle []byte
}

// foreignRules finds the rules of an owner in others' tables.
func (s *socket) foreignRules(owner string) ([]foreignRule, error) {
	mark := userdata(foreignComment(owner))
	var list []foreignRule
	err := s.dump(nft("list rules", unix.NFT_MSG_GETRULE, 0, unix.NFPROTO_UNSPEC), func(_ uint16, body []byte) error {
		if len(body) < 4 || !bytes.Equal(attribute(body[4:], unix.NFTA_RULE_USERDATA), mark) {
			return nil
		}
		list = append(list, foreignRule{
			foreignChain: foreignChain{
				family: body[0],
				table:  unix.ByteSliceToString(attribute(body[4:], unix.NFTA_RULE_TABLE)),
				name:   unix.ByteSliceToString(attribute(body[4:], unix.NFTA_RULE_CHAIN)),
			},
			handle: bytes.Clone(attribute(body[4:], unix.NFTA_RULE_HANDLE)),
		})
		return nil
	})
	return list, err
}

// openForeign adds the two rules to every chain that needs them and has not both.
func openForeign(s *socket, p plan, owner string) (added int, err error) {
	chains, err := s.forwardChains(p.table)
	if err != nil || len(chains) == 0 {
		return 0, err
	}
	there, err := s.foreignRules(owner)
	if err != nil {
		return 0, err
	}
	have := map[foreignChain]int{}
	for _, r := range there {
		have[r.foreignChain]++
	}
	var errs []error
	for _, c := range chains {
		if have[c] >= 2 {
			continue
		}
		var changes []*message
		for _, r := range there {
			if r.foreignChain == c {
				changes = append(changes, deleteForeign(r))
			}
		}
		for _, key := range []uint32{unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME} {
			// The shape in which iptables itself writes "-i name -j ACCEPT", so that it
			// can show it.
			name := append([]byte(p.device), 0)
			steps := []expression{meta(key), compare(unix.NFT_CMP_EQ, name...), count, accept}
			changes = append(changes, rule(c.family, c.table, c.name, foreignComment(owner), steps...))
		}
		// Each on its own: a chain may be gone by now, or belong to a program that
		// locked it.
		if err := s.do(batch(changes...)...); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("chain %s of table %s drops what environments send: %w", c.name, c.table, err))
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
		if err := s.do(batch(deleteForeign(r))...); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
