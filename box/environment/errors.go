package environment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kiln"
	"kiln/box/rapi"
	"kiln/box/sandbox"
)

// Error types that the platform itself gives.
const (
	typeExit       = "Runtime.ExitError"
	typeEntrypoint = "Runtime.InvalidEntrypoint"
	typeMode       = "Runtime.InvalidResponseModeHeader"
	typeTooLarge   = "Function.ResponseSizeTooLarge"
	typeTimeout    = "Sandbox.Timedout"
	typeSandbox    = "Sandbox.Failure"

	typeExtensionLaunch = "Extension.LaunchError"
	typeExtensionCrash  = "Extension.Crash"
	typeExtensionInit   = "Extension.InitError"
	typeExtensionExit   = "Extension.ExitError"
)

// fault is why an init or an invocation failed: the first thing that went wrong.
type fault struct {
	status    kiln.ReportStatus
	errorType string
	message   string // without the request id
	payload   []byte // what the runtime itself said; it is the caller's answer as it is
}

// answer gives the JSON that the caller gets.
func (f *fault) answer(requestID string) []byte {
	if len(f.payload) > 0 {
		return f.payload
	}
	if f.errorType == typeTooLarge {
		// The one text without a request id, and with its members the other way round.
		return marshal(struct {
			Message string `json:"errorMessage"`
			Type    string `json:"errorType"`
		}{f.message, f.errorType})
	}
	return marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{f.errorType, "RequestId: " + requestID + " Error: " + f.message})
}

// line gives the line that the platform writes into the log about it, or "" when
// the runtime has said everything.
func (f *fault) line(requestID string, now time.Time) string {
	switch {
	case f.status == kiln.StatusTimeout:
		return now.UTC().Format("2006-01-02T15:04:05.000Z") + " " + requestID + " " + f.message
	case len(f.payload) > 0:
		return ""
	}
	return "RequestId: " + requestID + " Error: " + f.message + "\n" + f.errorType
}

// marshal gives JSON as AWS writes it: <, > and & stay as they are.
func marshal(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // structs of strings can always be encoded
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// timedOut is the fault of an invocation that took longer than allowed.
func timedOut(limit time.Duration) *fault {
	return &fault{kiln.StatusTimeout, typeTimeout, fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()), nil}
}

// exitFault says how a runtime ended, in the words of AWS.
func exitFault(s sandbox.ExitStatus) *fault {
	f := &fault{status: kiln.StatusFailure, errorType: typeExit}
	switch {
	case s.Signal > 0:
		f.message = "Runtime exited with error: signal: " + syscall.Signal(s.Signal).String()
	case s.Code > 0:
		f.message = "Runtime exited with error: exit status " + strconv.Itoa(s.Code)
	default:
		f.message = "Runtime exited without providing a reason"
	}
	return f
}

// crashFault says how an extension ended that should not have, in the words of AWS.
func crashFault(s sandbox.ExitStatus) *fault {
	f := &fault{kiln.StatusFailure, typeExtensionCrash, "exit code 0", nil}
	switch {
	case s.Signal > 0:
		f.message = "signal: " + syscall.Signal(s.Signal).String()
	case s.Code > 0:
		f.message = "exit status " + strconv.Itoa(s.Code)
	}
	return f
}

// goneFault is the fault of a function whose box ended under it.
func goneFault() *fault {
	return &fault{kiln.StatusFailure, typeSandbox, "The execution environment ended unexpectedly", nil}
}

// startFault is the fault of a program that could not be executed. A wrapper script
// that is not there is an exit of the shell that AWS starts it from.
func startFault(err *sandbox.StartError, tried []string, wrapper bool) *fault {
	missing := errors.Is(err, syscall.ENOENT)
	switch {
	case wrapper && missing:
		return exitFault(sandbox.ExitStatus{Code: 127})
	case wrapper:
		return exitFault(sandbox.ExitStatus{Code: 126})
	case missing && len(tried) > 1:
		return &fault{kiln.StatusFailure, typeEntrypoint, "Couldn't find valid bootstrap(s): [" + strings.Join(tried, " ") + "]", nil}
	}
	return &fault{kiln.StatusFailure, typeEntrypoint, "fork/exec " + err.Path + ": " + err.Err.Error(), nil}
}

// oversized is the fault of an answer above a limit.
func oversized(limit int64) *fault {
	return &fault{kiln.StatusError, typeTooLarge, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limit), nil}
}

// invalidRequestID refuses an answer to something else than what runs.
func invalidRequestID() *rapi.Refusal {
	return &rapi.Refusal{Status: 400, Type: "InvalidRequestID", Message: "Invalid request ID"}
}

// invalidInvocationID refuses an answer to another attempt.
func invalidInvocationID() *rapi.Refusal {
	return &rapi.Refusal{Status: 400, Type: "InvalidInvocationId", Message: "Invalid invocation ID"}
}

// invalidTransition names the states as AWS's runtime interface does.
func invalidTransition(from State, to string) *rapi.Refusal {
	return &rapi.Refusal{
		Status:  403,
		Type:    "InvalidStateTransition",
		Message: "State transition from " + runtimeStates[from] + " to " + to + " failed for runtime. Error: State transition is not allowed",
	}
}

// runtimeStates are AWS's names for where the runtime process stands.
var runtimeStates = [states]string{
	Created: "Started", Registering: "Started", Initializing: "Started", Failing: "InitError", Ready: "Ready", Frozen: "Ready",
	Invoking: "Running", Responded: "ResponseSent", Stopping: "Exited", Parting: "Exited", Broken: "Exited",
	Reregistering: "Started", Restarting: "Started", RestartFailing: "InitError",
	Closing: "Exited", Leaving: "Exited", Dead: "Exited",
}

// errLifeOver ends a request of a process that is no longer the runtime.
var errLifeOver = errors.New("the runtime process is over")

// lifeOver is what such a process is told, should it still be there to hear it.
func lifeOver() *rapi.Refusal { return invalidTransition(Broken, "Ready") }

// unavailable is the error of an invocation that no function saw.
func unavailable(cause error) error {
	return &kiln.Error{Code: kiln.Unavailable, Message: "The execution environment is no longer available.", Err: cause}
}

// handlerFault is an error that the runtime reported itself.
func handlerFault(errorType string, payload []byte) *fault {
	f := &fault{status: kiln.StatusError, errorType: errorType, payload: payload}
	switch {
	case len(payload) > 0:
	case errorType == typeMode:
		f.message = "Invalid function response mode"
	default:
		f.message = "The runtime reported an error without saying which"
	}
	return f
}
