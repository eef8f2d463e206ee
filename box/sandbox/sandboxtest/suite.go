// Package sandboxtest holds every sandbox driver to the contract, and to each claim
// that its Capabilities make. It runs a small program, the probe, inside boxes
// and judges what the program could do; it never looks into a driver.
package sandboxtest

import (
	"testing"

	"kiln/box/sandbox"
)

// Suite runs all tests that apply to a driver. The driver is shared by all of them
// and stays the caller's to close.
func Suite(t *testing.T, d sandbox.Driver) {
	r := &rig{driver: d, probe: Probe(t), can: d.Capabilities()}
	t.Run("contract", func(t *testing.T) {
		for _, c := range contract {
			t.Run(c.name, func(t *testing.T) { c.run(t, r) })
		}
	})
	t.Run("isolation", func(t *testing.T) {
		for _, c := range isolation {
			if c.claimed(r.can) {
				t.Run(c.name, func(t *testing.T) { c.run(t, r) })
			}
		}
	})
}

// clause is one sentence of the contract and its test.
type clause struct {
	name string
	run  func(*testing.T, *rig)
}

// claim is one sentence about isolation, which binds a driver that claims it.
type claim struct {
	name    string
	claimed func(sandbox.Capabilities) bool
	run     func(*testing.T, *rig)
}

// The claims that a test may depend on.
func filesystem(c sandbox.Capabilities) bool  { return c.PrivateFilesystem }
func processes(c sandbox.Capabilities) bool   { return c.PrivateProcesses }
func network(c sandbox.Capabilities) bool     { return c.PrivateNetwork }
func user(c sandbox.Capabilities) bool        { return c.PrivateUser }
func userLimits(c sandbox.Capabilities) bool  { return c.UserLimits }
func memory(c sandbox.Capabilities) bool      { return c.MemoryLimit }
func processor(c sandbox.Capabilities) bool   { return c.CPULimit }
func pids(c sandbox.Capabilities) bool        { return c.PIDLimit }
func scratch(c sandbox.Capabilities) bool     { return c.ScratchLimit }
func scratchDisk(c sandbox.Capabilities) bool { return c.ScratchOnDisk }
func freezing(c sandbox.Capabilities) bool    { return c.Freeze }
func shares(c sandbox.Capabilities) bool      { return c.Shares }
func systemCalls(c sandbox.Capabilities) bool { return c.SyscallFilter }
