// Package runtimes is the book of languages: which runtime identifiers there are,
// what the environment of each is made of, which interpreter of this machine serves
// it, and the bootstraps that speak the Runtime API for it. It asks interpreters
// what they are and puts small files into the data directory. It never runs a
// function, never makes a box, and never serves an identifier with another version
// than the one that it names.
package runtimes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln"
	"kiln/box/runtimes/debian"
)

// Options says where the book keeps things and how it looks at the machine.
type Options struct {
	// DataDir is the server's data directory; the book lives in runtimes below it.
	DataDir string
	Logger  *slog.Logger
	// Check runs a command in a real box of this runtime and returns why it failed;
	// nil limits the check before first use to what can be done without a box.
	Check func(ctx context.Context, rt kiln.Runtime, command []string) error
	// Places are the only directories where interpreters are sought; nil is the
	// search path and the places that version managers use.
	Places []string
	// Host is the root directory whose apt configuration says where Debian is, and whose
	// /proc which emulators the kernel has; "" is "/".
	Host string
	// DebianMirror and DebianKeyring replace what that configuration says.
	DebianMirror, DebianKeyring string
	// HostOnly is true where sandboxes show the host's files as they are, so that an
	// interpreter with a root of its own cannot be used.
	HostOnly bool
	// Bridge is the program that starts functions of go1.x, which is kiln itself by
	// another name; "" starts them without, so that those which only know the protocol
	// of its first years never answer.
	Bridge string
	// Getenv reads the environment of the process; nil is os.Getenv.
	Getenv func(string) string
}

// Book answers what serves a runtime identifier. It is safe for concurrent use.
type Book struct {
	options     Options
	log         *slog.Logger
	dir         string
	descriptors map[string]*descriptor
	sdks        []*sdk
	records     *records

	// turns lets one caller at a time look for an identifier: a channel of one
	// token each, so that waiting obeys a context.
	turns map[string]chan struct{}
	// adding is the same for fetching, of whatever runtime.
	adding chan struct{}

	mu     sync.Mutex
	served map[string]*serving
	warned map[string]bool // of deprecation, once
	used   map[string]bool // what environments of this process may run on
	stood  map[string]bool // directories of served, likewise
}

// serving is a runtime that was found, with the file whose change ends it.
type serving struct {
	runtime kiln.Runtime
	program string
	stamp   stamp
	source  string
}

// Open opens the book, making its directory. It asks no interpreter yet.
func Open(o Options) (*Book, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	data, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(data, "runtimes")
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open the runtimes: %w", err)
	}
	sweep(dir)
	if err := debian.Sweep(filepath.Join(dir, "downloads"), keepDownloads, time.Now()); err != nil {
		o.Logger.Warn("old downloads cannot be removed", "error", err)
	}
	b := &Book{
		options:     o,
		log:         o.Logger,
		dir:         dir,
		descriptors: readDescriptors(),
		sdks:        readSDKs(),
		records:     openRecords(filepath.Join(dir, "discovery.json")),
		turns:       make(map[string]chan struct{}),
		adding:      make(chan struct{}, 1),
		served:      make(map[string]*serving),
		warned:      make(map[string]bool),
		used:        make(map[string]bool),
		stood:       make(map[string]bool),
	}
	for identifier := range b.descriptors {
		b.turns[identifier] = make(chan struct{}, 1)
	}
	return b, nil
}

// sweep deletes what an earlier process began and did not finish, and what was put
// aside. What is younger than an hour may be the work of a process that lives; what
// was put aside within a day, the ground that an environment stands on.
func sweep(dir string) {
	for pattern, age := range map[string]time.Duration{
		"served/[^.]*": keepServed, "served/.new-*": time.Hour, "fetched/*/.new-*": time.Hour, ".new-*": time.Hour, ".gone-*": 24 * time.Hour,
	} {
		matches, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue // the pattern holds the path of the data directory
		}
		for _, name := range matches {
			if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > age {
				_ = os.RemoveAll(name) // the next start tries again
			}
		}
	}
}

