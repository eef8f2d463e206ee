package environment

import (
	"slices"
	"strings"

	"kiln/box/sandbox"
)

// pathVariables are the variables whose values are paths or lists of paths.
var pathVariables = []string{
	"PATH", "LD_LIBRARY_PATH", "PWD", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "PYTHONPATH", "NODE_PATH",
	"NODE_EXTRA_CA_CERTS", "GEM_HOME", "GEM_PATH", "RUBYLIB", "DOTNET_ROOT", "SSL_CERT_FILE", "AWS_LAMBDA_EXEC_WRAPPER",
}

// onHost rewrites a program for a box whose processes see the host's own files: what
// it is told of paths inside the box becomes where they really lie. Paths that the
// function's code holds itself cannot be reached; TMPDIR at least leads to its own
// scratch directory.
func onHost(p *sandbox.Program, h sandbox.HostPather) {
	args := slices.Clone(p.Args)
	for i, a := range args {
		args[i] = hostPath(a, h)
		// The value of an option: -XX:Flags=/var/runtime/…
		if option, path, ok := strings.Cut(a, "="); ok && strings.HasPrefix(option, "-") {
			args[i] = option + "=" + hostPath(path, h)
		}
	}
	env := slices.Clone(p.Env)
	for i, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if !slices.Contains(pathVariables, name) {
			continue
		}
		list := strings.Split(value, ":")
		for j, path := range list {
			list[j] = hostPath(path, h)
		}
		env[i] = name + "=" + strings.Join(list, ":")
	}
	p.Args, p.Env = args, append(env, "TMPDIR="+h.HostPath("/tmp"))
}

// hostPath rewrites one absolute path and leaves everything else alone.
func hostPath(path string, h sandbox.HostPather) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	return h.HostPath(path)
}
