package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forge sends datagrams in the name of others, and tries to become another. Reads Dial
// (the first is where to; the others are addresses to send from), Text, Hold (change its
// interfaces, too).
func forge(e *event, r *report) {
	to := netip.MustParseAddrPort(e.Dial[0])
	target := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	udp := func(then func(fd int) error) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return then(fd)
	}
	for i, text := range e.Dial[1:] {
		from := netip.MustParseAddr(text).As4()
		say := func(how string) []byte { return fmt.Appendf(nil, "%s %s %d", e.Text, how, i) }
		for how, option := range map[string]int{"free": unix.IP_FREEBIND, "transparent": unix.IP_TRANSPARENT} {
			r.tried(how+" "+text, udp(func(fd int) error {
				if err := unix.SetsockoptInt(fd, unix.SOL_IP, option, 1); err != nil {
					return err
				}
				if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from}); err != nil {
					return err
				}
				return unix.Sendto(fd, say(how), 0, target)
			}))
		}
		r.tried("packet "+text, udp(func(fd int) error {
			return unix.Sendmsg(fd, say("packet"), unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: from}), target, 0)
		}))
		r.tried("raw "+text, rawPacket(from, to, say("raw")))
	}
	links, err := net.Interfaces()
	r.tried("wanted interfaces", err)
	for _, l := range links {
		if l.Name == "lo" || !e.Hold {
			continue
		}
		for what, call := range map[string]uint{"hardware": unix.SIOCSIFHWADDR, "address": unix.SIOCSIFADDR, "down": unix.SIOCSIFFLAGS} {
			request := struct {
				name   [unix.IFNAMSIZ]byte
				family uint16
				value  [22]byte
			}{family: unix.AF_INET, value: [22]byte{2, 0, 198, 51, 100, 99}}
			copy(request.name[:], l.Name)
			r.tried(what+" of "+l.Name, udp(func(fd int) error {
				return raw(unix.SYS_IOCTL, uintptr(fd), uintptr(call), uintptr(unsafe.Pointer(&request)))
			}))
		}
	}
	// To everybody at once: it may be sent, and nobody may hear it.
	for _, all := range [][4]byte{{255, 255, 255, 255}, {224, 0, 0, 251}} {
		r.Texts[fmt.Sprint(all)] = word(udp(func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
				return err
			}
			return unix.Sendto(fd, []byte(e.Text+" all"), 0, &unix.SockaddrInet4{Port: int(to.Port()), Addr: all})
		}))
	}
	// In its own name.
	r.tried("wanted own", udp(func(fd int) error { return unix.Sendto(fd, []byte(e.Text+" own"), 0, target) }))
}

// rawPacket sends a datagram whose head is made by hand.
func rawPacket(from [4]byte, to netip.AddrPort, text []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	p = append(p, from[:]...)
	target := to.Addr().As4()
	p = append(p, target[:]...)
	p = binary.BigEndian.AppendUint16(p, 4444)
	p = binary.BigEndian.AppendUint16(p, to.Port())
	p = binary.BigEndian.AppendUint16(p, uint16(8+len(text)))
	p = append(append(p, 0, 0), text...)
	return unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: target})
}
