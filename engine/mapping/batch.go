package mapping

import "time"

// This file is pure: it reads no clock and starts nothing.

// longPoll is how long a lane waits for a first record before it is asked again.
const longPoll = 20 * time.Second

// frame is how many bytes stand around the records of an event.
const frame = len(`{"Records":[]}`)

// limits say when a batch is closed: by the number of records, by their size, or by the
// time since the first one came.
type limits struct {
	records int
	bytes   int
	window  time.Duration
}

// tally is what a batch has so far.
type tally struct {
	records int
	bytes   int
	first   time.Time // when the first record was there
}

// size gives how long the event would be.
func (t tally) size() int { return frame + t.bytes + max(0, t.records-1) }

// step says what a batch is to do next: wait for at most that many records for at most
// that long, or, when most is 0, go as it is.
func (l limits) step(t tally, now time.Time) (most int, wait time.Duration) {
	if t.records == 0 {
		return l.records, longPoll
	}
	left := t.first.Add(l.window).Sub(now)
	if l.window == 0 || left <= 0 || t.records >= l.records || t.size() >= l.bytes {
		return 0, 0
	}
	return l.records - t.records, min(left, longPoll)
}

// cut divides records into batches that keep the limits, in order. sizes are those of the
// records; the result is how many records each batch has. A record that is too large by
// itself is a batch by itself.
func (l limits) cut(sizes []int) []int {
	var out []int
	var t tally
	for _, n := range sizes {
		next := tally{records: t.records + 1, bytes: t.bytes + n}
		if t.records > 0 && (next.records > l.records || next.size() > l.bytes) {
			out = append(out, t.records)
			next = tally{records: 1, bytes: n}
		}
		t = next
	}
	if t.records > 0 {
		out = append(out, t.records)
	}
	return out
}
