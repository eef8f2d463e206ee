package environment

import (
	"slices"

	"kiln/box/rapi"
	"kiln/box/sandbox"
)

// extension is one extension of a life: external, a process of its own, or internal, a
// part of the runtime's process. The environment's goroutine alone uses it.
type extension struct {
	name             string
	id               string // its identifier, which proves who it is
	state            extensionState
	invoke, shutdown bool // the events that it registered for
	internal         bool
	process          sandbox.Process // nil of an internal one and of one that could not be started
	gone             bool            // the process ended
	errorType        string          // that it gave, or why it could not be started

	asked     bool                 // it asked for an event and was given none since
	listeners []*listener          // its GET event/next that wait, the newest last
	pending   *rapi.ExtensionEvent // what the next GET event/next gets
	given     *listener            // the GET event/next that got the last event
	last      *rapi.ExtensionEvent // that event
}

// extensionState is where an extension stands, as AWS sees it.
type extensionState int

// The states of an extension.
const (
	extensionStarted extensionState = iota
	extensionRegistered
	extensionReady   // it waits for an event
	extensionRunning // it has one
	extensionInitError
	extensionExitError
	extensionExited
	extensionLaunchError
)

// String gives AWS's name of the state.
func (s extensionState) String() string { return extensionStates[s] }

var extensionStates = [...]string{"Started", "Registered", "Ready", "Running", "InitError", "ExitError", "Exited", "LaunchError"}

// extensionMoves says from where an extension may bring itself into a state. All other
// changes of state are the environment's.
var extensionMoves = map[extensionState][]extensionState{
	extensionRegistered: {extensionStarted},
	extensionReady:      {extensionRegistered, extensionReady, extensionRunning},
	extensionInitError:  {extensionRegistered},
	extensionExitError:  {extensionRegistered, extensionReady, extensionRunning},
}

// move brings the extension into a state, or says in AWS's words that it cannot be.
func (x *extension) move(to extensionState) *rapi.Refusal {
	for _, from := range extensionMoves[to] {
		if x.state == from {
			x.state = to
			return nil
		}
	}
	return &rapi.Refusal{
		Status:  403,
		Type:    "Extension.InvalidExtensionState",
		Message: "State transition from " + x.state.String() + " to " + to.String() + " failed for extension " + x.id + ". Error: State transition is not allowed",
	}
}

// events names what the extension registered for.
func (x *extension) events() []string {
	events := []string{}
	if x.invoke {
		events = append(events, "INVOKE")
	}
	if x.shutdown {
		events = append(events, "SHUTDOWN")
	}
	return events
}

// alive reports whether a process of its own runs.
func (x *extension) alive() bool { return x.process != nil && !x.gone }

// listen takes a GET event/next. Older ones, whose connections must have broken, go on
// waiting behind it.
func (x *extension) listen(l *listener) {
	x.listeners, x.given = append(x.listeners, l), nil
	if x.pending != nil {
		x.give(x.pending)
		return
	}
	x.asked = true
}

// forsake learns that the connection of a GET event/next is gone. An event that was
// given to it in this moment was not seen, and another one gets it.
func (x *extension) forsake(l *listener) {
	if i := slices.Index(x.listeners, l); i >= 0 {
		x.listeners = slices.Delete(x.listeners, i, i+1)
		return
	}
	if l == x.given {
		x.given = nil
		x.give(x.last)
	}
}

// give gives the extension an event, or keeps it until it asks.
func (x *extension) give(event *rapi.ExtensionEvent) {
	x.asked = false
	n := len(x.listeners) - 1
	if n < 0 {
		x.pending = event
		return
	}
	x.given, x.last, x.pending = x.listeners[n], event, nil
	x.listeners = slices.Delete(x.listeners, n, n+1)
	x.given.told <- news{event: event}
	x.state = extensionRunning
}
