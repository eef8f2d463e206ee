package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/box/sandbox"
)

// serve runs a server until ctx ends or a part of it fails, and leaves nothing of
// it behind. With a tour it also makes that.
func serve(ctx context.Context, w world, c *config, t *tour) (err error) {
	if done, err := elsewhere(ctx, w, c); done {
		return err
	}
	warnProcess(w, c)
	log := newLogger(w, c.LogLevel)
	var outer group // what lies below the rooms: the lock and the addresses
	defer func() {
		if closeErr := outer.close(context.Background()); err == nil {
			err = closeErr
		}
	}()
	lock, err := takeLock(c.DataDir)
	if err != nil {
		return heldByOther(err)
	}
	outer.addCloser("lock", lock.close)
	api, err := listen("listen", c.Listen)
	if err != nil {
		return err
	}
	outer.addCloser("address", closeListener(api))
	console, err := listenConsole(c)
	if err != nil {
		return err
	}
	if console != nil {
		outer.addCloser("console address", closeListener(console))
	}
	scheme := "http"
	var cert *certificate
	if c.TLSCert != "" {
		if cert, err = openCertificate(c.TLSCert, c.TLSKey, log); err != nil {
			return &failure{code: exitUsage, what: "tls-cert and tls-key", err: err}
		}
		scheme = "https"
	}
	endpoint := scheme + "://" + reachable(api.Addr())
	page := ""
	if console != nil {
		page = "http://" + reachable(console.Addr())
	}
	if err := lock.say(holder{PID: w.pid, Endpoint: endpoint, Console: page}); err != nil {
		return err
	}

	var down atomic.Bool
	s, err := openStack(ctx, c, stackOptions{dataDir: c.DataDir, runtimesDir: c.DataDir, port: portOf(api), local: localOf(api), inside: w.inside, warm: true, ready: func() error {
		if down.Load() {
			return errors.New("the server is going down")
		}
		return nil
	}}, log)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	s.add("api", s.serveAPI(api, cert, failed))
	if console != nil {
		s.add("console", s.serveConsole(console, endpoint, failed))
	}
	s.mappings.Start()
	s.add("mappings", s.mappings.Close) // once more, before the port that they may read from
	s.announce(w, endpoint, page)
	if err := s.greetRoot(ctx, w); err != nil {
		return errors.Join(err, s.close(ctx))
	}

	var work error
	if t == nil {
		select {
		case <-ctx.Done():
		case work = <-failed:
		}
	} else {
		work = runTour(ctx, t, w, endpoint, failed)
	}
	down.Store(true)
	if ctx.Err() != nil {
		fmt.Fprintln(w.talk, "Stopping: running invocations may end (a second signal ends them at once) …")
	}
	closing, cancel := deadline(c.DrainTimeout, w.again)
	defer cancel()
	if err := s.close(closing); err != nil {
		return errors.Join(work, err)
	}
	if work == nil {
		fmt.Fprintln(w.talk, "Stopped.")
	}
	return work
}

// heldByOther turns the error of a lock into one with its exit code.
func heldByOther(err error) error {
	var held *heldError
	if errors.As(err, &held) {
		return &failure{code: exitPlatform, err: held}
	}
	return err
}

// listen takes an address, or says how to get another one.
func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, platformf(fmt.Sprintf("stop the program that listens there, or choose another with --%s 127.0.0.1:PORT (or %s)", key, variable(key)), "the address %s is in use", address)
	case errors.Is(err, syscall.EACCES):
		return nil, platformf("choose a port above 1023 with --"+key, "the address %s needs root", address)
	}
	return nil, platformf("", "%s: %w", key, err)
}

// closeListener gives what closes a listener that its server may have closed before.
func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// listenConsole takes the address of the status page; nil when it is off.
func listenConsole(c *config) (net.Listener, error) {
	if c.Console == "off" {
		return nil, nil
	}
	return listen("console", c.Console)
}

