//go:build !unix

package process

import (
	"context"
	"errors"
	"runtime"

	"kiln/box/sandbox"
)

// Driver cannot exist on this system; the type is here so that programs build.
type Driver struct{}

var _ sandbox.Driver = (*Driver)(nil)

var errUnsupported = errors.New("sandbox driver process does not work on " + runtime.GOOS)

// New says that this system has no process groups.
func New(Options) (*Driver, error) { return nil, errUnsupported }

// Name is the word by which configuration asks for this driver.
func (*Driver) Name() string { return "process" }

// Capabilities are none.
func (*Driver) Capabilities() sandbox.Capabilities { return sandbox.Capabilities{} }

// Create always fails.
func (*Driver) Create(context.Context, sandbox.Spec) (sandbox.Sandbox, error) {
	return nil, errUnsupported
}

// Close has nothing to do.
func (*Driver) Close() error { return nil }
