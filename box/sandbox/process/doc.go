// Package process is the sandbox driver without isolation, for development on
// machines that cannot do better: programs run on the host as the server's own
// user, see everything that it sees, and have no limit. It is never chosen in
// silence: whoever wants it asks for it by name.
//
// It keeps the shape of a box: programs and their children are frozen and killed
// together as long as they stay in their process group, and each box has
// a scratch directory and listeners of its own.
package process

// Options is what the driver needs to know.
type Options struct {
	// Dir is where boxes get their directories, made when missing; required.
	Dir string
}
