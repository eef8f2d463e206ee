package runtimes

import "syscall"

// syncDisk returns when all that was written is on the disk: files of a runtime must
// be there before its name is.
func syncDisk() { syscall.Sync() }
