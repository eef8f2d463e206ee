//go:build unix

package process_test

import (
	"testing"

	"kiln/box/sandbox/process"
	"kiln/box/sandbox/sandboxtest"
)

func TestTheDriverKeepsTheContract(t *testing.T) {
	d, err := process.New(process.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Suite(t, d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
