package network_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// insideHost marks the second run of the test program.
const insideHost = "KILN_TEST_NETWORK_HOST"

// TestMain runs all tests in a network namespace of their own, which plays the
// host: no interface, route, rule or setting of the real one is touched, and
// whatever a failed test leaves behind ends with the process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve-until-killed" {
		serveUntilKilled()
		return
	}
	if os.Geteuid() != 0 || os.Getenv(insideHost) != "" {
		os.Exit(m.Run())
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Args[0] = os.Args[0]
	again.Env = append(os.Environ(), insideHost+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := again.Run(); err != nil {
		if again.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "run the tests in a network namespace:", err)
		}
		os.Exit(1)
	}
}
