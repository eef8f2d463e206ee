// Package debian makes root directories out of the packages of a Debian suite. It
// finds the mirror and the keys as the machine's own apt does, believes nothing that
// is not signed by one of those keys, and unpacks packages itself: no dpkg, no apt, no
// chroot.
//
// It never runs anything, neither a program of the machine nor one of a package;
// what maintainer scripts would leave behind, and a root needs, it writes itself. It
// never changes the machine's configuration and never lowers what it demands of a
// signature, whatever that configuration says.
package debian

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"kiln"
)

// Options says how this machine reaches Debian.
type Options struct {
	// Mirror is the address that suites are fetched from; "" is what the machine's apt
	// is set up with.
	Mirror string
	// Keyring is a file with the keys that Debian signs with; "" is what the machine
	// has.
	Keyring string
	// Downloads is the directory where packages are kept until a root is made of them;
	// what an interrupted download left there is gone on with.
	Downloads string
	// Host is the root directory whose configuration is read; "" is "/".
	Host string
	// Stall is how long a server may send nothing; 0 is 30 seconds, or what the
	// machine's apt is set up with.
	Stall time.Duration
	// Getenv reads the environment of the process; nil is os.Getenv.
	Getenv func(string) string
	Now    func() time.Time
	Logger *slog.Logger
}

// Archive is Debian as this machine reaches it. Its methods are safe for concurrent
// use.
type Archive struct {
	options Options
	log     *slog.Logger
	apt     settings
	sources []source
	client  *http.Client
}

// Open reads the machine's configuration. It asks no server. A machine without any
// Debian in its configuration is no error until something is wanted.
func Open(o Options) (*Archive, error) {
	if o.Host == "" {
		o.Host = "/"
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Archive{options: o, log: o.Logger}
	var err error
	if a.apt, err = readSettings(o.Host, o.Getenv("APT_CONFIG")); err != nil {
		return nil, fmt.Errorf("read the configuration of apt: %w", err)
	}
	if a.sources, err = readSources(o.Host); err != nil {
		return nil, fmt.Errorf("read the sources of apt: %w", err)
	}
	if a.options.Stall == 0 {
		a.options.Stall = a.apt.seconds("Acquire::http::Timeout", 30*time.Second)
	}
	if a.client, err = a.newClient(); err != nil {
		return nil, err
	}
	return a, nil
}

// Close drops the connections that are kept open.
func (a *Archive) Close() { a.client.CloseIdleConnections() }

// Reaches gives nil when the machine's configuration says where a suite is to be had
// and whose signature it must bear, else an error that says which setting is missing.
func (a *Archive) Reaches(suite string) error {
	if _, err := a.origin(suite); err != nil {
		return err
	}
	return nil
}

// architecture is this machine's in Debian's words.
func architecture() string { return runtime.GOARCH }

// Sweep removes downloads that nobody went on with for as long as age.
func Sweep(downloads string, age time.Duration, now time.Time) error {
	entries, err := os.ReadDir(downloads)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || now.Sub(info.ModTime()) < age {
			continue
		}
		if err := os.Remove(filepath.Join(downloads, entry.Name())); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// stopped gives the reason why a context ended, or err.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// unavailable is an error that may pass: a server's, or a network's.
func unavailable(format string, arguments ...any) error {
	return kiln.Errorf(kiln.Unavailable, format, arguments...)
}

// drain reads what is left of an answer, up to a little, so that its connection can
// be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // an unusable connection is replaced
	_ = body.Close()                          // nothing was written
}
