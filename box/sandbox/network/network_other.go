//go:build !linux

package network

import (
	"fmt"
	"net/netip"
	"runtime"
)

// Resolver is the address at which each namespace has its name server.
const Resolver = "127.0.0.53"

// Network cannot exist on this system; the type is here so that programs build.
type Network struct{}

// Link cannot exist on this system.
type Link struct{}

// Open says that this system has no network namespaces.
func Open(Options) (*Network, error) {
	return nil, fmt.Errorf("%w: it needs Linux, and this is %s", ErrUnsupported, runtime.GOOS)
}

// Outbound is false.
func (*Network) Outbound() bool { return false }

// Attach always fails.
func (*Network) Attach(int, bool) (*Link, error) { return nil, ErrUnsupported }

// Close has nothing to do.
func (*Network) Close() error { return nil }

// Addresses are none.
func (*Link) Addresses() []netip.Addr { return nil }

// Freeze has nothing to do.
func (*Link) Freeze() {}

// Thaw has nothing to do.
func (*Link) Thaw() {}

// Cut has nothing to do.
func (*Link) Cut() error { return nil }

// Close has nothing to do.
func (*Link) Close() error { return nil }

// Probe says what this system lacks.
func Probe() []Ability {
	return add(nil, "Linux", true, fmt.Errorf("this is %s", runtime.GOOS), "", "functions run on Linux only")
}
