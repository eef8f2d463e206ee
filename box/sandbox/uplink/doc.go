// Package uplink gives a user who is not root a network namespace with a way out: it
// runs pasta or slirp4netns beside it, which carry its packets through ordinary sockets.
// What else hangs on that namespace is not its business.
//
// The program runs in a process namespace of its own, whose first process waits for
// the end of this one: it is gone with the server, however that ends. It never opens a
// port, and it leads to no address of the host itself where the program can be told so;
// Deny names the rest.
package uplink
