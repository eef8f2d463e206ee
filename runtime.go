package kiln

// Runtime is a descriptor: what the environment of a runtime identifier is made
// of. It is data; the bootstraps and descriptors themselves are in box/runtimes.
type Runtime struct {
	Identifier string   // "python3.11"
	Family     string   // "python", "nodejs", "provided"
	Version    string   // "3.11"; "" for provided
	Command    []string // program and arguments inside the box, wrapper not included
	Env        map[string]string
	Mounts     []RuntimeMount
	Deprecated string // date, "" when it is not
	// Release is what INIT_START prints: name, version and digest of what serves it.
	Release    string
	ReleaseARN string
}

// RuntimeMount shows a host directory or file, read-only, inside the box; an empty
// Source is an empty directory that hides what lies beneath.
type RuntimeMount struct{ Source, Target string }
