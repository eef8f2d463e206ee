// Package rapi serves the Runtime API and its neighbours to the processes of one environment: a
// hand-written HTTP/1.1 server for a handful of fixed routes, on a listener that
// the sandbox opened. It reads requests strictly, because function code is on the
// other side, and hands what they mean to a Guest. It never decides whether an
// answer is allowed, never keeps an invocation and never starts a process.
package rapi

import (
	"context"

	"kiln"
)

// Guest is the environment as its own processes see it. Its methods are called
// from many goroutines at once.
type Guest interface {
	StreamGuest
	TelemetryGuest
	ExtensionGuest
	// Next waits until there is work for the runtime and gives it. ctx ends when the
	// connection that asked is gone. A *Refusal as error is answered as such; any
	// other error closes the connection.
	Next(ctx context.Context) (*Event, error)
	// Respond hands in the answer to an invocation; the guest keeps payload.
	// invocationID is empty when the runtime did not echo one.
	Respond(requestID, invocationID string, payload []byte) *Refusal
	// Oversize says that the runtime posted an answer larger than allowed. Its bytes
	// were not kept.
	Oversize(requestID, invocationID string) *Refusal
	// Fail hands in the error of an invocation; errorType is already normalised and
	// the guest keeps payload.
	Fail(requestID, invocationID, errorType string, payload []byte) *Refusal
	// FailInit hands in the error that ended the runtime's initialisation.
	FailInit(errorType string, payload []byte) *Refusal
}

// Event is one invocation as GET next shows it. It is not changed after Next
// returned it. An empty member sends no header.
type Event struct {
	RequestID     string
	InvocationID  string // unique for each attempt
	ARN           string // as invoked, qualifier included
	Trace         string
	ClientContext string
	TenantID      string
	DeadlineMS    int64 // epoch
	Payload       []byte
}

// Refusal is a request that was not accepted: the HTTP status and the two members
// of AWS's error body.
type Refusal struct {
	Status  int
	Type    string
	Message string
}

// Error gives type and message, so that Next can return a Refusal.
func (r *Refusal) Error() string { return r.Type + ": " + r.Message }

// Options are the limits of a server. The zero value takes AWS's.
type Options struct {
	MaxBody  int64 // of an answer; 0 is kiln.MaxResponsePayload
	MaxConns int   // open connections; 0 is 64
}

// withDefaults fills in what was left zero.
func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = kiln.MaxResponsePayload
	}
	if o.MaxConns == 0 {
		o.MaxConns = 64
	}
	return o
}
