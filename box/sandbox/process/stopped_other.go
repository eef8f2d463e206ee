//go:build unix && !linux

package process

// allStopped cannot be asked here without waiting for children that are not ours;
// SIGSTOP takes effect by itself, a moment later.
func allStopped(map[int]bool) bool { return true }

// allDead cannot be asked either: a group is known to be gone when it takes no
// more signals.
func allDead(map[int]bool) bool { return false }
