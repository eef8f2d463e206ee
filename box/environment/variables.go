package environment

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"kiln"
)

// RuntimeAPI is the address at which the processes of an environment find the
// Runtime API, in a sandbox with a network of its own.
const RuntimeAPI = "127.0.0.1:9001"

// Parts of PATH and LD_LIBRARY_PATH as recorded; the unusual slash is real.
const (
	basePath    = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
	baseLibPath = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
	langBin     = "/var/lang/bin:"
	langLib     = "/var/lang/lib:"
)

// addresses are where a process finds the Runtime API, host:port, and kiln's own, a
// URL or "".
type addresses struct{ runtime, kiln string }

// variables gives the environment of the runtime process as NAME=value: AWS's
// defaults, those of the runtime's descriptor, the function's own, and last what
// the function must not change. Order has no meaning. _X_AMZN_TRACE_ID is not among
// them: the bootstraps set it for each event.
func variables(v *kiln.Version, rt kiln.Runtime, init kiln.InitType, a addresses, stream string, c credentials) []string {
	vars := defaults(rt, a.kiln)
	if l := v.Config.Logging; l.JSON() {
		vars["AWS_LAMBDA_LOG_FORMAT"], vars["AWS_LAMBDA_LOG_LEVEL"] = l.Format, l.ApplicationLevel
	}
	for name, value := range rt.Env {
		vars[name] = value
	}
	for name, value := range v.Config.Environment {
		// AWS drops names that could pass for its own.
		if !strings.HasPrefix(name, "_") {
			vars[name] = value
		}
	}
	for name, value := range reserved(v, rt, init, a.runtime, stream, c) {
		vars[name] = value
	}
	list := make([]string, 0, len(vars))
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

// runtimeOnly are the variables that an extension does not get, in the list of AWS.
var runtimeOnly = []string{
	"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT",
	"_LAMBDA_TELEMETRY_LOG_FD", // a descriptor that it does not have
}

// extensionVariables gives the environment of an extension: that of the runtime without
// what is the runtime's own, and without what a language's descriptor adds.
func extensionVariables(v *kiln.Version, rt kiln.Runtime, init kiln.InitType, a addresses, c credentials) []string {
	rt.Env = nil
	list := variables(v, rt, init, a, "", c)
	return slices.DeleteFunc(list, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(runtimeOnly, name) || name == "SHLVL" || name == "PWD"
	})
}

// defaults are the variables that a function may set otherwise, as recorded for
// each family of runtimes. What AWS's clients read to find AWS leads to kiln, where
// there is an endpoint inside: unlike on AWS, somebody has to tell them.
func defaults(rt kiln.Runtime, endpoint string) map[string]string {
	if rt.Family == imageFamily {
		return imageDefaults(endpoint)
	}
	path, lib := langBin+basePath, langLib+baseLibPath
	switch {
	case rt.Identifier == "provided.al2", rt.Identifier == "provided", rt.Identifier == "go1.x":
		path, lib = basePath, baseLibPath // no language is installed there
	case rt.Family == "ruby":
		path, lib = langBin+path, langLib+lib // its start script puts them in front again
	}
	vars := map[string]string{
		"LANG":            "en_US.UTF-8",
		"TZ":              ":UTC",
		"PATH":            path,
		"LD_LIBRARY_PATH": lib,
		// There is no X-Ray daemon yet. The address is always set, as on AWS, so that
		// code which reads it works; what is sent there is lost.
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":  xrayHost + ":" + xrayPort,
	}
	if endpoint != "" {
		vars["AWS_ENDPOINT_URL"] = endpoint
	}
	switch rt.Family {
	case "python", "nodejs", "ruby", "dotnet":
		// AWS starts these through a shell, which leaves its marks.
		vars["PWD"], vars["SHLVL"] = "/var/task", "0"
	}
	return vars
}

const xrayHost, xrayPort = "127.0.0.1", "2000"

// reserved are the variables that a function cannot set.
func reserved(v *kiln.Version, rt kiln.Runtime, init kiln.InitType, api, stream string, c credentials) map[string]string {
	vars := map[string]string{
		"_HANDLER":                        v.Config.Handler,
		"LAMBDA_TASK_ROOT":                "/var/task",
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"AWS_REGION":                      v.Function.Region,
		"AWS_DEFAULT_REGION":              v.Function.Region,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        v.Function.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     v.Name(),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(v.Config.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  string(init),
		"AWS_LAMBDA_LOG_GROUP_NAME":       logGroup(v),
		"AWS_LAMBDA_LOG_STREAM_NAME":      stream,
		"AWS_ACCESS_KEY_ID":               c.keyID,
		"AWS_SECRET_ACCESS_KEY":           c.secret,
		"AWS_SESSION_TOKEN":               c.token,
		"_AWS_XRAY_DAEMON_ADDRESS":        xrayHost,
		"_AWS_XRAY_DAEMON_PORT":           xrayPort,
	}
	if hasFrames(rt) {
		vars["_LAMBDA_TELEMETRY_LOG_FD"] = strconv.Itoa(telemetryFD)
	}
	if rt.Family != "provided" {
		vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + rt.Identifier
	}
	switch rt.Identifier {
	case "java8", "java8.al2", "java11":
		vars["AWS_ACCESS_KEY"], vars["AWS_SECRET_KEY"] = c.keyID, c.secret
	}
	if rt.Family == imageFamily {
		return imageReserved(vars)
	}
	return vars
}

// credentials are what a function signs its calls with. They are made for one
// environment, which its door holds every request to, and are worth nothing outside
// this server.
type credentials struct{ keyID, secret, token string }

// newCredentials makes credentials whose key id is the account, so that the
// signature of a call back into kiln names the account that it comes from.
func newCredentials(account string) credentials {
	return credentials{account, randomText(30), randomText(150)}
}

// randomText gives n random bytes as base64.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(b)
}

// wrapped gives the program that starts the runtime: its command, or the wrapper
// script that the function names, with the command as its arguments. Custom
// runtimes have no bootstrap of AWS that would call the wrapper.
func wrapped(v *kiln.Version, rt kiln.Runtime) (wrapper string, command []string) {
	command = rt.CommandFor(&v.Config)
	wrapper = v.Config.Environment["AWS_LAMBDA_EXEC_WRAPPER"]
	if wrapper == "" || startsItself(rt) {
		return "", command
	}
	return wrapper, append([]string{wrapper}, command...)
}
