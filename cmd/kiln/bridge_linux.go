package main

import (
	"os"
	"path/filepath"

	"kiln/box/runtimes/gorpc"
)

// bridged reports whether this program is what starts a function of go1.x in a box, and
// then runs it.
func bridged() (code int, ok bool) {
	if len(os.Args) != 2 || filepath.Base(os.Args[0]) != gorpc.Name {
		return 0, false
	}
	return gorpc.Run(os.Args[1]), true
}

// self gives the path of this program; "" when the system does not tell.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}
