package sandbox

import (
	"errors"
	"net"
)

// MultiListener is an optional power of a sandbox: several listeners for the price
// of entering the box's network once.
type MultiListener interface {
	// ListenAll opens a listener for each address, in order, each as Listen does. On
	// an error none is left open.
	ListenAll(addresses ...string) ([]net.Listener, error)
}

// ListenAll opens a listener for each address in the box's network, in order: at
// once where the box can, else one after the other. On an error none is left open.
func ListenAll(x Sandbox, addresses ...string) ([]net.Listener, error) {
	if m, ok := x.(MultiListener); ok {
		return m.ListenAll(addresses...)
	}
	open := make([]net.Listener, 0, len(addresses))
	for _, address := range addresses {
		l, err := x.Listen(address)
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
			return nil, err
		}
		open = append(open, l)
	}
	return open, nil
}
