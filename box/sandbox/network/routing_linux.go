package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	vethPeer = 1 // VETH_INFO_PEER
	create   = unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL
	upFlag   = unix.IFF_UP
	operUp   = 6 // IF_OPER_UP
	// skipStatistics spares counters that nobody reads.
	skipStatistics = 8 // RTEXT_FILTER_SKIP_STATS
)

// end is one end of a virtual cable.
type end struct {
	name  string
	index int // chosen by us, so that later messages need no answer first
	ns    int // descriptor of its network; -1 is the one of the socket
	mac   [6]byte
}

// linkHeader is struct ifinfomsg.
func linkHeader(index int, flags, change uint32) []byte {
	h := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	binary.NativeEndian.PutUint32(h[8:], flags)
	binary.NativeEndian.PutUint32(h[12:], change)
	return h
}

// addCable makes a pair of virtual interfaces, each with one queue: more would cost
// memory on machines with many processors. Both ends are down.
func addCable(near, far end, mtu int) *message {
	m := request("make virtual cable "+near.name, unix.RTM_NEWLINK, create, linkHeader(near.index, 0, 0)...)
	describe := func(e end) {
		m.text(unix.IFLA_IFNAME, e.name).bytes(unix.IFLA_ADDRESS, e.mac[:]...)
		m.u32(unix.IFLA_MTU, uint32(mtu)).u32(unix.IFLA_NUM_TX_QUEUES, 1).u32(unix.IFLA_NUM_RX_QUEUES, 1)
		if e.ns >= 0 {
			m.u32(unix.IFLA_NET_NS_FD, uint32(e.ns))
		}
	}
	describe(near)
	return m.nest(unix.IFLA_LINKINFO, func() {
		m.text(unix.IFLA_INFO_KIND, "veth")
		m.nest(unix.IFLA_INFO_DATA, func() {
			m.nest(vethPeer, func() {
				m.raw(linkHeader(far.index, 0, 0))
				describe(far)
			})
		})
	})
}

// deleteLink removes an interface, and with it the other end of its cable.
func deleteLink(index int) *message {
	return request("remove interface", unix.RTM_DELLINK, unix.NLM_F_ACK, linkHeader(index, 0, 0)...)
}

// moveToGroup puts an interface into a numbered group.
func moveToGroup(index int, group uint32) *message {
	m := request("move interface", unix.RTM_NEWLINK, unix.NLM_F_ACK, linkHeader(index, 0, 0)...)
	return m.u32(unix.IFLA_GROUP, group)
}

// deleteGroup removes all interfaces of a group at once, which costs hardly more than
// one.
func deleteGroup(group uint32) *message {
	m := request("remove interfaces", unix.RTM_DELLINK, unix.NLM_F_ACK, linkHeader(0, 0, 0)...)
	return m.u32(unix.IFLA_GROUP, group)
}

// raiseLink brings an interface up.
func raiseLink(index int) *message {
	return request("bring interface up", unix.RTM_NEWLINK, unix.NLM_F_ACK, linkHeader(index, upFlag, upFlag)...)
}

// withoutAutomatic tells an interface not to give itself an IPv6 address.
func withoutAutomatic(index int) *message {
	m := request("keep IPv6 addresses manual", unix.RTM_SETLINK, unix.NLM_F_ACK, linkHeader(index, 0, 0)...)
	return m.nest(unix.IFLA_AF_SPEC, func() {
		m.nest(unix.AF_INET6, func() { m.u8(unix.IFLA_INET6_ADDR_GEN_MODE, 1) })
	})
}

// family is the address family of an address.
func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addAddress gives an interface an address; nobody is asked whether it is free.
func addAddress(index int, p netip.Prefix) *message {
	h := make([]byte, unix.SizeofIfAddrmsg)
	h[0], h[1], h[2] = family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	a := p.Addr().AsSlice()
	return request("add address "+p.String(), unix.RTM_NEWADDR, create, h...).bytes(unix.IFA_LOCAL, a...).bytes(unix.IFA_ADDRESS, a...)
}

// addRoute sends what goes to a prefix out of an interface, through a neighbour
// unless via is the zero address. The neighbour need not be in any prefix of the
// interface.
func addRoute(to netip.Prefix, via netip.Addr, index int) *message {
	h := routeHeader(to, unix.RTN_UNICAST)
	if via.IsValid() {
		binary.NativeEndian.PutUint32(h[8:], unix.RTNH_F_ONLINK)
	} else if to.Addr().Is4() {
		h[6] = unix.RT_SCOPE_LINK
	}
	m := request("add route to "+to.String(), unix.RTM_NEWROUTE, create, h...)
	if to.Bits() > 0 {
		m.bytes(unix.RTA_DST, to.Addr().AsSlice()...)
	}
	if via.IsValid() {
		m.bytes(unix.RTA_GATEWAY, via.AsSlice()...)
	}
	return m.u32(unix.RTA_OIF, uint32(index))
}

// addLocal makes packets for an address the network's own at once. The kernel does it
// by itself for a new IPv6 address, but later, and drops what comes before.
func addLocal(a netip.Addr, index int) *message {
	h := routeHeader(single(a), unix.RTN_LOCAL)
	h[4], h[6] = unix.RT_TABLE_LOCAL, unix.RT_SCOPE_HOST
	m := request("add local route to "+a.String(), unix.RTM_NEWROUTE, create, h...)
	return m.bytes(unix.RTA_DST, a.AsSlice()...).u32(unix.RTA_OIF, uint32(index))
}

