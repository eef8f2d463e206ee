//go:build !linux

package runtimes

// syncDisk does nothing where sandboxes cannot show what was fetched.
func syncDisk() {}
