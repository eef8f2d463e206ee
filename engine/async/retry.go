package async

import (
	"time"

	"kiln"
)

// This file is pure: it reads no clock and starts nothing.

// Limits and defaults of the policy for events, as AWS has them.
const (
	DefaultRetries = 2
	DefaultMaxAge  = 6 * time.Hour

	firstPause = time.Second // after a refusal of the platform, doubled each time
	mostPause  = 5 * time.Minute
)

// waits is how long a function that failed is left alone: before the first retry,
// before the second, and before all others.
var waits = []time.Duration{time.Minute, 2 * time.Minute}

// result is how an attempt went.
type result int

const (
	succeeded   result = iota
	failed             // the function ran and failed
	refused            // the platform could not run it now
	switchedOff        // the function has a reserved concurrency of 0
	looping            // it calls itself, by way of others, too often
	vanished           // the function is not there any more
)

// Condition is why an event ended, in AWS's words.
type Condition string

// Conditions of a record.
const (
	Success          Condition = "Success"
	RetriesExhausted Condition = "RetriesExhausted"
	EventAgeExceeded Condition = "EventAgeExceeded"
)

// verdict is what is to become of an event.
type verdict struct {
	over      bool
	condition Condition // "" of an event that is over: nobody is told
	at        time.Time // of one that is not: when it is due again; zero: as soon as its lane goes on
	tries     int
}

// expired reports whether an event may not be tried any more.
func expired(p kiln.EventPolicy, accepted, now time.Time) bool {
	return now.Sub(accepted) >= maxAge(p)
}

// maxAge gives the age at which events are given up.
func maxAge(p kiln.EventPolicy) time.Duration {
	if p.MaxAge == nil {
		return DefaultMaxAge
	}
	return *p.MaxAge
}

// retries gives how often a function that failed is tried again.
func retries(p kiln.EventPolicy) int {
	if p.MaxRetries == nil {
		return DefaultRetries
	}
	return *p.MaxRetries
}

// judge decides what becomes of an event after an attempt; tries are the earlier
// attempts at which the function failed. A refusal does not use up a retry.
func judge(p kiln.EventPolicy, accepted, now time.Time, tries int, r result) verdict {
	switch r {
	case succeeded:
		return verdict{over: true, condition: Success}
	case vanished:
		return verdict{over: true}
	case switchedOff, looping:
		return verdict{over: true, condition: RetriesExhausted, tries: tries}
	case refused:
		if expired(p, accepted, now) {
			return verdict{over: true, condition: EventAgeExceeded, tries: tries}
		}
		return verdict{tries: tries}
	}
	tries++
	if tries > retries(p) {
		return verdict{over: true, condition: RetriesExhausted, tries: tries}
	}
	at := now.Add(waits[min(tries, len(waits))-1])
	if end := accepted.Add(maxAge(p)); at.After(end) {
		at = end // to be given up then
	}
	return verdict{at: at, tries: tries}
}

// pause is how long a lane waits after a number of refusals in a row.
func pause(refusals int) time.Duration {
	return min(firstPause<<min(max(refusals-1, 0), 20), mostPause)
}
