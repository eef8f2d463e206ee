package network

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Numbers of the kernel's interface to tracked connections.
const (
	deleteConnections = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	tupleOriginal     = 1                                 // CTA_TUPLE_ORIG
	tupleAddresses    = 1                                 // CTA_TUPLE_IP
	tupleSource4      = 1                                 // CTA_IP_V4_SRC
	filterBy          = 25                                // CTA_FILTER
	filterOriginal    = 1                                 // CTA_FILTER_ORIG_FLAGS
	filterReply       = 2                                 // CTA_FILTER_REPLY_FLAGS
	filterSource      = 1                                 // CTA_FILTER_F_CTA_IP_SRC
	familyCounts      = 1                                 // a version above 0 says that the family is meant
)

// forgetConnections makes the host forget the connections that an earlier owner of an
// IPv4 address opened, so that nothing of theirs comes to the next one. A kernel
// before Linux 6.8 cannot select them and refuses; there they end by their own
// timeouts. For IPv6 the kernel selects all others instead of these (seen with Linux
// 6.18), so IPv6 addresses are never given twice.
func (n *Network) forgetConnections(v4 netip.Addr) error {
	m := request("forget connections of "+v4.String(), deleteConnections, unix.NLM_F_ACK, unix.AF_INET, familyCounts, 0, 0)
	m.nest(tupleOriginal, func() {
		m.nest(tupleAddresses, func() { m.bytes(tupleSource4, v4.AsSlice()...) })
	})
	m.nest(filterBy, func() { m.u32(filterOriginal, filterSource).u32(filterReply, 0) })
	err := n.firewall.do(m)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
