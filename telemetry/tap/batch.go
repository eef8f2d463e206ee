package tap

import (
	"time"

	"kiln/telemetry"
)

// batch collects events until they are due. It decides and does nothing: whoever uses
// it says what time it is. Its bytes are the body of the request that sends it.
type batch struct {
	s     *Subscription
	body  []byte
	items int
	bytes int       // of the events alone
	first time.Time // when the first one came
	hurry bool      // it holds something that is not to wait
}

// add puts one event behind the others. It reports false when the batch is full: the
// event is not in it.
func (b *batch) add(item []byte, now time.Time) bool {
	if b.full() || b.items > 0 && b.bytes+len(item) > b.s.MaxBytes {
		return false
	}
	if b.items == 0 {
		b.first = now
	}
	switch {
	case b.s.TCP:
		b.body = append(append(b.body, item...), '\n')
	case b.items == 0:
		b.body = append(append(b.body, '['), item...)
	default:
		b.body = append(append(b.body, ','), item...)
	}
	b.items++
	b.bytes += len(item)
	return true
}

// full reports whether the batch takes no more.
func (b *batch) full() bool { return b.items >= b.s.MaxItems || b.bytes >= b.s.MaxBytes }

// due says when the batch is to be sent; the zero time is now, and ok is false when
// there is nothing to send.
func (b *batch) due() (at time.Time, ok bool) {
	switch {
	case b.items == 0:
		return time.Time{}, false
	case b.hurry || b.full():
		return time.Time{}, true
	}
	return b.first.Add(b.s.Timeout), true
}

// take gives what was collected and leaves the batch empty.
func (b *batch) take() parcel {
	p := parcel{body: b.body, items: b.items, bytes: b.bytes}
	if !b.s.TCP {
		p.body = append(p.body, ']')
	}
	b.body, b.items, b.bytes, b.hurry = nil, 0, 0, false
	return p
}

// parcel is a batch on its way.
type parcel struct {
	body  []byte
	items int
	bytes int
}

// tooSlow is why events are dropped, in AWS's words.
const tooSlow = "Some logs were dropped because the downstream consumer is slower than the logs production rate"

// drops counts what was dropped and not yet told of.
type drops struct{ records, bytes int64 }

// event gives the event that tells of it, and counts anew.
func (d *drops) event(now time.Time, source *telemetry.Source) *telemetry.Event {
	e := &telemetry.Event{Time: now, Type: telemetry.Dropped, Source: source, Count: d.records, Bytes: d.bytes, Reason: tooSlow}
	*d = drops{}
	return e
}
