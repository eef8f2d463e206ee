package main

import (
	"syscall"

	"kiln/engine/worker"
)

// An environment costs the server about 15 descriptors (sockets, processes, pipes,
// control files), and a few more while a program starts in it, of which few do at once; the rest is for callers,
// logs and the store.
const (
	descriptorsEach = 16
	descriptorsRest = 1024
)

// mostEnvironments is how many environments the descriptors of this process allow:
// callers wait for one, or are told to come later, where otherwise a start would
// fail in the middle. It takes as many descriptors as the worker could ever use, where
// it may.
func mostEnvironments() int {
	const enough = descriptorsRest + descriptorsEach*worker.DefaultMaxEnvironments
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return worker.DefaultMaxEnvironments
	}
	if limit.Cur < enough {
		more := syscall.Rlimit{Cur: enough, Max: max(enough, limit.Max)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			limit = more
		}
	}
	return environmentsWithin(limit.Cur)
}

// environmentsWithin is how many environments fit into a limit of descriptors: at
// least one, at most the worker's own bound.
func environmentsWithin(descriptors uint64) int {
	if descriptors >= descriptorsRest+descriptorsEach*worker.DefaultMaxEnvironments {
		return worker.DefaultMaxEnvironments
	}
	if descriptors < descriptorsRest+descriptorsEach {
		return 1
	}
	return int(descriptors-descriptorsRest) / descriptorsEach
}
