package queues

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"kiln"
)

// Send accepts messages and returns when they are durable, with their ids and sequence
// numbers. Either all are accepted or none. A message of a FIFO queue that repeats one
// of the last five minutes is not kept; it gets the id of that one.
func (b *Book) Send(ctx context.Context, id kiln.QueueID, messages []kiln.Message) ([]kiln.Message, error) {
	q, err := b.find(id)
	if err != nil {
		return nil, err
	}
	for {
		c, entries, wait, err := b.admit(q, messages)
		if err != nil {
			return nil, err
		}
		if wait == nil {
			return messages, b.keep(ctx, q, c, entries)
		}
		select { // somebody else is sending the same
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// admit gives messages their places. The result is what makes them durable; or, when one
// of them is being sent by somebody else, what to wait for before asking again.
func (b *Book) admit(q *queue, messages []kiln.Message) (*Changes, []*entry, <-chan struct{}, error) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return nil, nil, nil, notFound()
	}
	s := q.settings
	fifo := s.ID.FIFO()
	if fifo {
		for i := range messages {
			m := &messages[i]
			if m.Dedup == "" && s.ContentBased {
				sum := sha256.Sum256([]byte(m.Body))
				m.Dedup = hex.EncodeToString(sum[:])
			}
			if known := q.seen[dedupKey(s, m)]; known != nil && known.Until.After(now) {
				select {
				case <-known.done:
				default:
					return nil, nil, known.done, nil
				}
			}
		}
	}
	c := &Changes{}
	var entries []*entry
	done := make(chan struct{})
	for i := range messages {
		m := &messages[i]
		key := ""
		if fifo {
			key = dedupKey(s, m)
			if known := q.seen[key]; known != nil && known.Until.After(now) {
				m.ID, m.Sequence, m.Sent = known.ID, known.Number, now
				continue
			}
		}
		m.ID, m.Sequence, m.Sent = kiln.NewID(), b.number(now), now
		delay := s.Delay
		if m.Delay != nil {
			delay = *m.Delay
		}
		h := Head{Number: m.Sequence, Queue: q.number, Sent: now, Visible: now.Add(delay), Source: m.Source}
		if fifo {
			h.Group = m.Group
			known := &seen{Seen{q.number, key, m.ID, m.Sequence, now.Add(kiln.DedupInterval)}, done}
			q.seen[key] = known
			c.Seen = append(c.Seen, known.Seen)
		}
		c.Put = append(c.Put, Put{h, *m})
		entries = append(entries, q.order.add(h, true, now))
	}
	return c, entries, nil, nil
}

// dedupKey is by what messages are compared.
func dedupKey(s *kiln.MessageQueue, m *kiln.Message) string {
	if s.PerGroup {
		return m.Group + "\x00" + m.Dedup
	}
	return m.Dedup
}

// keep makes messages durable and lets them be received, or takes them out again.
func (b *Book) keep(ctx context.Context, q *queue, c *Changes, entries []*entry) error {
	if len(c.Put) == 0 {
		return nil
	}
	err := b.store.Commit(ctx, c)
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	var done chan struct{}
	for _, s := range c.Seen {
		if known := q.seen[s.Key]; known != nil && known.Number == s.Number {
			if done = known.done; err != nil {
				delete(q.seen, s.Key)
			}
		}
	}
	if done != nil {
		close(done)
	}
	for _, e := range entries {
		switch {
		case e.phase != arriving: // the queue was deleted meanwhile
		case err != nil:
			q.order.remove(e)
		default:
			q.order.arrive(e, now)
		}
	}
	if err == nil && q.gone {
		err = notFound()
	}
	q.wake()
	return err
}
