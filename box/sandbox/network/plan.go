package network

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// plan is which addresses and names one network uses. It is decided from the owner
// and from what the host uses already, and never changes.
type plan struct {
	v4, v6 netip.Prefix // of the environments; v6 is the zero prefix without IPv6
	device string       // the host's one interface
	table  string       // the host's one table of firewall rules
}

// The first addresses of a range belong to the cable between the host and the
// gateway; environments begin behind them.
const (
	hostPlace    = 1
	gatewayPlace = 2
	firstPlace   = 16
)

// spares are tried in turn when no range was configured: first the block that is
// set aside for tests of networks, which no network that works uses, then the
// private ones.
var spares = []netip.Prefix{
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
}

// spareBits is the size of a range that kiln picks: 16,384 addresses.
const spareBits = 18

// newPlan picks addresses that overlap none of taken, which are the host's routes
// without the default one.
func newPlan(owner string, configured netip.Prefix, taken []netip.Prefix, withV6 bool) (plan, error) {
	p := plan{device: deviceName(owner), table: "kiln_" + owner}
	if configured.IsValid() {
		for _, t := range taken {
			if t.Overlaps(configured) {
				return plan{}, fmt.Errorf("the range %s overlaps %s, which this host has a route to", configured, t)
			}
		}
		p.v4 = configured.Masked()
	} else if p.v4 = pick(owner, taken); !p.v4.IsValid() {
		return plan{}, ErrNoRange
	}
	if withV6 {
		p.v6 = localV6(owner)
		if slices.ContainsFunc(taken, p.v6.Overlaps) {
			return plan{}, fmt.Errorf("the range %s overlaps a route of this host", p.v6)
		}
	}
	return p, nil
}

// pick chooses a block that nothing uses, beginning at a place that differs from
// owner to owner.
func pick(owner string, taken []netip.Prefix) netip.Prefix {
	start := binary.BigEndian.Uint32(digest(owner, "range"))
	for _, spare := range spares {
		blocks := uint32(1) << (spareBits - spare.Bits())
		for i := range blocks {
			at := spare.Addr().As4()
			base := binary.BigEndian.Uint32(at[:]) + (start+i)%blocks<<(32-spareBits)
			binary.BigEndian.PutUint32(at[:], base)
			p := netip.PrefixFrom(netip.AddrFrom4(at), spareBits)
			if !slices.ContainsFunc(taken, p.Overlaps) {
				return p
			}
		}
	}
	return netip.Prefix{}
}

// localV6 is a unique local range of an owner.
func localV6(owner string) netip.Prefix {
	a := [16]byte{0xfd}
	copy(a[1:8], digest(owner, "v6"))
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// deviceName is the name of the host's interface: at most 15 bytes, so it can hold
// the owner only as a digest.
func deviceName(owner string) string {
	return "kiln-" + strings.ToLower(base32.StdEncoding.EncodeToString(digest(owner, "device"))[:10])
}

// digest gives bytes that depend on the owner and a purpose alone.
func digest(owner, purpose string) []byte {
	sum := sha256.Sum256([]byte(owner + "\x00" + purpose))
	return sum[:]
}

// places is how many environments the range has addresses for.
func (p plan) places() int {
	bits := 32 - p.v4.Bits()
	return 1<<bits - firstPlace - 1 // the last address would be a broadcast to some programs
}

// v4At gives the IPv4 address of a place.
func (p plan) v4At(place int) netip.Addr {
	a := p.v4.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(place))
	return netip.AddrFrom4(a)
}

// v6At gives the IPv6 address with a number, of which there are so many that none is
// given twice; the zero address without IPv6.
func (p plan) v6At(number uint64) netip.Addr {
	if !p.v6.IsValid() {
		return netip.Addr{}
	}
	b := p.v6.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], number)
	return netip.AddrFrom16(b)
}

// hardware is the hardware address of a place, which only the two ends of one cable
// ever see.
func hardware(place int) [6]byte {
	return [6]byte{0x02, 0x6b, byte(place >> 24), byte(place >> 16), byte(place >> 8), byte(place)}
}

// forbidden are destinations that no environment reaches, whatever the routes of the
// host say: this network, loopback, link-local with its metadata services,
// multicast, reserved; metadata services that sit elsewhere (Azure, Alibaba Cloud,
// Oracle Cloud; AWS, Google and Scaleway over IPv6); and IPv4 in the clothes of
// IPv6, through which the first ones could be reached again.
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("64:ff9b::a9fe:0/112"),
	netip.MustParsePrefix("2002:a9fe::/32"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("fd00:ec2::254/128"),
	netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("fd00:42::42/128"),
}
