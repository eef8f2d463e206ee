package kiln

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of refusal an Error is, so that a caller can act on it.
// The doors map codes to the exceptions of their protocol, in one table.
type Code string

// The codes. There are few, on purpose.
const (
	Invalid      Code = "invalid"      // the request asks for something that cannot be
	NotFound     Code = "not found"    // the thing named does not exist
	Denied       Code = "denied"       // somebody else does not let the platform do it
	Conflict     Code = "conflict"     // it exists already, or its state does not allow it
	Precondition Code = "precondition" // the caller's revision is not the latest
	BadContent   Code = "bad content"  // the payload is not what it must be
	TooLarge     Code = "too large"    // the payload exceeds its limit
	Recursion    Code = "recursion"    // functions call each other in a loop, without an end
	Throttled    Code = "throttled"    // a limit of concurrency or rate; Reason says which
	Quota        Code = "quota"        // storage used up
	Unsupported  Code = "unsupported"  // kiln does not do this (yet); the message says what
	Unavailable  Code = "unavailable"  // the platform cannot do it now; trying again may help
	BadPackage   Code = "bad package"  // the function's code cannot be put in place
	BadRuntime   Code = "bad runtime"  // no interpreter serves the function's runtime here
	BadMount     Code = "bad mount"    // a shared file system of the function cannot be put in place
	BadNetwork   Code = "bad network"  // a subnet or security group of the function is not there
	Internal     Code = "internal"     // a fault of the platform
)

// Reasons of a Throttled error, as AWS names them.
const (
	ReasonAccountConcurrency  = "ConcurrentInvocationLimitExceeded"
	ReasonReservedConcurrency = "ReservedFunctionConcurrentInvocationLimitExceeded"
	ReasonInvocationRate      = "FunctionInvocationRateLimitExceeded"
	ReasonCapacity            = "CallerRateLimitExceeded" // the machine's budget of memory is used up
)

// Error is a failure of the platform or a refusal of a request. What a function
// did wrong is never an Error but part of an Outcome.
type Error struct {
	Code       Code
	Message    string // the text that a client sees
	Reason     string // of Throttled; of BadPackage for an image, where it is AWS's reason code
	RetryAfter time.Duration
	Err        error // the cause, for the log; a client sees Message alone
}

// Error gives the message and, for the log, its cause.
func (e *Error) Error() string {
	if e.Err != nil && !strings.Contains(e.Message, e.Err.Error()) {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a code with a formatted message; %w keeps a cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// ReasonOf gives the reason of err, "" when it has none.
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// CodeOf gives the code of err, or Internal when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