// Runtime gives what an identifier's environments are made of on this machine, or
// an error of code BadRuntime that says what is missing and what to do. An empty
// architecture is this machine's.
func (b *Book) Runtime(ctx context.Context, identifier, architecture string) (kiln.Runtime, error) {
	d, ok := b.descriptors[identifier]
	if !ok {
		return kiln.Runtime{}, kiln.Errorf(kiln.BadRuntime, "kiln does not serve the runtime %q; `kiln runtime ls` lists those that it does", identifier)
	}
	if err := b.Runs(architecture); err != nil {
		return kiln.Runtime{}, err
	}
	if s, err := b.serves(ctx, d); s != nil || err != nil {
		b.warn(d)
		if err != nil {
			return kiln.Runtime{}, err
		}
		return s.runtime, nil
	}
	b.warn(d)
	if !d.interpreted() {
		return b.compiled(d)
	}
	if Foreign(architecture) {
		return kiln.Runtime{}, kiln.Errorf(kiln.BadRuntime,
			"this machine has interpreters of %s alone, and emulates %s for programs only (provided.al2023): create the function with architecture %s",
			hostArchitecture(), architecture, hostArchitecture())
	}
	found, err := b.find(ctx, d)
	if err != nil {
		return kiln.Runtime{}, err
	}
	return found.runtime, nil
}

// warn says once that AWS has deprecated a runtime, which keeps nobody from using it.
func (b *Book) warn(d *descriptor) {
	b.mu.Lock()
	told := b.warned[d.Identifier]
	b.warned[d.Identifier] = true
	b.mu.Unlock()
	if !told && d.Deprecated != "" && d.Deprecated <= time.Now().UTC().Format(time.DateOnly) {
		b.log.Warn("AWS has deprecated this runtime; it still runs here", "runtime", d.Identifier, "since", d.Deprecated)
	}
}

// Release gives the digest of what serves an identifier, as the last part of its
// release's ARN; "" when nothing does.
func (b *Book) Release(ctx context.Context, identifier, architecture string) string {
	rt, err := b.Runtime(ctx, identifier, architecture)
	if err != nil {
		return ""
	}
	return rt.ReleaseARN[strings.LastIndexByte(rt.ReleaseARN, ':')+1:]
}

// compiled gives the runtime of a family that needs no interpreter: the package
// brings the program.
func (b *Book) compiled(d *descriptor) (kiln.Runtime, error) {
	rt := d.runtime()
	rt.Release = d.release()
	if d.Family == "go" && b.options.Bridge != "" {
		if err := b.bridge(d, &rt); err != nil {
			return kiln.Runtime{}, fmt.Errorf("prepare %s: %w", d.Identifier, err)
		}
	}
	parts := fmt.Appendf(nil, "%s\n%s\n%q\n%v", layoutVersion, d.Identifier, rt.Command, d.Env)
	if len(rt.Mounts) > 0 {
		parts = fmt.Appendf(parts, "\n%v", rt.Mounts)
	}
	sum := sha256.Sum256(parts)
	rt.ReleaseARN = releaseARN(hex.EncodeToString(sum[:]))
	return rt, nil
}

// release names a runtime that needs no interpreter as INIT_START prints it.
func (d *descriptor) release() string {
	name := strings.TrimPrefix(strings.TrimPrefix(d.Identifier, d.Family), ".")
	if name == "" {
		name = "al1"
	}
	return d.Family + ":" + name + ".v1"
}

// find gives what serves an interpreted runtime, from memory while the file is the
// same, else by looking for it; one look at a time.
func (b *Book) find(ctx context.Context, d *descriptor) (*serving, error) {
	if s := b.remembered(d); s != nil {
		return s, nil
	}
	turn := b.turns[d.Identifier]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s := b.remembered(d); s != nil {
		return s, nil
	}
	s, err := b.look(ctx, d)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.served[d.Identifier] = s
	b.used[d.Identifier] = true
	if sdk := b.sdkOf(d); sdk != nil {
		b.used[sdk.Name] = true
	}
	b.mu.Unlock()
	return s, nil
}

// remembered gives what serves the runtime already, if its program is still there
// as it was.
func (b *Book) remembered(d *descriptor) *serving {
	b.mu.Lock()
	s := b.served[d.Identifier]
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	if now, err := stampOf(s.program); err != nil || now != s.stamp {
		return nil
	}
	return s
}

// forget makes the next call look again.
func (b *Book) forget(identifier string) {
	b.mu.Lock()
	delete(b.served, identifier)
	b.mu.Unlock()
}

