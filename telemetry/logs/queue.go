package logs

import (
	"sync"

	"kiln/telemetry"
)

// overhead is what an event costs in the queue besides its text.
const overhead = 256

// queue holds events between the environments and the writer. It is bounded in
// bytes, and no source can have more than a share of it, so that one function that
// floods its log costs itself records and not others. What does not fit is counted
// for its source.
type queue struct {
	limit, share int

	mu      sync.Mutex
	events  []telemetry.Event
	bytes   int
	sources map[*telemetry.Source]*backlog
	closed  bool

	ready  chan struct{} // has a token when there are events
	urgent chan struct{} // has a token when half of the queue is used
}

// backlog is what one source has in the queue and what of it did not fit.
type backlog struct {
	bytes   int
	dropped int64
}

// newQueue makes a queue that holds so many bytes.
func newQueue(limit int) *queue {
	return &queue{
		limit: limit, share: limit / 4, sources: map[*telemetry.Source]*backlog{},
		ready: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
	}
}

// put adds an event or counts it as dropped. It never blocks.
func (q *queue) put(e *telemetry.Event) {
	size := len(e.Line) + overhead
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	b := q.sources[e.Source]
	if b == nil {
		b = &backlog{}
		q.sources[e.Source] = b
	}
	if q.bytes+size > q.limit || b.bytes+size > q.share {
		b.dropped++
		q.mu.Unlock()
		return
	}
	first := len(q.events) == 0
	q.events = append(q.events, *e)
	q.bytes += size
	b.bytes += size
	urgent := q.bytes > q.limit/2 || b.bytes > q.share/2
	q.mu.Unlock()
	if first {
		signal(q.ready)
	}
	if urgent {
		signal(q.urgent)
	}
}

// take gives all events, and the number of dropped ones by source, and leaves the
// queue empty. spare is a slice to fill next.
func (q *queue) take(spare []telemetry.Event) ([]telemetry.Event, map[*telemetry.Source]int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events, q.bytes = spare[:0], 0
	var dropped map[*telemetry.Source]int64
	for source, b := range q.sources {
		if b.dropped > 0 {
			if dropped == nil {
				dropped = map[*telemetry.Source]int64{}
			}
			dropped[source] = b.dropped
		}
	}
	clear(q.sources)
	return events, dropped
}

// close lets nothing in any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// signal leaves a token unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
