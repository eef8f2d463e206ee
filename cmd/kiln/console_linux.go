package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"kiln/door/console"
)

// serveConsole begins to answer on the listener of the status page. The result ends
// it at once: nobody loses anything there.
func (s *stack) serveConsole(l net.Listener, endpoint string, failed chan<- error) (end func(context.Context) error) {
	started := time.Now()
	srv := &http.Server{
		Handler: console.New(console.Options{
			Status: func() console.Status { return s.status(endpoint, started) },
			Listen: s.config.Console, Hosts: s.config.AllowHost, Logger: s.log,
		}),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("the console on %s: %w", l.Addr(), err)
		}
	}()
	return func(context.Context) error {
		err := srv.Close()
		<-done
		return err
	}
}

// status is what the status page shows now.
func (s *stack) status(endpoint string, started time.Time) console.Status {
	st := console.Status{
		Version: versionText(), Started: started, API: endpoint, DataDir: s.config.DataDir,
		Sandbox: driverText(s.driver) + ": " + capabilityText(s.driver.Capabilities(), s.network.off, s.network.through), Functions: s.catalog.Count(), Load: s.worker.Load(),
	}
	frozen := s.driver.Capabilities().Freeze
	for _, e := range s.worker.Environments() {
		st.Environments = append(st.Environments, console.Environment{
			ID: e.ID, Function: e.Function.Name, Version: e.Version, Account: e.Function.Account, Region: e.Function.Region, State: e.State,
			Frozen: frozen && e.State == "idle", MemoryBytes: e.MemoryBytes, MemoryMB: s.memoryOf(e), Since: e.Since, Invocations: e.Invocations,
		})
	}
	return st
}
