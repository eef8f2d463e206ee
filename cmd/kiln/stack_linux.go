package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kiln"
	"kiln/back/blobdir"
	"kiln/back/s3code"
	"kiln/back/sqlite"
	"kiln/box/environment"
	"kiln/box/rootfs"
	"kiln/box/runtimes"
	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/process"
	"kiln/door/api"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/url"
	"kiln/engine/async"
	"kiln/engine/catalog"
	"kiln/engine/dispatch"
	mappings "kiln/engine/mapping"
	"kiln/engine/queues"
	"kiln/engine/worker"
	"kiln/telemetry"
	"kiln/telemetry/logs"
)

// stack is every room of one server, opened and wired. The group closes them in
// the reverse order.
type stack struct {
	group
	config *config
	log    *slog.Logger
	inside bool // root of a user namespace and not of its network
	ahead  int  // boxes that the driver makes ahead; 0 is its own choice, negative none

	store    *sqlite.Store
	blobs    *blobdir.Dir
	logs     *logs.Store
	network  outbound
	driver   sandbox.Driver
	runtimes *runtimes.Book
	rootfs   *rootfs.Cache
	images   *gallery
	worker   *worker.Worker
	catalog  *catalog.Catalog
	dispatch *dispatch.Dispatcher
	queue    *sqlite.Queue
	events   *async.Runner
	messages *queues.Book // nil without a server
	mappings *mappings.Manager
	api      *api.Server
	accounts *accounts.Book // nil without a server
	gate     *auth.Gate
}

// stackOptions is what differs between a server and one invocation without one.
type stackOptions struct {
	dataDir     string         // of everything but the runtimes
	runtimesDir string         // where runtimes are kept
	sink        telemetry.Sink // nil: logs are kept in the data directory
	ahead       int
	port        int          // at which environments find the API inside
	local       netip.Addr   // and the address, if it is not loopback
	inside      bool         // this is root of a user namespace and not of its network
	warm        bool         // make ahead what custom runtimes need
	ready       func() error // for /readyz; nil is always ready
}

