//go:build !linux

package linux

import (
	"context"
	"fmt"
	"runtime"

	"kiln/box/sandbox"
)

// Driver cannot exist on this system; the type is here so that programs build.
type Driver struct{}

var _ sandbox.Driver = (*Driver)(nil)

// New says that this system has no such sandboxes.
func New(Options) (*Driver, error) {
	return nil, fmt.Errorf("%w: it needs Linux, and this is %s", ErrUnsupported, runtime.GOOS)
}

// Name is the word by which configuration asks for this driver.
func (*Driver) Name() string { return "linux" }

// Capabilities are none.
func (*Driver) Capabilities() sandbox.Capabilities { return sandbox.Capabilities{} }

// Create always fails.
func (*Driver) Create(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
	return nil, ErrUnsupported
}

// Close has nothing to do.
func (*Driver) Close() error { return nil }

// Probe says what this system lacks.
func Probe() Report {
	r := Report{System: runtime.GOOS + " " + runtime.GOARCH}
	r.add("Linux", true, fmt.Errorf("this is %s", runtime.GOOS), "", "functions run on Linux only; the client commands work here")
	return r
}
