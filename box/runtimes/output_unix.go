//go:build unix

package runtimes

import (
	"os/exec"
	"syscall"
)

// together makes a command and its children one group that ends as one, and runs it
// as a user; asSelf changes nothing.
func together(command *exec.Cmd, uid int) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid != asSelf {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
