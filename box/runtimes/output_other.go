//go:build !unix

package runtimes

import "os/exec"

// together leaves a command as it is: where there are no process groups, no
// interpreter is served either.
func together(*exec.Cmd, int) {}
