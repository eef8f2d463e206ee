package network

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is one netlink request while it is written.
type message struct {
	b    []byte
	what string // for an error: "add route"
}

// request begins a message of a kind with a fixed header behind the netlink one.
func request(what string, kind uint16, flags uint16, header ...byte) *message {
	m := &message{b: make([]byte, unix.SizeofNlMsghdr, 256), what: what}
	binary.NativeEndian.PutUint16(m.b[4:], kind)
	binary.NativeEndian.PutUint16(m.b[6:], unix.NLM_F_REQUEST|flags)
	m.b = append(m.b, header...)
	m.pad()
	return m
}

// pad fills up to the next multiple of four.
func (m *message) pad() {
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

// bytes adds an attribute.
func (m *message) bytes(kind uint16, data ...byte) *message {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(4+len(data)))
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.b = append(m.b, data...)
	m.pad()
	return m
}

// text adds a string that ends with a zero.
func (m *message) text(kind uint16, s string) *message {
	return m.bytes(kind, append([]byte(s), 0)...)
}

// u8, u32 and big add a number; big has the byte order of the network.
func (m *message) u8(kind uint16, n uint8) *message { return m.bytes(kind, n) }
func (m *message) u32(kind uint16, n uint32) *message {
	return m.bytes(kind, binary.NativeEndian.AppendUint32(nil, n)...)
}
func (m *message) big(kind uint16, n uint32) *message {
	return m.bytes(kind, binary.BigEndian.AppendUint32(nil, n)...)
}

// nest adds an attribute that is made of what fill adds.
func (m *message) nest(kind uint16, fill func()) *message {
	at := len(m.b)
	m.bytes(kind | unix.NLA_F_NESTED)
	fill()
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
	return m
}

// raw adds bytes as they are: the header of a nested message.
func (m *message) raw(data []byte) *message {
	m.b = append(m.b, data...)
	m.pad()
	return m
}

// flags reads the flags of the finished message.
func (m *message) flags() uint16 { return binary.NativeEndian.Uint16(m.b[6:]) }

// attributes walks the attributes of a body and gives each to f.
func attributes(body []byte, f func(kind uint16, data []byte)) {
	for len(body) >= 4 {
		n := int(binary.NativeEndian.Uint16(body))
		if n < 4 || n > len(body) {
			return
		}
		f(binary.NativeEndian.Uint16(body[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), body[4:n])
		n = (n + 3) &^ 3
		if n >= len(body) {
			return
		}
		body = body[n:]
	}
}

// attribute gives the data of the first attribute of a kind, or nil.
func attribute(body []byte, kind uint16) (data []byte) {
	attributes(body, func(k uint16, d []byte) {
		if k == kind && data == nil {
			data = d
		}
	})
	return data
}

// socket is a netlink conversation with the kernel in the network where it was
// opened, wherever its user is now. One request at a time.
type socket struct {
	fd   int
	turn chan struct{}
	seq  uint32
}

// openSocket opens a conversation in the calling thread's network.
func openSocket(protocol int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	s := &socket{fd: fd, turn: make(chan struct{}, 1)}
	// The kernel answers before sendmsg returns; the limit is for a kernel gone wrong.
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return s, nil
}

// close ends the conversation.
func (s *socket) close() error {
	s.turn <- struct{}{} // nobody follows
	return unix.Close(s.fd)
}

// do sends messages in one go. It returns when the kernel has acted on all of them;
// later ones are acted on although an earlier one was refused, except in a batch
// of nftables, which is all or nothing.
func (s *socket) do(messages ...*message) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	first, want := s.seq+1, 0
	var out []byte
	for _, m := range messages {
		s.seq++
		binary.NativeEndian.PutUint32(m.b, uint32(len(m.b)))
		binary.NativeEndian.PutUint32(m.b[8:], s.seq)
		if m.flags()&unix.NLM_F_ACK != 0 {
			want++
		}
		out = append(out, m.b...)
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	var errs []error
	var buf [4 << 10]byte
	for want > 0 {
		end := false
		err := s.receive(buf[:], func(h unix.NlMsghdr, body []byte) error {
			if h.Type != unix.NLMSG_ERROR || h.Seq < first || h.Seq > s.seq {
				return nil
			}
			m := messages[h.Seq-first]
			if err := verdict(h, body); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", m.what, err))
			}
			if m.flags()&unix.NLM_F_ACK == 0 {
				end = true // the batch as a whole was refused
			}
			want--
			return nil
		})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if end {
			break
		}
	}
	return errors.Join(errs...)
}

// ask asks for one thing (with the flag ACK) or for a list (with the flag DUMP), and
// gives the body of each, behind the netlink header, to each.
func (s *socket) ask(m *message, each func(kind uint16, body []byte) error) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.seq++
	binary.NativeEndian.PutUint32(m.b, uint32(len(m.b)))
	binary.NativeEndian.PutUint32(m.b[8:], s.seq)
	if err := unix.Sendto(s.fd, m.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("%s: %w", m.what, err)
	}
	var failed error
	buf := make([]byte, 64<<10)
	for done := false; !done; {
		err := s.receive(buf, func(h unix.NlMsghdr, body []byte) error {
			if h.Seq != s.seq {
				return nil
			}
			switch {
			case h.Type == unix.NLMSG_DONE:
				done = true
			case h.Type == unix.NLMSG_ERROR:
				done = true
				failed = verdict(h, body)
			case h.Flags&unix.NLM_F_DUMP_INTR != 0 && failed == nil:
				failed = unix.EINTR
			case failed == nil:
				failed = each(h.Type, body)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
	}
	if failed != nil {
		return fmt.Errorf("%s: %w", m.what, failed)
	}
	return nil
}

// receive reads what the kernel has to say and gives each message to each.
func (s *socket) receive(buf []byte, each func(h unix.NlMsghdr, body []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, buf, 0)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(s.fd, buf, 0)
	}
	if err != nil {
		return fmt.Errorf("hear the kernel: %w", err)
	}
	return split(buf[:n], each)
}

// split gives each message of a datagram to each.
func split(b []byte, each func(h unix.NlMsghdr, body []byte) error) error {
	for len(b) >= unix.SizeofNlMsghdr {
		h := unix.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(b),
			Type:  binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]),
			Seq:   binary.NativeEndian.Uint32(b[8:]),
			Pid:   binary.NativeEndian.Uint32(b[12:]),
		}
		if h.Len < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
			return errors.New("the kernel sent half a message")
		}
		if err := each(h, b[unix.SizeofNlMsghdr:h.Len]); err != nil {
			return err
		}
		b = b[min(len(b), int(h.Len+3)&^3):]
	}
	return nil
}

// verdict is the error in an answer of the kernel, with its own words where it
// gave some, or nil.
func verdict(h unix.NlMsghdr, body []byte) error {
	if len(body) < 4 {
		return errors.New("the kernel sent half an answer")
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code == 0 {
		return nil
	}
	errno := unix.Errno(-code)
	const echoed = 4 + unix.SizeofNlMsghdr // the refused message's header, alone with CAP_ACK
	if h.Flags&unix.NLM_F_ACK_TLVS != 0 && h.Flags&unix.NLM_F_CAPPED != 0 && len(body) > echoed {
		if words := attribute(body[echoed:], unix.NLMSGERR_ATTR_MSG); len(words) > 1 {
			return fmt.Errorf("%w (%s)", errno, words[:len(words)-1])
		}
	}
	return errno
}
