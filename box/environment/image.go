package environment

import (
	"maps"

	"kiln"
)

// imageFamily is the family of runtimes that are container images themselves: they
// know their own variables, programs and places.
const imageFamily = "image"

// startsItself reports whether what is started calls the wrapper script of a function
// by itself, or nothing does: custom runtimes, images, and AWS's own clients.
func startsItself(rt kiln.Runtime) bool {
	return rt.Family == "provided" || rt.Family == imageFamily || rt.Whole && rt.Command[0] == "/var/runtime/bootstrap"
}

// workDir is where the runtime's process begins.
func workDir(rt kiln.Runtime) string {
	if rt.Dir != "" {
		return rt.Dir
	}
	return "/var/task"
}

// imageDefaults are the variables that an image may set otherwise. An image has its
// own idea of languages, paths and zones.
func imageDefaults(endpoint string) map[string]string {
	vars := map[string]string{
		"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": xrayHost + ":" + xrayPort,
	}
	if endpoint != "" {
		vars["AWS_ENDPOINT_URL"] = endpoint
	}
	return vars
}

// imageReserved takes out of what a function cannot set what an image says: its entry
// point knows the handler, and its directories are its own.
func imageReserved(vars map[string]string) map[string]string {
	maps.DeleteFunc(vars, func(name, _ string) bool {
		switch name {
		case "_HANDLER", "AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR":
			return true
		}
		return false
	})
	return vars
}

// known gives the fault of a runtime that can never be started, or nil.
func known(rt kiln.Runtime) *fault {
	if rt.Fault == nil {
		return nil
	}
	return &fault{kiln.StatusFailure, rt.Fault.Type, rt.Fault.Message, nil}
}
