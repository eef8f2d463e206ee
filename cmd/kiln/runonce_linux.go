package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"kiln/client"
	"kiln/telemetry"
)

// runOnce opens a whole server without an address, in a folder that goes away
// again, and makes one invocation through its door: what holds for a server holds
// here.
func runOnce(ctx context.Context, w world, c *config, f *function, payload []byte, quiet bool) (got *answer, err error) {
	clog := newLogger(w, c.LogLevel)
	dir, leave, err := enterRun(c, clog)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	log := &logPrinterSink{out: w.talk}
	if quiet {
		log.out = io.Discard
	}
	s, err := openStack(ctx, c, stackOptions{dataDir: dir, runtimesDir: c.DataDir, sink: log, ahead: -1, port: insidePort, inside: w.inside, warm: f.source.Language.Family() == "provided"}, clog)
	if err != nil {
		return nil, err
	}
	defer func() {
		drain := c.DrainTimeout
		if ctx.Err() != nil { // the user does not want the answer any more
			drain = 0
		}
		closing, cancel := deadline(drain, w.again)
		defer cancel()
		err = errors.Join(err, s.close(closing))
	}()
	server, err := s.inProcess(w)
	if err != nil {
		return nil, err
	}
	silent := w
	silent.talk = io.Discard
	d := &deployment{server: server, function: f, w: silent}
	if _, err := d.run(ctx); err != nil {
		return nil, server.explain(err, "")
	}
	out, err := server.Invoke(ctx, &client.InvocationRequest{FunctionName: f.Name, Payload: payload, LogType: orNil("Tail")})
	if err != nil {
		return nil, server.explain(err, f.Name)
	}
	return &answer{payload: out.Payload, failed: out.FunctionError != ""}, nil
}

// inProcess gives a client whose requests go straight to the door.
func (s *stack) inProcess(w world) (*server, error) {
	server, err := newServer(w, "http://localhost", defaultAccount, "")
	if err != nil {
		return nil, err
	}
	server.Client, err = client.New(server.endpoint, client.WithHTTPClient(&http.Client{Transport: direct{s.api}}),
		client.WithCredentials(client.Credentials{AccessKeyID: server.account, SecretAccessKey: "kiln", Region: server.region}))
	return server, err
}

// direct is a transport that calls a handler in this process.
type direct struct{ handler http.Handler }

// RoundTrip lets the handler answer and gives its answer when it is whole. When the
// context of a request ends first, so does the waiting; the handler sees it too.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "127.0.0.1:1", r.URL.Host
	got := &recorder{header: http.Header{}, status: http.StatusOK}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.handler.ServeHTTP(got, in)
	}()
	select {
	case <-done:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: got.status, Status: http.StatusText(got.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: got.header, Body: io.NopCloser(&got.body), ContentLength: int64(got.body.Len()), Request: r,
	}, nil
}

// recorder is a ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write is http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// logPrinterSink prints what an environment tells, line by line.
type logPrinterSink struct {
	mu  sync.Mutex
	out io.Writer
}

// Emit is telemetry.Sink. What cannot be printed is nobody's loss but the reader's.
func (p *logPrinterSink) Emit(e telemetry.Event) {
	if !e.Logged() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintln(p.out, printableLines(e.Text()))
}
