package environment

import (
	"io"
	"net"

	"kiln"
)

// Inside is kiln's own API as the processes of an environment reach it.
type Inside struct {
	// Address is where they find it, host:port, in a sandbox with a network of its own.
	// It must not be RuntimeAPI.
	Address string
	Door    Door
	// Credentials gives what a function that runs as a role signs with, when the server
	// has such; nil and not ok are made-up ones, which are worth something to Door alone.
	Credentials func(f kiln.FunctionID, role string) (keyID, secret, token string, ok bool)
}

// credentialsOf gives the credentials of one environment.
func (i *Inside) credentialsOf(v *kiln.Version) credentials {
	if i != nil && i.Credentials != nil {
		if id, secret, token, ok := i.Credentials(v.Function, v.Config.Role); ok {
			return credentials{id, secret, token}
		}
	}
	return newCredentials(v.Function.Account)
}

// Door answers for kiln's own API.
type Door interface {
	// Serve answers the connections of l until the result is closed, each request as
	// one of c, and returns at once. It owns l. Closing ends l and every connection;
	// it does not wait for what their requests have set in motion.
	Serve(l net.Listener, c Caller) io.Closer
}

// Caller is who the processes of an environment are. A listener that only they can
// reach proves it; Token proves that a request was meant to be made.
type Caller struct {
	Function kiln.FunctionID
	Role     string // ARN of the execution role, as the function names it
	Token    string // the session token that this environment has and no other
}

// within is the listener of kiln's own API in the box, from the first start of a
// process to the end of the environment: it outlives the processes.
type within struct {
	url    string
	closer io.Closer
}

// admit opens the door for what is in the box.
func (e *Environment) admit(l net.Listener) {
	e.within = &within{
		url:    "http://" + l.Addr().String(),
		closer: e.inside.Door.Serve(l, Caller{e.version.Function, e.version.Config.Role, e.credentials.token}),
	}
}

// shutDoor ends the listener and every connection of kiln's own API.
func (e *Environment) shutDoor() {
	if e.within != nil {
		_ = e.within.closer.Close() // its listener may have gone with the sandbox
	}
}

// endpoint is where kiln's own API is found inside; "" where it is not.
func (e *Environment) endpoint() string {
	if e.within == nil {
		return ""
	}
	return e.within.url
}
