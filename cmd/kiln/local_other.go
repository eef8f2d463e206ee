//go:build !linux

package main

import (
	"context"
	"runtime"
)

// notLinux says what to use instead on a system where functions cannot run.
func notLinux(command string) error {
	return platformf("run kiln serve on Linux (a virtual machine, WSL 2 or another host will do) and use it from here with --endpoint-url",
		"kiln %s needs Linux and this is %s; deploy, invoke, logs and the other client commands work here", command, runtime.GOOS)
}

func serve(context.Context, world, *config, *tour) error { return notLinux("serve") }

func runOnce(context.Context, world, *config, *function, []byte, bool) (*answer, error) {
	return nil, notLinux("run")
}

func openShelf(world, *config) (shelf, error) { return nil, notLinux("runtime without a server") }

func resetRoot(context.Context, world, string) error { return notLinux("user reset-root") }

// settle has nothing to do.
func settle(*world) error { return nil }

func elsewhere(context.Context, world, *config) (bool, error) { return false, nil }

func examineElsewhere(context.Context, world) (bool, error) { return false, nil }

func examine(context.Context, bool) (*checkup, error) { return nil, notLinux("doctor") }