// reachable gives the address under which this machine reaches a listener.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// serveAPI begins to answer on a listener. The result ends it: requests under way
// may finish until ctx ends, then their invocations are ended and answered.
func (s *stack) serveAPI(l net.Listener, cert *certificate, failed chan<- error) (end func(context.Context) error) {
	srv := &http.Server{
		Handler: s.api, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 250},
	}
	run := func() error { return srv.Serve(l) }
	if cert != nil {
		srv.TLSConfig = cert.config()
		run = func() error { return srv.ServeTLS(l, "", "") }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("the API on %s: %w", l.Addr(), err)
		}
	}()
	return func(ctx context.Context) error {
		s.api.Drain()
		err := srv.Shutdown(ctx)
		if err != nil {
			// The time is over: ending the environments answers who still waits.
			err = s.endWorker(ctx)
			short, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if srv.Shutdown(short) != nil {
				err = errors.Join(err, srv.Close())
			}
		}
		<-done
		return err
	}
}

// announce says on stderr that the server is ready, where, and what it lacks.
func (s *stack) announce(w world, endpoint, page string) {
	if page == "" {
		page = "off"
	}
	fmt.Fprintf(w.talk, "kiln %s is ready.\n  API      %s\n  console  %s\n  data     %s\n  sandbox  %s: %s\n",
		versionText(), endpoint, page, s.config.DataDir, driverText(s.driver), capabilityText(s.driver.Capabilities(), s.network.off, s.network.through))
}

// driverText names a driver and the tier of isolation that it has here.
func driverText(d sandbox.Driver) string {
	if t, ok := d.(interface{ Tier() string }); ok {
		return d.Name() + " (" + t.Tier() + ")"
	}
	return d.Name()
}

// capabilityText says in one line what a driver does not enforce, and which network
// functions have or why they have none.
func capabilityText(c sandbox.Capabilities, off, through string) string {
	var lacks []string
	for _, x := range []struct {
		has  bool
		name string
	}{
		{c.PrivateFilesystem, "private files"}, {c.PrivateProcesses, "private processes"}, {c.PrivateNetwork, "private network"}, {c.PrivateUser, "own user"},
		{c.MemoryLimit, "memory limit"}, {c.CPULimit, "CPU limit"}, {c.PIDLimit, "process limit"}, {c.ScratchLimit, "limit of /tmp"}, {c.Freeze, "freezing"},
		{c.SyscallFilter, "system call filter"},
		{c.UserLimits, "own share of what the kernel counts for each user"}, {c.ScratchOnDisk, "/tmp on disk"},
	} {
		if !x.has {
			lacks = append(lacks, x.name)
		}
	}
	network := "outbound network off: " + off
	switch {
	case !c.PrivateNetwork:
		network = "the host's network"
	case c.OutboundNetwork && through != "":
		network = "outbound network on, through " + through
	case c.OutboundNetwork:
		network = "outbound network on"
	}
	switch {
	case len(lacks) == 0:
		return "full isolation; " + network
	case !c.PrivateFilesystem && !c.PrivateProcesses && !c.PrivateNetwork && !c.PrivateUser:
		return "no isolation; " + network
	}
	return "without " + strings.Join(lacks, ", ") + "; " + network
}

// runTour makes the tour beside the server that serve runs.
func runTour(ctx context.Context, t *tour, w world, endpoint string, failed <-chan error) error {
	s, err := newServer(w, endpoint, "", "")
	if err != nil {
		return err
	}
	touring, cancel := context.WithCancel(ctx)
	defer cancel()
	var toured error
	over := make(chan struct{})
	go func() {
		defer close(over)
		if toured = t.visit(touring, s); toured == nil {
			toured = t.follow(touring, s)
		}
	}()
	select {
	case err = <-failed:
		cancel()
		<-over
		return err
	case <-over:
	}
	if ctx.Err() != nil { // the user ended it
		return nil
	}
	return toured
}
