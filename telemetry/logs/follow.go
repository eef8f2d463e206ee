package logs

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Bounds of what a follower may be behind.
const (
	mostBehind      = 2000
	mostBytesBehind = 1 << 20
)

// follower is somebody who reads along. The writer offers records and never waits
// for it.
type follower struct {
	query Query
	ended chan struct{} // closed by the writer at the end of the store
	wake  chan struct{} // has a token when there is something to fetch
	gone  atomic.Bool   // the reader has left

	mu      sync.Mutex
	pending []Record
	bytes   int
	missed  int64
}

// Follow gives the records that match as they come, from the moment of the call on;
// with Since, what was written since then comes first, without a gap or a
// repetition, at most Limit records of it. It ends with ctx or with the store. A
// reader that falls behind by more than 2,000 records or 1 MB gets a record whose
// Missed says how many it lost. The sequence can be gone through once.
func (s *Store) Follow(ctx context.Context, q Query) iter.Seq2[Record, error] {
	f := &follower{query: q, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	var opened []*snapshot
	var err error
	closed := s.do(func() {
		for old := range s.followers {
			if old.gone.Load() {
				delete(s.followers, old)
			}
		}
		if !q.Since.IsZero() {
			opened, err = s.files.snapshot(q)
		}
		s.followers[f] = struct{}{}
	})
	if closed != nil {
		err = closed
	}
	var claimed atomic.Bool // by the reader, or by the end of ctx before there was one
	forget := context.AfterFunc(ctx, func() {
		f.gone.Store(true)
		if claimed.CompareAndSwap(false, true) {
			closeAll(opened)
		}
	})
	return func(yield func(Record, error) bool) {
		if !claimed.CompareAndSwap(false, true) {
			return
		}
		defer forget()
		defer f.gone.Store(true)
		if err != nil {
			yield(Record{}, err)
			return
		}
		stored, err := q.collect(opened)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for _, r := range stored {
			if !yield(r, nil) {
				return
			}
		}
		f.read(ctx, yield)
	}
}

// read hands out what the writer offers until one side ends.
func (f *follower) read(ctx context.Context, yield func(Record, error) bool) {
	for {
		for _, r := range f.fetch() {
			if ctx.Err() != nil || !yield(r, nil) {
				return
			}
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		case <-f.ended:
			for _, r := range f.fetch() {
				if !yield(r, nil) {
					return
				}
			}
			return
		}
	}
}

// offer adds a record that matches, or counts it when the reader is too far behind.
func (f *follower) offer(r *Record) {
	if f.gone.Load() || !f.query.matches(r) {
		return
	}
	f.mu.Lock()
	if len(f.pending) >= mostBehind || f.bytes+len(r.Text) > mostBytesBehind {
		f.missed++
	} else {
		f.mark()
		f.pending = append(f.pending, *r)
		f.bytes += len(r.Text)
	}
	f.mu.Unlock()
	signal(f.wake)
}

// fetch takes what is pending.
func (f *follower) fetch() []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mark()
	records := f.pending
	f.pending, f.bytes = nil, 0
	return records
}

// mark leaves a record in the place of those that were missed. It needs the lock.
func (f *follower) mark() {
	if f.missed == 0 {
		return
	}
	f.pending = append(f.pending, Record{
		Time: time.Now(), Type: telemetry.Dropped, Function: kiln.FunctionID{Scope: f.query.Scope}, Group: f.query.Group,
		Text: fmt.Sprintf("LOGS_DROPPED Records: %d", f.missed), Missed: f.missed,
	})
	f.missed = 0
}

// matches reports whether a record is one that the query asks for; its time is not
// looked at: what comes now is wanted.
func (q *Query) matches(r *Record) bool {
	return (q.Scope == (kiln.Scope{}) || q.Scope == r.Function.Scope) &&
		(q.Group == "" || q.Group == r.Group) &&
		(q.Stream == "" || q.Stream == r.Stream) &&
		(q.RequestID == "" || q.RequestID == r.RequestID)
}
