package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Resolver is the address at which each namespace has its name server: what
// /etc/resolv.conf inside must say.
const Resolver = "127.0.0.53"

// Bounds of one namespace's name server.
const (
	questionsAtOnce   = 64
	connectionsAtOnce = 8
	idleConnection    = 10 * time.Second
)

// nameServer answers the programs of one namespace. While they are frozen it sends
// nothing: what is ready waits, and what failed is asked again after the thaw,
// because nobody was there to see the time pass.
type nameServer struct {
	forwarder *forwarder
	udp       *net.UDPConn
	tcp       net.Listener
	refusing  atomic.Bool
	gate      gate
	slots     chan struct{} // one token for each question under way
	conns     chan struct{} // one token for each connection

	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// nameSockets are the two sockets of a name server, opened in the calling thread's
// network.
func nameSockets() (udp, tcp int, err error) {
	address := &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 53}}
	open := func(kind int) (int, error) {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return -1, fmt.Errorf("name server: socket: %w", err)
		}
		if err := unix.Bind(fd, address); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("name server: bind %s: %w", Resolver, err)
		}
		return fd, nil
	}
	if udp, err = open(unix.SOCK_DGRAM); err != nil {
		return -1, -1, err
	}
	if tcp, err = open(unix.SOCK_STREAM); err == nil {
		if err = unix.Listen(tcp, connectionsAtOnce); err == nil {
			return udp, tcp, nil
		}
		unix.Close(tcp)
	}
	unix.Close(udp)
	return -1, -1, err
}

// serveNames begins to answer on two sockets, which it owns from now on.
func serveNames(f *forwarder, udp, tcp int, refusing bool) (*nameServer, error) {
	s := &nameServer{
		forwarder: f,
		slots:     make(chan struct{}, questionsAtOnce),
		conns:     make(chan struct{}, connectionsAtOnce),
	}
	s.refusing.Store(refusing)
	packets, errUDP := socketOf(udp, net.FilePacketConn)
	streams, errTCP := socketOf(tcp, net.FileListener)
	if err := errors.Join(errUDP, errTCP); err != nil {
		if packets != nil {
			packets.Close()
		}
		if streams != nil {
			streams.Close()
		}
		return nil, fmt.Errorf("name server: %w", err)
	}
	s.udp, s.tcp = packets.(*net.UDPConn), streams
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.tasks.Add(2)
	go s.servePackets(ctx)
	go s.serveStreams(ctx)
	return s, nil
}

// socketOf makes a socket of package net of a descriptor, which is used up.
func socketOf[T any](fd int, make func(*os.File) (T, error)) (T, error) {
	file := os.NewFile(uintptr(fd), "name server")
	defer file.Close()
	return make(file)
}

// packetBuffers are shared by all name servers, so that one that waits holds none.
var packetBuffers = sync.Pool{New: func() any { return new([largestSize]byte) }}

// servePackets answers what comes by UDP until the socket is closed.
func (s *nameServer) servePackets(ctx context.Context) {
	defer s.tasks.Done()
	raw, err := s.udp.SyscallConn()
	if err != nil {
		return // closed already
	}
	for {
		var m []byte
		var from unix.Sockaddr
		err := raw.Read(func(fd uintptr) bool {
			buf := packetBuffers.Get().(*[largestSize]byte)
			defer packetBuffers.Put(buf)
			n, peer, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT)
			if err == unix.EAGAIN || err == unix.EINTR {
				return false
			}
			if err == nil {
				m, from = append([]byte(nil), buf[:n]...), peer
			}
			return true
		})
		if err != nil {
			return
		}
		if from == nil {
			continue
		}
		s.answerPacket(ctx, m, func(answer []byte) {
			// The program may be gone, or its buffer full: it asks again, as with any resolver.
			_ = raw.Control(func(fd uintptr) { _ = unix.Sendto(int(fd), answer, unix.MSG_DONTWAIT, from) })
		})
	}
}

// answerPacket answers one packet: at once where nobody has to be asked, later where
// somebody has.
func (s *nameServer) answerPacket(ctx context.Context, m []byte, send func([]byte)) {
	q, err := parseQuestion(m)
	if err != nil {
		return
	}
	if answer := s.atOnce(q, m); answer != nil {
		send(answer)
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		send(q.reply(m, codeServer, 0))
		return
	}
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		defer func() { <-s.slots }()
		answer := s.ask(ctx, q, m, false)
		if len(answer) > q.size {
			answer = q.reply(m, codeOK, flagTruncated) // ask again by TCP
		}
		if answer != nil {
			send(answer)
		}
	}()
}

// atOnce gives the answer that needs no resolver, or nil.
func (s *nameServer) atOnce(q question, m []byte) []byte {
	if q.flags&maskOpcode != 0 {
		return q.reply(m, codeUnknown, 0)
	}
	if addresses, own := q.own(); own {
		return q.answerWith(m, addresses)
	}
	if s.refusing.Load() {
		return q.reply(m, codeRefused, 0)
	}
	return nil
}

// ask gives the resolvers' answer when the programs can take it, or nil when the
// server closes.
func (s *nameServer) ask(ctx context.Context, q question, m []byte, tcp bool) []byte {
	for {
		answer, err := s.forwarder.ask(ctx, q, m, tcp)
		waited := s.gate.wait(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return answer
		case !waited:
			return q.reply(m, codeServer, 0)
		}
	}
}

// serveStreams accepts connections until the listener is closed. Those above the
// bound wait in the kernel's queue, which is as short.
func (s *nameServer) serveStreams(ctx context.Context) {
	defer s.tasks.Done()
	for {
		select {
		case s.conns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := s.tcp.Accept()
		if err != nil {
			<-s.conns
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors: others may close theirs
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			continue
		}
		s.tasks.Add(1)
		go func() {
			defer s.tasks.Done()
			defer func() { <-s.conns }()
			s.serveStream(ctx, conn)
		}()
	}
}

// serveStream answers the questions of one connection, one after the other.
func (s *nameServer) serveStream(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for ctx.Err() == nil {
		conn.SetReadDeadline(time.Now().Add(idleConnection))
		m, err := readFramed(conn)
		if err != nil {
			s.gate.wait(ctx)
			return
		}
		q, err := parseQuestion(m)
		if err != nil {
			return
		}
		answer := s.atOnce(q, m)
		if answer == nil {
			answer = s.ask(ctx, q, m, true)
		}
		conn.SetWriteDeadline(time.Now().Add(idleConnection))
		if answer == nil || writeFramed(conn, answer) != nil {
			return
		}
	}
}

// close ends the server and waits until nothing of it runs.
func (s *nameServer) close() error {
	s.cancel()
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.tasks.Wait()
	return err
}
