package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watch keeps the accepting rules in others' chains. It looks when the host's
// firewall changes: a container tool that is started or a firewall that is loaded
// later drops forwarded packets too.
type watch struct {
	network *Network
	events  *os.File      // the kernel tells of changes here
	heard   chan struct{} // one token when something changed
	cancel  context.CancelFunc
	read    chan struct{} // closed when the reading goroutine has ended
	done    chan struct{} // closed when the looking goroutine has ended
	problem string        // the last one that was said
}

const (
	// settle is how long no change may have been heard before the watch looks: tools
	// change their rules in many steps.
	settle = 50 * time.Millisecond
	// lookAnyway is how often it looks at the older firewall, which tells nobody.
	lookAnyway = 5 * time.Second
)

// openWatch adds the rules that are needed now and begins to watch.
func openWatch(n *Network) (*watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("watch the firewall: %w", err)
	}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch the firewall: %w", err)
	}
	w := &watch{
		network: n,
		events:  os.NewFile(uintptr(fd), "firewall changes"),
		heard:   make(chan struct{}, 1),
		read:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.look()
	go w.listen()
	go w.run(ctx)
	return w, nil
}

// listen notes that something changed, until the socket is closed. What it says is
// not read: more may have changed than it could say.
func (w *watch) listen() {
	defer close(w.read)
	buf := make([]byte, 8<<10)
	for {
		if _, err := w.events.Read(buf); errors.Is(err, os.ErrClosed) {
			return
		}
		select {
		case w.heard <- struct{}{}:
		default:
		}
	}
}

// run looks when it is time, until ctx ends.
func (w *watch) run(ctx context.Context) {
	defer close(w.done)
	anyway := time.NewTicker(lookAnyway)
	defer anyway.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-anyway.C:
			if !legacyInUse() {
				continue
			}
		case <-w.heard:
			if !w.calm(ctx) {
				return
			}
		}
		w.look()
	}
}

// calm waits until nothing was heard for a moment; false when ctx ends.
func (w *watch) calm(ctx context.Context) bool {
	for range 20 { // a tool that never rests is looked at all the same
		timer := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-w.heard:
			timer.Stop()
		case <-timer.C:
			return true
		}
	}
	return true
}

// look adds what is missing, and says once what it cannot do.
func (w *watch) look() {
	n := w.network
	added, err := openForeign(n.firewall, n.plan, n.options.Owner)
	if added > 0 {
		n.log.Info("accept what environments send in a chain that drops forwarded packets", "chains", added)
	}
	older, errLegacy := openLegacy(n.plan.device)
	if older > 0 {
		n.log.Info("accept what environments send in the older firewall", "tables", older)
	}
	problem := ""
	if err := errors.Join(err, errLegacy); err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != w.problem {
		n.log.Warn("environments may have no outbound network", "error", problem)
	}
	w.problem = problem
}

// close ends the watch and waits.
func (w *watch) close() error {
	w.cancel()
	err := w.events.Close()
	<-w.read
	<-w.done
	return err
}
