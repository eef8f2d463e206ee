package main

import (
	"io"
	"net"
	"net/netip"
	"strconv"

	"kiln/box/environment"
	"kiln/door/api"
	"kiln/door/auth"
)

// insideDoor leads from environments to the port. Environments are made by what the
// port stands on, so that it is put in place when both are there, before the first
// call.
type insideDoor struct{ port *api.Inside }

var _ environment.Door = (*insideDoor)(nil)

// Serve is environment.Door.
func (d *insideDoor) Serve(l net.Listener, c environment.Caller) io.Closer {
	return d.port.Serve(l, auth.NewEnvironment(c.Function, c.Role, c.Token))
}

// close waits for the last request from inside; the environments are gone.
func (d *insideDoor) close() error {
	if d.port == nil {
		return nil // the server did not come that far
	}
	return d.port.Close()
}

// insideAddress gives the address at which environments find the API: that of the
// server's own port at the address that it has outside, or on 127.0.0.1, so that one URL
// leads to it from inside and outside. Only the Runtime API's port cannot be had there;
// it is taken on the neighbour.
func insideAddress(local netip.Addr, port int) string {
	if local.IsValid() {
		return netip.AddrPortFrom(local, uint16(port)).String()
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if address == environment.RuntimeAPI {
		return net.JoinHostPort("127.0.0.2", strconv.Itoa(port))
	}
	return address
}

// insidePort is the port where there is no server, which is that of the default.
const insidePort = 4566

// localOf gives the address of this machine at which others reach a listener, if it is
// one and not all, nor loopback.
func localOf(l net.Listener) netip.Addr {
	a := l.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if a.IsUnspecified() || a.IsLoopback() || a.Zone() != "" {
		return netip.Addr{}
	}
	return a
}

// portOf gives the port that a listener listens on.
func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
