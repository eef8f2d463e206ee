package worker

import "time"

// grow says how many environments to start now: one for each caller that neither
// an idle environment nor one that is starting will serve, and never more than
// room.
func grow(waiting, idle, starting, room int) int {
	return max(0, min(waiting-idle-starting, room))
}

// A start that fails may be bad luck twice; from the third failure in a row on,
// the platform is taken to be unable to start this revision and tries ever more
// seldom.
const (
	patience  = 2
	firstWait = 100 * time.Millisecond
	longest   = 10 * time.Second
)

// backOff gives how long no environment is started after a number of failed starts
// in a row.
func backOff(failures int) time.Duration {
	n := failures - patience - 1
	switch {
	case n < 0:
		return 0
	case n >= 7: // 100 ms doubled seven times is beyond the longest
		return longest
	}
	return min(firstWait<<n, longest)
}

// losers says how many waiting callers a failed start leaves without hope, when
// coming environments are idle, starting or in use: the start's own caller while
// the platform still has patience, and all of them once it has not.
func losers(waiting, coming, failures int) int {
	n := max(0, waiting-coming)
	if failures <= patience {
		n = min(n, 1)
	}
	return n
}
