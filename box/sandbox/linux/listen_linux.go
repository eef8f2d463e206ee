package linux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

var _ sandbox.MultiListener = (*box)(nil)

// Listen opens a TCP listener in the box's network; see sandbox.Sandbox.
func (x *box) Listen(address string) (net.Listener, error) {
	open, err := x.ListenAll(address)
	if err != nil {
		return nil, err
	}
	return open[0], nil
}

// ListenAll opens TCP listeners in the box's network with one thread that enters it
// once; see sandbox.MultiListener. Entering takes ten times as long as listening.
func (x *box) ListenAll(addresses ...string) ([]net.Listener, error) {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return nil, err
	}
	defer giveBack()
	tcp := make([]*net.TCPAddr, len(addresses))
	for i, address := range addresses {
		if tcp[i], err = net.ResolveTCPAddr("tcp", address); err != nil {
			return nil, fmt.Errorf("listen in sandbox %s: %w", x.id, err)
		}
	}
	files := make([]*os.File, 0, len(tcp))
	defer func() {
		for _, f := range files {
			_ = f.Close() // a listener has a copy of its own
		}
	}()
	err = x.driver.threads.run(func() error {
		if err := unix.Setns(x.blank.init.pidfd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network: %w", err)
		}
		for i, a := range tcp {
			fd, err := listen(a)
			if err != nil {
				return fmt.Errorf("on %s: %w", addresses[i], err)
			}
			files = append(files, os.NewFile(uintptr(fd), "listener"))
		}
		return nil
	})
	switch {
	case err != nil && x.over(): // it went away under our hands
		return nil, sandbox.ErrGone
	case err != nil:
		return nil, fmt.Errorf("listen in sandbox %s: %w", x.id, err)
	}
	open := make([]net.Listener, 0, len(files))
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("listen in sandbox %s: %w", x.id, err)
		}
		open = append(open, l)
	}
	return open, nil
}

// listen opens a listening socket in the calling thread's network.
func listen(address *net.TCPAddr) (int, error) {
	family, sockaddr := socketAddress(address)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		if err = unix.Bind(fd, sockaddr); err == nil {
			err = unix.Listen(fd, 1024)
		}
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		return -1, err
	}
	unix.Close(fd)
	return -1, err
}
