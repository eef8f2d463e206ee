// Package gorpc is what starts a function of the runtime go1.x inside its box: as it
// is, when it speaks the Runtime API, else behind a bridge that speaks the protocol of
// that runtime's first years, net/rpc on a local port. It never runs in the server, and
// knows nothing of kiln.
package gorpc

// Name is what the program must be called for it to be the bridge.
const Name = "kiln-go1.x"
