package network

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// remover removes cables. The kernel waits tens of milliseconds to remove one, and
// hardly longer for a hundred, so one goroutine removes together what came
// meanwhile.
type remover struct {
	network *Network

	mu     sync.Mutex
	places []int

	wake chan struct{} // something came; closed to end
	done chan struct{} // closed when the goroutine has ended
}

const (
	// dying is the group of interfaces that are about to be removed.
	dying = 1
	// atOnce bounds how long the kernel is busy with one removal.
	atOnce = 256
)

// newRemover begins to remove what it is told to.
func newRemover(n *Network) *remover {
	r := &remover{network: n, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go r.run()
	return r
}

// remove takes a cable away soon, and then gives its place to others.
func (r *remover) remove(place int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places = append(r.places, place)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take gives the next cables to be removed.
func (r *remover) take() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.places), atOnce)
	places := r.places[:n:n]
	r.places = r.places[n:]
	return places
}

// run removes until it is closed and nothing is left.
func (r *remover) run() {
	defer close(r.done)
	for range r.wake {
		for places := r.take(); len(places) > 0; places = r.take() {
			r.removeAll(places)
		}
	}
}

// removeAll removes cables. A cable that cannot be removed keeps its place, so that
// nobody gets its addresses, and goes with the gateway.
func (r *remover) removeAll(places []int) {
	rtnl := r.network.gateway.slow
	for _, p := range places {
		// One that is gone has gone with its namespace.
		if err := rtnl.do(moveToGroup(firstCable+p, dying)); err != nil && !errors.Is(err, unix.ENODEV) {
			r.network.log.Warn("remove a cable", "error", err)
			continue
		}
		defer r.network.givePlace(p)
	}
	if err := rtnl.do(deleteGroup(dying)); err != nil && !errors.Is(err, unix.ENODEV) {
		r.network.log.Warn("remove cables", "error", err)
	}
}

// close waits until all is removed. Nothing may be given to it any more.
func (r *remover) close() {
	close(r.wake)
	<-r.done
}
