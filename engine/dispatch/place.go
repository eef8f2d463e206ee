package dispatch

import "kiln"

// Place picks the worker for one call: the index into loads, or -1 when there is
// none. A worker that has room for need bytes and nobody waiting comes before one
// that has not; among equals the one with the smaller share of its memory in use
// and then with fewer invocations wins, and what is still equal is taken in turn,
// starting at first. A budget of 0 means that the worker does not count memory.
func Place(loads []kiln.Load, need int64, first int) int {
	best := -1
	for i := range loads {
		at := (first + i) % len(loads)
		if best < 0 || better(&loads[at], &loads[best], need) {
			best = at
		}
	}
	return best
}

// better reports whether a should take the call rather than b.
func better(a, b *kiln.Load, need int64) bool {
	if fa, fb := free(a, need), free(b, need); fa != fb {
		return fa
	}
	if a.Waiting != b.Waiting {
		return a.Waiting < b.Waiting
	}
	if ua, ub := used(a), used(b); ua != ub {
		return ua < ub
	}
	return a.Running < b.Running
}

// free reports whether a call would find room on the worker without queueing.
func free(l *kiln.Load, need int64) bool {
	return l.Waiting == 0 && (l.MemoryBytes == 0 || l.MemoryUsedBytes+need <= l.MemoryBytes)
}

// used gives the share of the budget in use in steps of a sixteenth, so that small
// differences do not send every call to one machine.
func used(l *kiln.Load) int64 {
	if l.MemoryBytes == 0 {
		return 0
	}
	return l.MemoryUsedBytes / max(1, l.MemoryBytes/16)
}
