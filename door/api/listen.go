package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServeOptions is how a listener is served; zero members are the defaults.
type ServeOptions struct {
	TLS    *tls.Config   // nil: plain HTTP
	Grace  time.Duration // how long requests may take to end at shutdown; 0 is 30 s
	Logger *slog.Logger
}

// Bounds of a connection. A head must be there soon; a body may take as long as an
// upload of 70 MB on a poor line does, and an answer as long as the function runs.
const (
	headTimeout = 10 * time.Second
	bodyTimeout = 10 * time.Minute
	idleTimeout = 2 * time.Minute
	maxHead     = 1 << 20
	maxStreams  = 250 // of one HTTP/2 connection at once
)

// Serve answers the requests of a listener until ctx ends; then it takes no more,
// ends the streams of a handler that has a Drain method, gives the others the grace
// time and cuts what is left. It returns nil after a shutdown in good order, and
// always closes the listener.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServeOptions) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Grace <= 0 {
		o.Grace = 30 * time.Second
	}
	srv := &http.Server{
		Handler: h, TLSConfig: o.TLS,
		ReadHeaderTimeout: headTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug), // scanners and broken connections
	}
	if d, ok := h.(interface{ Drain() }); ok {
		srv.RegisterOnShutdown(d.Drain)
	}
	ended := make(chan error, 1)
	go func() { // ends with srv.Close below, at the latest
		if o.TLS != nil {
			ended <- srv.ServeTLS(l, "", "")
		} else {
			ended <- srv.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		_ = srv.Close() // what did not end in time is cut
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("shut down %s: %w", l.Addr(), err)
	}
	return nil
}
