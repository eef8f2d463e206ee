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
	if err != nil {
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
