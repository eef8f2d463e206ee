package network

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// forwarder asks the host's resolvers, from the host's network.
type forwarder struct {
	resolvers resolvers
	slots     chan struct{} // one token for each question that is being asked
}

// newForwarder makes one for the file that names the resolvers.
func newForwarder(path string) *forwarder {
	return &forwarder{resolvers: resolvers{path: path}, slots: make(chan struct{}, 1024)}
}

// ask gives the resolvers' answer to a question, by TCP when that is how it came. A
// resolver that fails is passed over as the C library does it; the last failure is
// the answer when there is no better one.
func (f *forwarder) ask(ctx context.Context, q question, m []byte, tcp bool) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := f.resolvers.get(time.Now())
	var failure []byte
	var errs []error
	for range c.attempts {
		for _, server := range c.servers {
			answer, err := f.askOne(ctx, server, c.timeout, q, m, tcp)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil:
				errs = append(errs, err)
			case code(answer) == codeServer || code(answer) == codeUnknown || code(answer) == codeRefused:
				failure = answer
			default:
				return answer, nil
			}
		}
		if failure != nil {
			return failure, nil
		}
	}
	return nil, errors.Join(errs...)
}

// askOne asks one resolver once, with an id and a port that nobody can guess. What
// does not answer the question is not an answer.
func (f *forwarder) askOne(ctx context.Context, server netip.AddrPort, timeout time.Duration, q question, m []byte, tcp bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	kind := "udp"
	if tcp {
		kind = "tcp"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, kind, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	id := uint16(rand.Uint32())
	out := make([]byte, 2+len(m))
	binary.BigEndian.PutUint16(out, uint16(len(m)))
	copy(out[2:], m)
	binary.BigEndian.PutUint16(out[2:], id)
	if !tcp {
		out = out[2:]
	}
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	for {
		answer, err := readAnswer(conn, tcp)
		if err != nil {
			return nil, err
		}
		if answers(answer, m, q, id) {
			binary.BigEndian.PutUint16(answer, q.id)
			return answer, nil
		}
		if tcp {
			return nil, errors.New("the resolver " + server.String() + " answered another question")
		}
	}
}

// readAnswer reads one message.
func readAnswer(conn net.Conn, tcp bool) ([]byte, error) {
	if tcp {
		return readFramed(conn)
	}
	buf := make([]byte, largestSize+1) // one more shows that it was cut off
	n, err := conn.Read(buf)
	return buf[:n], err
}

// readFramed reads a message that its length comes before, as on TCP.
func readFramed(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

// writeFramed writes a message with its length before it.
func writeFramed(w io.Writer, m []byte) error {
	if len(m) > 65535 {
		return errors.New("an answer is too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(m)), uint16(len(m))), m...))
	return err
}