// look asks candidates until one serves the runtime. What was fetched for it comes
// before what the machine has.
func (b *Book) look(ctx context.Context, d *descriptor) (*serving, error) {
	var refused []string
	candidates := b.candidates(d.Family, d.Version)
	if c, ok := b.fetched(d); ok {
		candidates = append([]candidate{c}, candidates...)
	}
	for _, c := range candidates {
		s, err := b.try(ctx, d, c)
		if err == nil {
			b.log.Info("runtime is served", "runtime", d.Identifier, "program", s.program, "release", s.runtime.Release)
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, errOtherVersion) {
			refused = append(refused, fmt.Sprintf("%s: %v", c.path, err))
			b.log.Debug("interpreter is not used", "runtime", d.Identifier, "program", c.path, "why", err)
		}
	}
	return nil, b.nothing(d, refused)
}

// errOtherVersion is the answer of a sound interpreter that serves another runtime.
var errOtherVersion = errors.New("it is another version")

// try asks one candidate and, if it is of the right version, checks it and composes
// the runtime.
func (b *Book) try(ctx context.Context, d *descriptor, c candidate) (*serving, error) {
	i, err := b.identify(ctx, d.Family, c)
	if err != nil {
		return nil, err
	}
	if i = i.as(d.Version); i.minor() != d.Version {
		return nil, errOtherVersion
	}
	if len(i.Lacking) > 0 {
		return nil, fmt.Errorf("it cannot load %s", strings.Join(i.Lacking, ", "))
	}
	s, err := stampOf(i.Program)
	if err != nil {
		return nil, err
	}
	rt, err := b.compose(ctx, d, i, s)
	if err != nil {
		return nil, err
	}
	if err := b.check(ctx, d, rt, i, s); err != nil {
		return nil, err
	}
	source := i.Program
	if strings.HasPrefix(i.Program, b.dir+"/") {
		source = i.Program + " (fetched)"
	}
	return &serving{runtime: rt, program: i.Program, stamp: s, source: source}, nil
}

// identify gives what a candidate is, from memory while the file is the same. What
// a shim leads to may change while the shim does not, so shims are always asked.
func (b *Book) identify(ctx context.Context, family string, c candidate) (*interpreter, error) {
	s, err := stampOf(c.path)
	if err != nil {
		return nil, err
	}
	if !c.script {
		if known := b.records.get(c.path, s); known != nil {
			if known.Interpreter == nil {
				return nil, refusal(known.Problem)
			}
			// The candidate may be a link; the program that it named must still be.
			if _, err := os.Stat(known.Interpreter.Program); err == nil {
				return known.Interpreter, nil
			}
		}
	}
	i, err := ask(ctx, family, program{path: c.path, root: c.root})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	known := &record{Stamp: s, Interpreter: i}
	var final refusal
	if err != nil && !errors.As(err, &final) {
		return nil, err
	}
	known.Problem = string(final)
	if !c.script {
		b.keep(c.path, known)
	}
	return i, err
}

// keep remembers a candidate beyond the life of this process. Not being able to
// costs time at the next start and nothing else.
func (b *Book) keep(path string, known *record) {
	if err := b.records.put(path, known); err != nil {
		b.log.Warn("what interpreters answered cannot be kept", "error", err)
	}
}

// nothing says that no interpreter serves the runtime, which ones were turned down,
// and what to do.
func (b *Book) nothing(d *descriptor, refused []string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "no %s %s was found on this machine, so %s functions cannot run", d.language(), d.Version, d.Identifier)
	if len(refused) > 0 {
		slices.Sort(refused)
		fmt.Fprintf(&text, "; not usable: %s", strings.Join(refused, "; "))
	}
	switch err := b.canFetch(d); {
	case err == nil:
		fmt.Fprintf(&text, "; run `kiln runtime add %s`, or %s", d.Identifier, d.install())
	case d.Debian != nil:
		fmt.Fprintf(&text, "; %v; then run `kiln runtime add %s`, or %s", err, d.Identifier, d.install())
	default:
		fmt.Fprintf(&text, "; run `kiln runtime add %s --image REF`, or %s", d.Identifier, d.install())
	}
	return kiln.Errorf(kiln.BadRuntime, "%s", text.String())
}

// install says how the interpreter can be put where it is found.
func (d *descriptor) install() string {
	return "install it so that " + families[d.Family].places(d.Version)
}
