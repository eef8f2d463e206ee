package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"kiln"
	"kiln/back/source/sqs"
	"kiln/door/api"
	"kiln/door/auth"
	mappings "kiln/engine/mapping"
)

var (
	_ api.Mappings  = (*mappings.Manager)(nil)
	_ mappings.Book = catalogDoor{}
)

// openMappings makes the mappings and what they read from. Nothing is read yet.
func (s *stack) openMappings() {
	s.mappings = mappings.New(mappings.Options{
		Book: s.catalog, Invoker: s.dispatch, Sources: map[string]mappings.Source{"sqs": sqs.New(s.sqs())}, Permit: s.mayRead,
		Concurrency: s.config.AccountConcurrency, Logger: s.log,
	})
	s.add("mappings", s.mappings.Close)
}

// sqs gives where queues are: in this server, as it is not told otherwise.
func (s *stack) sqs() sqs.Options {
	switch s.config.SQSEndpoint {
	case "":
		return sqs.Options{Endpoint: "http://localhost", Transport: inProcess{s}, Credentials: s.mappingCredentials,
			Address: func(_, account, name string) string { return "http://localhost/" + account + "/" + name }}
	case "aws":
		return sqs.Options{}
	}
	return sqs.Options{Endpoint: s.config.SQSEndpoint}
}

// mappingCredentials gives what a mapping signs with for this server: a session of the
// role of its function, or the account where nobody checks.
func (s *stack) mappingCredentials(m *kiln.Mapping) (sqs.Credentials, error) {
	if !s.gate.Verifies() {
		return sqs.Credentials{KeyID: m.Account, Secret: "unchecked"}, nil
	}
	v, err := s.catalog.Version(m.Function, m.Qualifier)
	if err != nil {
		return sqs.Credentials{}, err
	}
	c, ok := s.accounts.Function(m.Function, v.Config.Role)
	if !ok {
		return sqs.Credentials{}, errNoRole(v)
	}
	return sqs.Credentials{KeyID: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken, Expires: c.Expires}, nil
}

func errNoRole(v *kiln.Version) error {
	return kiln.Errorf(kiln.Invalid, "The role %s of the function is not there, so that it may read nothing.", v.Config.Role)
}

// mayRead refuses a mapping when the role of its function may not read the queue. What a
// queue of another account allows is that account's, and its server asks.
func (s *stack) mayRead(m *kiln.Mapping, v *kiln.Version) error {
	if !s.gate.Verifies() {
		return nil
	}
	caller := s.accounts.Session(m.Function, v.Config.Role)
	if caller == nil {
		return errNoRole(v)
	}
	owner := ""
	if parts := strings.SplitN(m.Source, ":", 6); len(parts) == 6 {
		owner = parts[4]
	}
	if owner != m.Function.Account {
		return nil
	}
	for _, action := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		err := s.gate.Judge(auth.Identity{Scope: m.Scope, Principal: caller.ARN, Caller: caller}, nil, auth.Act{Action: "sqs:" + action, Resource: m.Source, Owner: owner})
		if err != nil {
			return &kiln.Error{Code: kiln.Invalid, Message: "The provided execution role does not have permissions to call " + action + " on SQS", Err: errors.New(err.Error())} // the refusal is not the caller's
		}
	}
	return nil
}

// inProcess sends requests to the server's own port without a network: it needs no
// certificate, and works until the last part of the server ends.
type inProcess struct{ stack *stack }

// RoundTrip is http.RoundTripper.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	w := &reply{header: http.Header{}}
	if !p.serve(w, in) {
		return nil, errors.New("the server broke off its answer")
	}
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(w.code()), StatusCode: w.code(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// serve reports whether a request got a whole answer.
func (p inProcess) serve(w *reply, r *http.Request) (whole bool) {
	defer func() {
		if broken := recover(); broken != nil && broken != any(http.ErrAbortHandler) { // a panic value, not an error chain
			panic(broken)
		} else if broken != nil {
			whole = false
		}
	}()
	p.stack.api.ServeHTTP(w, r)
	return true
}

// reply keeps an answer.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is http.ResponseWriter.
func (w *reply) Header() http.Header { return w.header }

// WriteHeader is http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write is http.ResponseWriter.
func (w *reply) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *reply) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