// deleteRoute removes the route that addRoute made.
func deleteRoute(to netip.Prefix, index int) *message {
	m := request("delete route to "+to.String(), unix.RTM_DELROUTE, unix.NLM_F_ACK, routeHeader(to, unix.RTN_UNICAST)...)
	if to.Addr().Is4() {
		m.b[unix.SizeofNlMsghdr+6] = unix.RT_SCOPE_NOWHERE // any
	}
	return m.bytes(unix.RTA_DST, to.Addr().AsSlice()...).u32(unix.RTA_OIF, uint32(index))
}

// routeHeader is struct rtmsg.
func routeHeader(to netip.Prefix, kind byte) []byte {
	h := make([]byte, unix.SizeofRtMsg)
	h[0], h[1] = family(to.Addr()), byte(to.Bits())
	h[4], h[5], h[6], h[7] = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, kind
	return h
}

// addNeighbour says for good which hardware address a neighbour has. Permanent
// entries do not count against the host's limit of neighbours, and nobody has to ask.
func addNeighbour(index int, a netip.Addr, mac [6]byte) *message {
	h := make([]byte, unix.SizeofNdMsg)
	h[0] = family(a)
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	binary.NativeEndian.PutUint16(h[8:], unix.NUD_PERMANENT)
	return request("add neighbour "+a.String(), unix.RTM_NEWNEIGH, create, h...).bytes(unix.NDA_DST, a.AsSlice()...).bytes(unix.NDA_LLADDR, mac[:]...)
}

// netInterface is what the kernel says of an interface.
type netInterface struct {
	index int
	name  string
	kind  string // "veth", "bridge", … or "" for hardware
	mtu   int
	up    bool
	ready bool // the kernel sends through it
}

// parseInterface reads what the kernel says of an interface.
func parseInterface(body []byte) (netInterface, bool) {
	if len(body) < unix.SizeofIfInfomsg {
		return netInterface{}, false
	}
	l := netInterface{
		index: int(binary.NativeEndian.Uint32(body[4:])),
		up:    binary.NativeEndian.Uint32(body[8:])&upFlag != 0,
	}
	attributes(body[unix.SizeofIfInfomsg:], func(kind uint16, data []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(data)
		case unix.IFLA_MTU:
			if len(data) == 4 {
				l.mtu = int(binary.NativeEndian.Uint32(data))
			}
		case unix.IFLA_OPERSTATE:
			l.ready = len(data) == 1 && data[0] == operUp
		case unix.IFLA_LINKINFO:
			l.kind = unix.ByteSliceToString(attribute(data, unix.IFLA_INFO_KIND))
		}
	})
	return l, true
}

// interfaces lists those of the socket's network.
func (s *socket) interfaces() ([]netInterface, error) {
	var list []netInterface
	m := request("list interfaces", unix.RTM_GETLINK, unix.NLM_F_DUMP, linkHeader(0, 0, 0)...)
	err := s.ask(m, func(kind uint16, body []byte) error {
		if l, ok := parseInterface(body); ok && kind == unix.RTM_NEWLINK {
			list = append(list, l)
		}
		return nil
	})
	return list, err
}

// ready waits until the kernel sends through an interface that has just come up. It
// throws packets away before, so that the first one would be sent again only after a
// second. Newer kernels make it ready when they are asked.
func (s *socket) ready(index int) error {
	for range 200 {
		var l netInterface
		m := request("look at interface", unix.RTM_GETLINK, unix.NLM_F_ACK, linkHeader(index, 0, 0)...).u32(unix.IFLA_EXT_MASK, skipStatistics)
		err := s.ask(m, func(kind uint16, body []byte) error {
			if kind == unix.RTM_NEWLINK {
				l, _ = parseInterface(body)
			}
			return nil
		})
		if err != nil || l.ready {
			return err
		}
		time.Sleep(time.Millisecond) // the kernel is about to do it and tells nobody
	}
	return errors.New("an interface does not become ready")
}

// route is one entry of a routing table.
type route struct {
	to    netip.Prefix
	index int // of the interface, 0 when it has several
	kind  byte
}

// routes lists the routes of all tables of the socket's network, addresses of the
// network itself among them.
func (s *socket) routes() ([]route, error) {
	var list []route
	m := request("list routes", unix.RTM_GETROUTE, unix.NLM_F_DUMP, make([]byte, unix.SizeofRtMsg)...)
	err := s.ask(m, func(kind uint16, body []byte) error {
		if kind != unix.RTM_NEWROUTE || len(body) < unix.SizeofRtMsg {
			return nil
		}
		r := route{kind: body[7]}
		switch body[0] {
		case unix.AF_INET:
			r.to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		case unix.AF_INET6:
			r.to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		default:
			return nil
		}
		attributes(body[unix.SizeofRtMsg:], func(kind uint16, data []byte) {
			switch kind {
			case unix.RTA_DST:
				if a, ok := netip.AddrFromSlice(data); ok {
					r.to = netip.PrefixFrom(a, int(body[1]))
				}
			case unix.RTA_OIF:
				if len(data) == 4 {
					r.index = int(binary.NativeEndian.Uint32(data))
				}
			case unix.RTA_MULTIPATH: // struct rtnexthop: the first one stands for all
				if len(data) >= 8 {
					r.index = int(binary.NativeEndian.Uint32(data[4:]))
				}
			}
		})
		list = append(list, r)
		return nil
	})
	return list, err
}
