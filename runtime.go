package kiln

import (
	"strconv"
	"strings"
)

// Runtime is a descriptor: what the environment of a runtime identifier is made
// of. It is data; the bootstraps and descriptors themselves are in box/runtimes.
type Runtime struct {
	Identifier string // "python3.11"
	Family     string // "python", "nodejs", "provided"
	Version    string // "3.11"; "" for provided
	// Command is the program and its arguments inside the box, wrapper not
	// included. Start CommandFor instead of it: ${HANDLER} stands for the handler.
	Command []string
	// HeapFlag is the argument that limits the language's heap: up to the number of
	// MB, or with ${MB} in its place; "" when the language needs none.
	HeapFlag string
	Env      map[string]string
	// Root is a host directory whose programs, libraries and /etc are the base of the
	// environment instead of the host's own; "" is the host's.
	Root string
	// Whole says that Root is the environment's "/" as it is, with everything that is in
	// it and nothing of the host: it comes from a container image.
	Whole bool
	// Dir is the working directory of the runtime's process; "" is /var/task.
	Dir string
	// Fault is why the process cannot be started at all, as the function's error; nil
	// when nothing is known to be in its way.
	Fault  *RuntimeFault
	Mounts []RuntimeMount
	// Links are symbolic links of the environment's root, by their places.
	Links      map[string]string
	Deprecated string // date, "" when it is not
	// Release is what INIT_START prints: name, version and digest of what serves it.
	Release    string
	ReleaseARN string
}

// UpdateMode says when a version gets another release of its runtime.
type UpdateMode string

// Modes of runtime updates; the zero value is UpdateAuto.
const (
	UpdateAuto       UpdateMode = "" // as soon as there is one
	UpdateOnFunction UpdateMode = "FunctionUpdate"
	UpdateManual     UpdateMode = "Manual"
)

// RuntimeUpdates is when a version gets another release of its runtime, and the release
// that it keeps until then: the last part of its ARN, "" for whatever serves.
type RuntimeUpdates struct {
	Mode    UpdateMode
	Release string
}

// CheckRelease refuses a runtime that is not of the release that a version keeps. There
// is no other here: whoever pins a release would rather not run than run on another.
func (r *Runtime) CheckRelease(v *Version) error {
	release := r.ReleaseARN[strings.LastIndexByte(r.ReleaseARN, ':')+1:]
	if keep := v.Updates.Release; keep != "" && keep != release {
		return Errorf(BadRuntime, "The function keeps runtime version %s, and %s is served by %s now. Put that one back, or let the function have the new one with PutRuntimeManagementConfig.", keep, r.Identifier, release)
	}
	return nil
}

// RuntimeFault is an error of a function that has not begun: AWS's error type, and the
// message without the request id.
type RuntimeFault struct{ Type, Message string }

// CommandFor gives the command that runs a function of this configuration: its
// handler filled in, and the language's heap kept at nine tenths of the memory, so
// that it collects its garbage before the box runs out.
func (r *Runtime) CommandFor(c *Config) []string {
	command := make([]string, 0, len(r.Command)+1)
	for i, argument := range r.Command {
		command = append(command, strings.ReplaceAll(argument, "${HANDLER}", c.Handler))
		if i == 0 && r.HeapFlag != "" && c.MemoryMB > 0 {
			command = append(command, r.heapArgument(c.MemoryMB*9/10))
		}
	}
	return command
}

// heapArgument puts a number of MB into the flag of the heap, where it belongs.
func (r *Runtime) heapArgument(megabytes int) string {
	number := strconv.Itoa(megabytes)
	if strings.Contains(r.HeapFlag, "${MB}") {
		return strings.ReplaceAll(r.HeapFlag, "${MB}", number)
	}
	return r.HeapFlag + number
}

// RuntimeMount shows a host directory or file, read-only, inside the box; an empty
// Source is an empty directory that hides what lies beneath.
type RuntimeMount struct{ Source, Target string }
