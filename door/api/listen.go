package api

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Bounds of a connection. A head must be there soon and is at most what the service
// takes; a body may take as long as an upload of 70 MB on a poor line does, and an
// answer as long as the function runs.
const (
	headTimeout = 10 * time.Second
	bodyTimeout = 10 * time.Minute
	idleTimeout = 2 * time.Minute
	maxHead     = 1 << 20
	maxStreams  = 250 // of one HTTP/2 connection at once
)

// HTTPServer gives a server for listeners of the port, with the bounds that keep one
// client from holding it for others. Its Shutdown first ends the streams of a handler
// that has a Drain method. With a TLS configuration it also speaks HTTP/2. What
// scanners and broken connections cause is logged at debug.
func HTTPServer(h http.Handler, t *tls.Config, log *slog.Logger) *http.Server {
	srv := &http.Server{
		Handler: h, TLSConfig: t,
		ReadHeaderTimeout: headTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	if d, ok := h.(interface{ Drain() }); ok {
		srv.RegisterOnShutdown(d.Drain)
	}
	return srv
}