// openStack opens the rooms from the ground up. This list is the wiring: what is
// not in it is not in the server. What was opened is closed again when one fails.
func openStack(ctx context.Context, c *config, o stackOptions, log *slog.Logger) (s *stack, err error) {
	s = &stack{config: c, log: log, ahead: o.ahead, inside: o.inside}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.Background()))
			s = nil
		}
	}()
	in := func(name string) string { return filepath.Join(o.dataDir, name) }

	if s.store, err = sqlite.Open(ctx, in("catalog.db")); err != nil {
		return s, err
	}
	s.addCloser("store", s.store.Close)
	if err = s.openAccounts(ctx, o); err != nil {
		return s, err
	}
	if s.blobs, err = blobdir.Open(in("packages"), blobdir.Options{}); err != nil {
		return s, err
	}
	sink := o.sink
	if sink == nil {
		if s.logs, err = logs.Open(in("logs"), logs.Options{FileBytes: max(c.LogSize/3, 1<<20), Rotated: 2, Logger: log}); err != nil {
			return s, err
		}
		s.addCloser("logs", s.logs.Close)
		sink = s.logs
	}
	if err = s.openDriver(o); err != nil {
		return s, err
	}
	s.addCloser("sandboxes", s.driver.Close)
	if err = s.checkFileSystems(); err != nil {
		return s, err
	}
	if s.rootfs, err = rootfs.Open(o.dataDir, s.blobs, rootfs.Options{ResolvConf: []byte(resolvConf)}); err != nil {
		return s, err
	}
	if s.runtimes, err = runtimes.Open(runtimes.Options{
		DataDir: o.runtimesDir, Logger: log, Check: s.checkRuntime(), HostOnly: !s.driver.Capabilities().PrivateFilesystem,
		DebianMirror: c.DebianMirror, DebianKeyring: c.DebianKeyring, Bridge: self(),
	}); err != nil {
		return s, err
	}
	if s.images, err = openImages(o.dataDir, c, log, s.runtimes); err != nil {
		return s, err
	}
	s.addCloser("images", s.images.store.Close)
	s.images.nowhere = !s.driver.Capabilities().PrivateFilesystem
	records, err := s.records(o)
	if err != nil {
		return s, err
	}
	s.catalog, err = catalog.Open(ctx, catalog.Options{
		Store: records, Blobs: s.blobs, Objects: s3code.New(c.s3()), Images: s.images, Preparer: preparer{s.runtimes, s.rootfs, s.images, !s.driver.Capabilities().PrivateFilesystem}, Inspect: rootfs.Inspect,
		AccountConcurrency: c.AccountConcurrency, Logger: log,
	})
	if err != nil {
		return s, err
	}
	s.addCloser("catalog", s.catalog.Close)
	s.images.lost = s.catalog.Lost
	inside := &insideDoor{}
	s.addCloser("api inside", inside.close) // after the environments that it serves
	builder, err := worker.NewBuilder(worker.BuilderOptions{
		Runtimes: s.runtimes, Rootfs: s.rootfs, Images: s.images, Driver: s.driver, Sink: sink, CPU: c.CPUMode,
		Inside: &environment.Inside{Address: insideAddress(o.local, o.port), Door: inside, Credentials: s.functionCredentials()}, Stream: c.Stream, Logger: log,
		FileSystems: c.FileSystems, Networks: c.Networks,
	})
	if err != nil {
		return s, err
	}
	s.worker = worker.New(worker.Options{
		Launcher: builder, IdleTimeout: c.IdleTimeout, MaxWaiting: c.MaxWaiting, MaxWait: c.MaxWait, MemoryBudget: c.MemoryBudget, Logger: log,
		OverCommit: c.MemoryOvercommit, HostReserve: c.HostReserve, MaxEnvironments: mostEnvironments(),
	})
	if err = s.openMessages(ctx, o.dataDir); err != nil {
		return s, err
	}
	if err = s.openQueue(ctx, o.dataDir); err != nil {
		return s, err
	}
	s.add("environments", s.endWorker)
	s.addCloser("housekeeping", s.keepHouse(o.warm))
	s.dispatch = dispatch.New(dispatch.Options{Catalog: s.catalog, Workers: []dispatch.Worker{s.worker}, AccountConcurrency: c.AccountConcurrency})
	s.openMappings()
	gate := &urlGate{}
	s.api = api.New(api.Options{
		Catalog: catalogDoor{s.catalog}, Invoker: s.dispatch, Logs: s.logsDoor(), Runtimes: runtimesDoor{s.runtimes}, Images: s.images,
		Environments: s.environments, Events: eventsDoor{s}, Queues: s.queues(), Mappings: s.mappings, Account: s.account, Doctor: s.doctor(), Ready: o.ready,
		URLs: urlDoor{url.New(url.Options{Functions: s.catalog, Invoker: s.dispatch, Gate: gate, Logger: log})}, URLDomain: c.URLDomain,
		Auth: s.gate, Accounts: s.accounts, Services: s.neighbours(),
		Version: versionText(), Listen: c.Listen, Hosts: c.AllowHost, FileSystems: c.FileSystems, Networks: c.Networks, Logger: log,
	})
	gate.port = s.api
	inside.port = s.api.Inside()
	return s, s.startEvents(ctx)
}

// openDriver makes the sandbox driver that was asked for, and no other.
func (s *stack) openDriver(o stackOptions) (err error) {
	switch s.config.Sandbox {
	case "process":
		s.driver, err = process.New(process.Options{Dir: filepath.Join(o.dataDir, "boxes")})
	default:
		var owner string
		if owner, err = ownerOf(o.dataDir); err != nil {
			return err
		}
		if err = s.openNetwork(owner, o); err != nil {
			return err
		}
		s.driver, err = linux.New(linux.Options{
			Owner: owner, StateDir: filepath.Join(o.dataDir, "sandbox"), PoolSize: s.ahead, Network: s.network.Network, Logger: s.log,
		})
	}
	if errors.Is(err, linux.ErrUnsupported) {
		return platformf("kiln doctor shows what this machine lacks", "%w", err)
	}
	return err
}

// ownerOf gives the id that every kernel object of a data directory carries; it is
// made once.
func ownerOf(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "owner")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	owner := strings.ToLower(rand.Text()[:10])
	return owner, os.WriteFile(path, []byte(owner+"\n"), 0o600)
}

// endWorker lets running invocations end until ctx does, and then ends them.
func (s *stack) endWorker(ctx context.Context) error {
	if err := s.worker.Drain(ctx); err != nil {
		s.log.Warn("invocations were ended", "reason", err)
	}
	return s.worker.Close()
}

