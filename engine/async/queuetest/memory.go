// Package queuetest holds implementations of async.Queue to its contract, and has one
// that keeps events in memory for the tests of others.
package queuetest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"kiln"
	"kiln/engine/async"
)

// Memory is a queue that forgets everything when the process ends.
type Memory struct {
	mu     sync.Mutex
	last   uint64
	events map[uint64]*entry
	// Fault, when it is set, is asked before each operation, by its name.
	Fault func(op string) error
}

type entry struct {
	event async.Event
	head  async.Head
}

// NewMemory makes an empty queue.
func NewMemory() *Memory { return &Memory{events: map[uint64]*entry{}} }

// Len gives the number of events.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

func (m *Memory) fault(op string) error {
	if m.Fault == nil {
		return nil
	}
	return m.Fault(op)
}

// Put is async.Queue.
func (m *Memory) Put(_ context.Context, e *async.Event) error {
	if err := m.fault("put"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	kept := *e
	kept.Payload = slices.Clone(e.Payload)
	m.events[m.last] = &entry{kept, async.Head{Number: m.last, Due: e.Accepted}}
	return nil
}

// Lanes is async.Queue.
func (m *Memory) Lanes(_ context.Context, f func(id kiln.FunctionID, events int, first time.Time) error) error {
	type lane struct {
		n     int
		first time.Time
	}
	m.mu.Lock()
	lanes := map[kiln.FunctionID]lane{}
	for _, e := range m.events {
		l := lanes[e.event.Function]
		if l.n++; l.n == 1 || e.head.Due.Before(l.first) {
			l.first = e.head.Due
		}
		lanes[e.event.Function] = l
	}
	m.mu.Unlock()
	for id, l := range lanes {
		if err := f(id, l.n, l.first); err != nil {
			return err
		}
	}
	return nil
}

// Heads is async.Queue.
func (m *Memory) Heads(_ context.Context, id kiln.FunctionID, n int) ([]async.Head, error) {
	if err := m.fault("heads"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var heads []async.Head
	for _, e := range m.events {
		if e.event.Function == id {
			heads = append(heads, e.head)
		}
	}
	slices.SortFunc(heads, func(a, b async.Head) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Number, b.Number))
	})
	return heads[:min(n, len(heads))], nil
}

// Load is async.Queue.
func (m *Memory) Load(_ context.Context, number uint64) (*async.Event, error) {
	if err := m.fault("load"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.events[number]
	if e == nil {
		return nil, kiln.Errorf(kiln.NotFound, "no event %d", number)
	}
	event := e.event
	return &event, nil
}

// Again is async.Queue.
func (m *Memory) Again(_ context.Context, _ kiln.FunctionID, h async.Head, due time.Time, tries int) error {
	if err := m.fault("again"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.events[h.Number]; e != nil {
		e.head.Due, e.head.Tries = due, tries
	}
	return nil
}

// Drop is async.Queue.
func (m *Memory) Drop(_ context.Context, _ kiln.FunctionID, h async.Head) error {
	if err := m.fault("drop"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.events, h.Number)
	return nil
}
