package queues_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/engine/queues"
)

// memory is a store that dies when it is told to.
type memory struct {
	mu       sync.Mutex
	queues   map[uint64]kiln.MessageQueue
	heads    map[uint64]queues.Head
	messages map[uint64]kiln.Message
	seen     map[string]queues.Seen
	last     uint64
	fail     error
}

func newMemory() *memory {
	return &memory{queues: map[uint64]kiln.MessageQueue{}, heads: map[uint64]queues.Head{}, messages: map[uint64]kiln.Message{}, seen: map[string]queues.Seen{}}
}

func (m *memory) Load(context.Context) (*queues.Contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &queues.Contents{Last: m.last}
	for n, q := range m.queues {
		c.Queues = append(c.Queues, queues.Entry{Number: n, Queue: q})
	}
	for _, n := range slices.Sorted(maps.Keys(m.heads)) {
		c.Heads = append(c.Heads, m.heads[n])
	}
	for _, s := range m.seen {
		c.Seen = append(c.Seen, s)
	}
	return c, nil
}

func (m *memory) Commit(_ context.Context, c *queues.Changes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, q := range c.Queues {
		m.queues[q.Number] = q.Queue
	}
	for _, n := range c.Gone {
		delete(m.queues, n)
	}
	for _, p := range c.Put {
		m.heads[p.Head.Number], m.messages[p.Head.Number] = p.Head, p.Message
		m.last = max(m.last, p.Head.Number)
	}
	for _, h := range c.Set {
		if old, ok := m.heads[h.Number]; ok && h.Receives >= old.Receives {
			m.heads[h.Number] = h
		}
	}
	for _, n := range c.Drop {
		delete(m.heads, n)
		delete(m.messages, n)
	}
	for _, s := range c.Seen {
		m.seen[s.Key] = s
	}
	for k, s := range m.seen {
		if !s.Until.After(c.Forget) {
			delete(m.seen, k)
		}
	}
	return nil
}

func (m *memory) Messages(_ context.Context, numbers []uint64) (map[uint64]kiln.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[uint64]kiln.Message{}
	for _, n := range numbers {
		if v, ok := m.messages[n]; ok {
			out[n] = v
		}
	}
	return out, nil
}

var scope = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

func named(name string) kiln.QueueID { return kiln.QueueID{Scope: scope, Name: name} }

func open(t testing.TB, m queues.Store) *queues.Book {
	t.Helper()
	b, err := queues.Open(t.Context(), queues.Options{Store: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// create makes a queue whose messages are hidden for 30 s.
func create(t testing.TB, b *queues.Book, name string, set func(*kiln.MessageQueue)) kiln.QueueID {
	t.Helper()
	q := kiln.MessageQueue{ID: named(name), Visibility: 30 * time.Second, Retention: time.Hour, MaxMessage: kiln.MaxMessageSize}
	if set != nil {
		set(&q)
	}
	if err := b.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return q.ID
}

func send(t testing.TB, b *queues.Book, id kiln.QueueID, messages ...kiln.Message) []kiln.Message {
	t.Helper()
	out, err := b.Send(t.Context(), id, messages)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// receive gives what a Receive that does not wait gets.
func receive(t testing.TB, b *queues.Book, id kiln.QueueID, n int) []kiln.Received {
	t.Helper()
	zero := time.Duration(0)
	out, err := b.Receive(t.Context(), id, kiln.ReceiveOptions{Max: n, Wait: &zero})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func bodies(list []kiln.Received) []string {
	out := []string{}
	for _, m := range list {
		out = append(out, m.Body)
	}
	return out
}

func drop(t testing.TB, b *queues.Book, id kiln.QueueID, list ...kiln.Received) {
	t.Helper()
	var receipts []string
	for _, m := range list {
		receipts = append(receipts, m.Receipt)
	}
	each, err := b.DeleteMessages(t.Context(), id, receipts)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range each {
		if err != nil {
			t.Error(err)
		}
	}
}
