// Package network gives network namespaces that somebody else made a way out, and
// keeps them from everything else: the host's own addresses, each other, metadata
// services.
//
// Each namespace has a virtual cable to one gateway namespace, which belongs to the
// server and filters; the gateway has one cable to the host, which translates
// addresses. A host so sees one interface, one route a family and one table of
// rules, however many environments there are, and all of them are gone with the
// server, however it ends. What would stay (settings of the host, rules in other
// programs' tables) is written down or marked, and undone at Close or by the next
// Open.
//
// Names are resolved by a forwarder that listens in each namespace and asks the
// host's resolvers.
//
// It never makes or enters a process, and it knows nothing of boxes, functions or
// what runs in a namespace.
package network
