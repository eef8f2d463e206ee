package main

import (
	"errors"
	"net/netip"
	"strings"
)

// networkRange reads "198.18.0.0/16".
func networkRange(c *config, s string) (err error) {
	c.NetworkRange = netip.Prefix{}
	if s == "auto" {
		return nil
	}
	c.NetworkRange, err = netip.ParsePrefix(s)
	if err != nil || !c.NetworkRange.Addr().Is4() || c.NetworkRange.Bits() < 8 || c.NetworkRange.Bits() > 28 || c.NetworkRange != c.NetworkRange.Masked() {
		return errors.New("a range of IPv4 addresses from /8 to /28 such as 10.99.0.0/16, or auto, is expected")
	}
	return nil
}

// networkDeny reads "10.0.0.0/8,192.0.2.7".
func networkDeny(c *config, s string) error {
	c.NetworkDeny = nil
	for _, text := range strings.Split(s, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			p, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || p != p.Masked() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
			return errors.New("addresses or ranges such as 10.0.0.0/8 or 2001:db8::/32, separated by commas, are expected")
		}
		c.NetworkDeny = append(c.NetworkDeny, p)
	}
	return nil
}