// keepHouse starts what runs beside the calls: it makes the base ahead if asked to,
// drops environments of code that nothing refers to any more, and removes unpacked
// packages, and what old runtimes left, once an hour. The result ends it and waits.
func (s *stack) keepHouse(warm bool) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	changes := s.catalog.Changes()
	restored := make(chan struct{})
	go func() {
		defer close(restored)
		s.images.restore(ctx, s.catalog.ImageVersions())
	}()
	go func() {
		defer close(done)
		hourly := time.NewTicker(time.Hour)
		defer hourly.Stop()
		if warm {
			s.warm(ctx)
		}
		s.sweepRootfs()
		kept := &provisions{s.catalog, s.worker.Keep, map[kiln.FunctionID][]kiln.Target{}}
		kept.all()
		for {
			select {
			case <-ctx.Done():
				return
			case <-hourly.C:
				s.sweepRootfs()
				s.runtimes.Tidy()
			case c, ok := <-changes:
				if !ok {
					return
				}
				s.retire(c)
				kept.of(c.Function)
			}
		}
	}()
	return func() error { cancel(); <-done; <-restored; return nil }
}

// warm makes the base of custom runtimes, so that the first function does not wait
// for it. Whoever needs it meanwhile waits for this one making.
func (s *stack) warm(ctx context.Context) {
	rt, err := s.runtimes.Runtime(ctx, "provided.al2023", "")
	if err == nil {
		_, err = s.rootfs.Compose("/", rt) // the package matters for the base as little as its name
	}
	if err != nil {
		s.log.Warn("the base of environments could not be made ahead", "error", err)
	}
}

// retire makes the worker forget what calls are no longer resolved to.
func (s *stack) retire(c catalog.Change) {
	for _, r := range c.Retired {
		s.worker.Drop(r)
	}
}

// sweepRootfs removes what was unpacked for packages that the book does not know
// and no environment runs.
func (s *stack) sweepRootfs() {
	inUse := map[string]bool{}
	for _, e := range s.worker.Environments() {
		inUse[e.Package] = true // which may not be the version's any more
		inUse[e.Layers] = true
	}
	known := s.catalog.Packages()
	needed := func(sha string) bool {
		_, ok := known[sha]
		return ok || inUse[sha]
	}
	if err := s.rootfs.GC(needed); err != nil {
		s.log.Warn("unpacked packages cannot be removed", "error", err)
	}
	if err := s.images.store.GC(needed); err != nil {
		s.log.Warn("images that nobody needs cannot be removed", "error", err)
	}
}

// preparer puts a version in place: its runtime is found and its package unpacked.
type preparer struct {
	runtimes *runtimes.Book
	rootfs   *rootfs.Cache
	images   *gallery
	noLayers bool // the driver has no place of its own for /opt
}

// Prepare is catalog.Preparer. A function for an architecture that this machine does not
// run is accepted and refused when it is called: an emulator may come, and whoever
// deploys the same to AWS need not know.
func (p preparer) Prepare(ctx context.Context, v *kiln.Version) error {
	if v.Config.FromImage() {
		return p.images.prepare(ctx, v)
	}
	if p.noLayers && len(v.Config.Layers) > 0 {
		return kiln.Errorf(kiln.Unsupported, "Layers lie in /opt, of which a function has one of its own only with --sandbox linux.")
	}
	rt, err := p.runtimes.Runtime(ctx, v.Config.Runtime, v.Config.Architecture)
	if err != nil && !runtimes.Foreign(v.Config.Architecture) {
		return err
	}
	if v.Updates.Mode == kiln.UpdateManual && err == nil {
		if err := rt.CheckRelease(v); err != nil {
			return err
		}
	}
	_, err = p.rootfs.Prepare(ctx, v, rt)
	return err
}

// Release is catalog.Releaser.
func (p preparer) Release(ctx context.Context, v *kiln.Version) string {
	if v.Config.FromImage() {
		return ""
	}
	return p.runtimes.Release(ctx, v.Config.Runtime, v.Config.Architecture)
}

// newLogger says what the server does, for people, on stderr.
func newLogger(w world, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic(fmt.Sprintf("level %q was checked by the configuration", level))
	}
	return slog.New(slog.NewTextHandler(w.talk, &slog.HandlerOptions{Level: l}))
}
