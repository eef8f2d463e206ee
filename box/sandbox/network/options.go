package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
)

// Options is what a network needs to know. Owner is required.
type Options struct {
	// Owner is the data directory's owner id, [a-z0-9]{4,32}. Every kernel object
	// carries it or a digest of it; two living networks must not share one.
	Owner string
	// RunDir holds what must not survive a reboot: which networks live, and which
	// settings of the host they changed. All networks of a host share it. The zero
	// value is /run/kiln.
	RunDir string
	// Outbound says whether environments may open connections at all. Without it no
	// interface, rule or setting is made, what an earlier network of the owner left is
	// removed, and names are refused.
	Outbound bool
	// Range is where environments get their IPv4 addresses from, at most /28. The
	// zero value picks one that no route of the host overlaps.
	Range netip.Prefix
	// Host is the network namespace that plays the host: it has a way out, and nobody
	// listens or sends there. nil is the one of the process.
	Host *os.File
	// Deny are further destinations that no environment reaches.
	Deny []netip.Prefix
	// Local are addresses of the host that are each namespace's own inside, so that
	// what the server opens there answers at the address that it has outside.
	Local []netip.Addr
	// Connections is how many connections of one environment the host keeps track of
	// at once; 0 means 4,096. More are refused, since the host's table is one for all.
	Connections int
	// ResolvConf is the file that names the host's resolvers. The zero value is
	// /etc/resolv.conf.
	ResolvConf string
	// Logger hears what happens beside the calls.
	Logger *slog.Logger
}

// ErrUnsupported is what Open answers where environments cannot have an outbound
// network.
var ErrUnsupported = errors.New("outbound network is not possible here")

// ErrNoRange is in the error of Open when no range of addresses is free.
var ErrNoRange = errors.New("this host has routes to all ranges that are tried, name one that is free")

var ownerPattern = regexp.MustCompile(`^[a-z0-9]{4,32}$`)

// check fills in defaults and says which option is wrong.
func (o *Options) check() error {
	if !ownerPattern.MatchString(o.Owner) {
		return fmt.Errorf("owner %q: want [a-z0-9]{4,32}", o.Owner)
	}
	if o.RunDir == "" {
		o.RunDir = "/run/kiln"
	}
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	if !filepath.IsAbs(o.RunDir) || !filepath.IsAbs(o.ResolvConf) {
		return fmt.Errorf("run directory %q, resolver file %q: want absolute paths", o.RunDir, o.ResolvConf)
	}
	if o.Range.IsValid() && (!o.Range.Addr().Is4() || o.Range.Bits() > 28 || o.Range.Bits() < 8) {
		return fmt.Errorf("range %s: want an IPv4 range from /8 to /28", o.Range)
	}
	for _, p := range o.Deny {
		if !p.IsValid() {
			return errors.New("a denied destination is not valid")
		}
	}
	for _, a := range o.Local {
		if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
			return fmt.Errorf("local address %s: want one that an interface of the host can have", a)
		}
	}
	if o.Connections == 0 {
		o.Connections = 4096
	}
	if o.Connections < 1 {
		return fmt.Errorf("connections %d: want at least 1", o.Connections)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
