package sandbox

import (
	"context"
	"errors"
	"net"
)

// Dialer is an optional power of a sandbox: a connection to what a process of the box
// listens on.
type Dialer interface {
	// Dial connects, by "tcp", to an address inside the box's network.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial connects to an address inside the box's network, where the box can.
func Dial(ctx context.Context, x Sandbox, network, address string) (net.Conn, error) {
	if d, ok := x.(Dialer); ok {
		return d.Dial(ctx, network, address)
	}
	return nil, errors.ErrUnsupported
}
