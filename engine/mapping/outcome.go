package mapping

import (
	"bytes"
	"encoding/json"
	"time"

	"kiln"
)

// This file is pure: it reads no clock and starts nothing.

// Pauses after a refusal of the platform, doubled each time.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// verdict is what became of a batch.
type verdict struct {
	failed []bool // of each record
	again  bool   // the platform could not run the function now
	result string // what is wrong, "" when nothing is
}

// What the result of a mapping says, in the manner of AWS.
const (
	resultFailed    = "PROBLEM: Function call failed"
	resultThrottled = "PROBLEM: Function call was throttled"
	resultMissing   = "PROBLEM: Function not found"
)

// judge says what became of the records of a batch. partial: the function names those
// that failed.
func judge(records []Record, partial, ordered bool, out *kiln.Outcome, err error) verdict {
	v := verdict{failed: make([]bool, len(records))}
	switch {
	case err != nil:
		v.failAll()
		switch kiln.CodeOf(err) {
		case kiln.Throttled, kiln.Unavailable:
			v.again, v.result = true, resultThrottled
		case kiln.NotFound:
			v.result = resultMissing
		}
		return v
	case out.Failed:
		v.failAll()
		return v
	case !partial:
		return v
	}
	named, ok := failures(out.Payload)
	if !ok {
		v.failAll()
		return v
	}
	for _, id := range named {
		if !v.fail(records, id) { // a name that is none of the batch's
			v.failAll()
			return v
		}
	}
	if ordered {
		v.followers(records)
	}
	if len(named) > 0 {
		v.result = resultFailed
	}
	return v
}

// failAll has the whole batch failed.
func (v *verdict) failAll() {
	v.result = resultFailed
	for i := range v.failed {
		v.failed[i] = true
	}
}

// fail notes that the record of a name failed and reports whether there is one.
func (v *verdict) fail(records []Record, id string) bool {
	found := false
	for i, r := range records {
		if r.ID == id {
			v.failed[i], found = true, true
		}
	}
	return found
}

// followers has those fail, too, that come after a failed one of their group: done out of
// order, they could not be put back.
func (v *verdict) followers(records []Record) {
	broken := map[string]bool{}
	for i, r := range records {
		if v.failed[i] = v.failed[i] || broken[r.Group]; v.failed[i] {
			broken[r.Group] = true
		}
	}
}

// failures reads which records a function says have failed. An answer that is no object,
// or has an item without a name, is not ok; null and an object that says nothing are.
func failures(payload []byte) (ids []string, ok bool) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return nil, true
	}
	var answer *struct {
		Failures []*struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, false
	}
	if answer == nil {
		return nil, true
	}
	for _, f := range answer.Failures {
		if f == nil || f.ID == nil || *f.ID == "" {
			return nil, false
		}
		ids = append(ids, *f.ID)
	}
	return ids, true
}

// pause is how long to wait after the platform refused that many times in a row.
func pause(refusals int) time.Duration {
	if refusals > 5 {
		return mostPause
	}
	return min(mostPause, firstPause<<max(0, refusals-1))
}

// mayWait reports whether a batch can be tried once more after a wait, and be over while
// its records are still held: hold is for how long, since they were read, and need is how
// long an attempt takes at most.
func mayWait(since, wait, need, hold time.Duration) bool {
	return since+wait+need < hold
}
