package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

var _ sandbox.Dialer = (*box)(nil)

// Dial connects to what a process of the box listens on; see sandbox.Dialer. A thread
// enters the box's network and begins the connection, which is then waited for out here.
func (x *box) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, net.UnknownNetworkError(network)
	}
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect into sandbox %s: %w", x.id, err)
	}
	file, connected, err := x.beginConnection(ctx, to)
	switch {
	case err != nil && x.over(): // it went away under our hands
		return nil, sandbox.ErrGone
	case err != nil:
		return nil, fmt.Errorf("connect into sandbox %s to %s: %w", x.id, address, err)
	}
	defer file.Close() // the connection has a copy of its own
	if !connected {
		if err := awaitConnection(ctx, file); err != nil {
			return nil, fmt.Errorf("connect into sandbox %s to %s: %w", x.id, address, err)
		}
	}
	return net.FileConn(file)
}

// beginConnection gives a socket of the box's network that is connected or about to be.
func (x *box) beginConnection(ctx context.Context, to *net.TCPAddr) (file *os.File, connected bool, err error) {
	giveBack, err := x.takeTurn(ctx)
	if err != nil {
		return nil, false, err
	}
	defer giveBack()
	err = x.driver.threads.run(func() error {
		if err := unix.Setns(x.blank.init.pidfd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network: %w", err)
		}
		family, place := socketAddress(to)
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		err = unix.Connect(fd, place)
		if err != nil && !errors.Is(err, unix.EINPROGRESS) {
			unix.Close(fd)
			return err
		}
		file, connected = os.NewFile(uintptr(fd), "connection"), err == nil
		return nil
	})
	return file, connected, err
}

// awaitConnection waits until a connection that began is there, has failed, or ctx
// ends.
func awaitConnection(ctx context.Context, file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) }) // only wakes Write below
	defer stop()
	var failed error
	err = conn.Write(func(fd uintptr) bool {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(ready, 0); err != nil || n == 0 {
			return false
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		failed = err
		return true
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, failed)
}

// socketAddress gives an address as the kernel takes it.
func socketAddress(a *net.TCPAddr) (family int, place unix.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	v6 := &unix.SockaddrInet6{Port: a.Port}
	copy(v6.Addr[:], a.IP.To16())
	return unix.AF_INET6, v6
}
