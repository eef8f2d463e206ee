package main

import (
	"net"
	"net/netip"
	"testing"
)

// at is a listener that only has an address.
type at struct{ address netip.AddrPort }

func (a at) Addr() net.Addr          { return net.TCPAddrFromAddrPort(a.address) }
func (at) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (at) Close() error              { return nil }

func TestTheAPIInsideIsAtTheServersOwnPort(t *testing.T) {
	for outside, want := range map[string]string{
		"127.0.0.1:4566":     "127.0.0.1:4566",
		"127.0.0.1:443":      "127.0.0.1:443",
		"127.0.0.1:9001":     "127.0.0.2:9001", // the Runtime API is at 127.0.0.1:9001
		"[::1]:4566":         "127.0.0.1:4566",
		"0.0.0.0:4566":       "127.0.0.1:4566",
		"[::]:4566":          "127.0.0.1:4566",
		"[fe80::1%eth0]:80":  "127.0.0.1:80",
		"192.0.2.7:4566":     "192.0.2.7:4566",
		"192.0.2.7:9001":     "192.0.2.7:9001",
		"[2001:db8::7]:4566": "[2001:db8::7]:4566",
	} {
		l := at{netip.MustParseAddrPort(outside)}
		if got := insideAddress(localOf(l), portOf(l)); got != want {
			t.Errorf("%s: got %s, want %s", outside, got, want)
		}
	}
}

func TestAServerThatDidNotStartHasNothingToCloseInside(t *testing.T) {
	if err := (&insideDoor{}).close(); err != nil {
		t.Error(err)
	}
}
