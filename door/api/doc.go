// Package api is the door that AWS clients and kiln's own command line come
// through: one port with one routing table. It says who a request comes from and
// which operation it is, turns shapes of the API into the nouns of package kiln and
// back, one file an operation, and answers in the service's own words.
//
// It never runs a function, never keeps state of functions and never writes to a
// store: what it needs from others is declared in rooms.go and given to it. It
// accepts no setting that kiln would not obey: settings.go refuses those by name.
package api
