// Package image turns container images into root directories of environments: it
// reads references, finds the manifest of a platform in a registry, an OCI layout or
// an archive, brings the blobs here, and unpacks them into one directory for each
// image, of which layers are shared.
//
// An image is an enemy's until it was read to its end. Blobs are believed by their
// digest alone. A layer is written as numbered files and a list, so that no name of
// it touches the disk before all of it was judged; the root is then put together by
// means that cannot leave it. What is in place is complete; blobs are durable, what
// was unpacked from them lasts until the machine starts again.
//
// The package runs nothing of an image and mounts nothing.
package image

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln"
)

// Defaults of Options.
const (
	DefaultStall    = 30 * time.Second
	DefaultAttempts = 4
	DefaultMaxBytes = 10 << 30 // AWS's limit of an uncompressed image
	DefaultGrace    = 20 * time.Minute
)

// Options says where images come from and what bounds them.
type Options struct {
	// Mirrors are asked before the registry that they stand for: the registry's name as
	// references have it, and the mirror's host[:port], with http:// or https:// before
	// it if that is not to be guessed.
	Mirrors map[string]string
	// NoLocal refuses references to directories and archives of this machine.
	NoLocal bool
	// Keychain gives what registries want to see; nil reads Docker's configuration files
	// and the variable DOCKER_AUTH_CONFIG.
	Keychain authn.Keychain
	Getenv   func(string) string // nil is os.Getenv
	// Stall is how long a registry may send next to nothing before it is given up.
	Stall time.Duration
	// Attempts is how often a blob is asked for, from where it broke off.
	Attempts int
	// MaxBytes bounds what all layers of an image are together, unpacked.
	MaxBytes int64
	// ResolvConf becomes /etc/resolv.conf of every image; nil names no server.
	ResolvConf []byte
	// Grace is how long nobody must have wanted an image before GC removes it; negative
	// is none.
	Grace time.Duration
	Now   func() time.Time
	// Boot names this run of the machine; "" asks the kernel.
	Boot      string
	Transport http.RoundTripper // nil is one of its own
	Logger    *slog.Logger
}

// Store is the directory of images. Its methods are safe for concurrent use; one
// process uses a directory at a time.
type Store struct {
	o        Options
	log      *slog.Logger
	dir      string // of everything
	blobs    string
	unpacked string   // of this run of the machine
	tree     *os.Root // the same, for what images say
	client   http.RoundTripper
	work     chan struct{} // one for each layer that may be unpacked now

	mu       sync.Mutex
	busy     map[string]*flight
	images   map[string]*Image    // that are in place, by digest
	pulls    map[string]*pull     // that are under way, by digest
	unwanted map[string]time.Time // since when nobody wants an image
	using    int                  // who reads or writes the directory
	// collecting is not nil while something is being collected; it is closed when that
	// is over.
	collecting chan struct{}
}

// flight is work that others wait for.
type flight struct {
	done chan struct{} // closed when err is valid
	err  error
}

// Open opens the store below dataDir, makes its directories when there are none, and
// removes what an interrupted process left half done. Close lets go of it.
func Open(dataDir string, o Options) (*Store, error) {
	o.fill()
	dir := filepath.Join(dataDir, "images")
	s := &Store{
		o: o, log: o.Logger, dir: dir, blobs: filepath.Join(dir, "blobs"), unpacked: filepath.Join(dir, unpackedPrefix+o.Boot),
		work: make(chan struct{}, 2), busy: map[string]*flight{}, images: map[string]*Image{},
		pulls: map[string]*pull{}, unwanted: map[string]time.Time{},
	}
	s.client = &watchdog{next: o.Transport, stall: o.Stall}
	if err := os.RemoveAll(filepath.Join(s.unpacked, "tmp")); err != nil {
		return nil, fmt.Errorf("open images: %w", err)
	}
	for _, name := range []string{s.blobs, s.partial(""), filepath.Join(s.unpacked, "tmp"), filepath.Join(s.unpacked, "layers"), filepath.Join(s.unpacked, "roots")} {
		if err := os.MkdirAll(name, 0o711); err != nil {
			return nil, fmt.Errorf("open images: %w", err)
		}
	}
	var err error
	if s.tree, err = os.OpenRoot(s.unpacked); err != nil {
		return nil, fmt.Errorf("open images: %w", err)
	}
	return s, nil
}

func (o *Options) fill() {
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Boot == "" {
		o.Boot = bootID()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Keychain == nil {
		o.Keychain = keychain(o.Getenv)
	}
	if o.Transport == nil {
		o.Transport = newTransport(o.Stall)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Close lets go of the directory. Nothing must be under way.
func (s *Store) Close() error { return s.tree.Close() }

// unpackedPrefix begins the names of directories of what was unpacked; the name of
// the machine's run follows.
const unpackedPrefix = "unpacked-"

// bootID names this run of the machine. Files that were written during it and not
// synced are whole as long as it lasts. Where the kernel does not tell, every process
// is a run of its own.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return kiln.NewID()
	}
	return strings.TrimSpace(string(text))
}

func (s *Store) blob(digest string) string    { return filepath.Join(s.blobs, digest) }
func (s *Store) partial(digest string) string { return filepath.Join(s.dir, "partial", digest) }

// Reasons of errors, as AWS names the states of a function by them.
const (
	reasonInvalid = "InvalidImage"
	reasonDenied  = "ImageAccessDenied"
	reasonGone    = "ImageDeleted"
	reasonFault   = "InternalError"
)

// ErrLost is that an image which was in place is there no more, and has to be pulled
// again.
var ErrLost = errors.New("the image is not on this machine any more")

// refuse says that an image is not one that can be run.
func refuse(format string, args ...any) *kiln.Error { return because(reasonInvalid, format, args...) }

// because is an error of an image with AWS's reason code.
func because(reason, format string, args ...any) *kiln.Error {
	e := kiln.Errorf(kiln.BadPackage, format, args...)
	e.Reason = reason
	return e
}

// notSupported says that something of an image has a form that is not known, in AWS's
// words, and then which.
func notSupported(reference, format string, args ...any) *kiln.Error {
	return refuse("The image manifest, config or layer media type for the source image %s is not supported. (%s)", reference, fmt.Sprintf(format, args...))
}
