package rapi

import "context"

// ExtensionGuest is the environment as the extensions in it see it. Its methods are
// called from many goroutines at once.
type ExtensionGuest interface {
	// Register takes an extension in.
	Register(r Registration) (*Registered, *Refusal)
	// NextEvent waits until there is an event for the extension of this identifier and
	// gives it. ctx and errors are as with Next.
	NextEvent(ctx context.Context, id string) (*ExtensionEvent, error)
	// ExtensionInitError hands in that an extension could not begin.
	ExtensionInitError(id, errorType string) *Refusal
	// ExtensionExitError hands in that an extension ends because of an error.
	ExtensionExitError(id, errorType string) *Refusal
}

// Registration is an extension that asks to be taken in.
type Registration struct {
	Name             string // not empty, one line, at most maxName bytes
	Invoke, Shutdown bool   // the events that it wants
}

// Registered is what an extension learns when it was taken in.
type Registered struct {
	Identifier string
	Function   string
	Version    string
	Handler    string
	Account    string // told only to who accepts the feature accountId
}

// ExtensionEvent is one event as GET event/next shows it. It is not changed after
// NextEvent returned it.
type ExtensionEvent struct {
	Identifier string
	// Reason is why a SHUTDOWN comes: "spindown", "timeout" or "failure"; "" is an
	// INVOKE.
	Reason     string
	DeadlineMS int64 // epoch

	RequestID string // of an INVOKE, as the two below
	ARN       string // as invoked, qualifier included
	Trace     string
}

// Types of errors that extensions get, in AWS's words.
const (
	typeFormat            = "InvalidRequestFormat"
	typeName              = "Extension.InvalidExtensionName"
	typeEvent             = "Extension.InvalidEventType"
	typeHeader            = "Extension.MissingHeader"
	typeMissingIdentifier = "Extension.MissingExtensionIdentifier"
	typeInvalidIdentifier = "Extension.InvalidExtensionIdentifier"
)

// maxName is how long the name of an extension may be: as long as a file's.
const maxName = 255

// maxErrorType is how much of the type of an extension's error is kept.
const maxErrorType = 256
