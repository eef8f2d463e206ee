package queues

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"kiln"
)

// attempt is what somebody got who may ask for it again.
type attempt struct {
	entries  []*entry
	receives []int
	at       time.Time
}

// Receive gives messages that nobody else has, and hides them for a time. It waits for
// the first one as long as it is told to, and no longer than the book is open or ctx
// lives; then it gives none.
func (b *Book) Receive(ctx context.Context, id kiln.QueueID, o kiln.ReceiveOptions) ([]kiln.Received, error) {
	q, err := b.find(id)
	if err != nil {
		return nil, err
	}
	var until time.Time
	for {
		now := time.Now()
		q.mu.Lock()
		if q.gone {
			q.mu.Unlock()
			return nil, notFound()
		}
		if until.IsZero() {
			wait := q.settings.Wait
			if o.Wait != nil {
				wait = *o.Wait
			}
			until = now.Add(wait)
		}
		s, heads := q.take(now, o)
		signal, next := q.signal, q.order.next()
		q.mu.Unlock()
		if len(s.dead)+len(s.expired)+len(s.taken) > 0 {
			got, err := b.hand(ctx, q, s, heads)
			if err != nil || len(got) > 0 {
				return got, err
			}
			continue // there were dead letters only
		}
		if s.full && !id.FIFO() {
			return nil, kiln.Errorf(kiln.Quota, "Too many messages in flight.")
		}
		if next.IsZero() || next.After(until) {
			next = until
		}
		if !now.Before(until) {
			return nil, nil
		}
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-signal:
		case <-timer.C:
		case <-ctx.Done():
		case <-b.ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || b.ctx.Err() != nil {
			return nil, nil // nothing was taken
		}
	}
}

// take takes messages out of the order, and gives what the store is to know of them.
func (q *queue) take(now time.Time, o kiln.ReceiveOptions) (share, []Head) {
	hide := q.settings.Visibility
	if o.Visibility != nil {
		hide = *o.Visibility
	}
	if o.Attempt != "" {
		if a, ok := q.attempts[o.Attempt]; ok && now.Sub(a.at) < kiln.DedupInterval && q.again(a, now, hide) {
			s := share{taken: a.entries}
			return s, headsOf(s.taken)
		}
	}
	s := q.order.take(rules{
		now: now, until: now.Add(hide), oldest: now.Add(-q.settings.Retention), most: q.settings.MaxReceives,
		receive: o.Max, flight: kiln.MaxMessagesInFlight,
	})
	if o.Attempt != "" && len(s.taken) > 0 {
		a := attempt{entries: s.taken, at: now}
		for _, e := range s.taken {
			a.receives = append(a.receives, e.Receives)
		}
		q.attempts[o.Attempt] = a
	}
	return s, headsOf(s.taken)
}

// again hides the messages of an attempt anew, if they are all still those of it.
func (q *queue) again(a attempt, now time.Time, hide time.Duration) bool {
	q.order.advance(now)
	for i, e := range a.entries {
		if e.phase != taken || e.Receives != a.receives[i] {
			return false
		}
	}
	for _, e := range a.entries {
		q.rehide(e, now.Add(hide), now)
	}
	return true
}

// rehide changes until when a message is hidden.
func (q *queue) rehide(e *entry, until, now time.Time) {
	e.Visible = until
	if until.After(now) {
		q.order.hide(e, taken)
		return
	}
	q.order.wait(e)
}

func headsOf(entries []*entry) []Head {
	out := make([]Head, len(entries))
	for i, e := range entries {
		out[i] = e.Head
	}
	return out
}

// hand makes durable that messages were taken, and gives them with their contents.
func (b *Book) hand(ctx context.Context, q *queue, s share, heads []Head) ([]kiln.Received, error) {
	c := &Changes{Set: heads}
	for _, e := range s.expired {
		c.Drop = append(c.Drop, e.Number)
	}
	bury, to := b.bury(q, s.dead)
	c.Set = append(c.Set, bury...)
	if err := b.store.Commit(ctx, c); err != nil {
		now := time.Now()
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, e := range slices.Concat(s.dead, s.expired) {
			if !q.gone {
				q.order.add(e.Head, false, now)
			}
		}
		for i, e := range s.taken {
			if e.Receives == heads[i].Receives {
				q.order.untake(e, now)
			}
		}
		q.wake()
		return nil, err
	}
	if to != nil {
		to.receiveDead(bury)
	} else {
		q.receiveDead(bury) // there is no such queue: they stay
	}
	if len(heads) == 0 {
		return nil, nil
	}
	numbers := make([]uint64, len(heads))
	for i, h := range heads {
		numbers[i] = h.Number
	}
	contents, err := b.store.Messages(ctx, numbers)
	if err != nil {
		return nil, err // they are hidden, and come back
	}
	out := make([]kiln.Received, 0, len(heads))
	for _, h := range heads {
		m, ok := contents[h.Number]
		if !ok {
			continue // it was purged meanwhile
		}
		m.Sequence, m.Sent, m.Source = h.Number, h.Sent, h.Source
		out = append(out, kiln.Received{Message: m, Receipt: receipt(h), Receives: h.Receives, First: h.First})
	}
	return out, nil
}

// bury turns messages that were tried too often into dead letters of another queue. With
// no such queue they stay where they were and count from anew.
func (b *Book) bury(q *queue, dead []*entry) ([]Head, *queue) {
	if len(dead) == 0 {
		return nil, nil
	}
	q.mu.Lock()
	from, target := q.settings.ID.ARN(), q.settings.DeadLetters
	q.mu.Unlock()
	to, err := b.find(target)
	if err != nil {
		to = nil
	}
	now := time.Now()
	out := make([]Head, len(dead))
	for i, e := range dead {
		h := e.Head
		h.Visible, h.Before = now, h.Receives
		if to != nil {
			h.Queue, h.Source = to.number, from
			if target.FIFO() {
				h.Sent = now // as on AWS; of a standard queue it stays
			}
		}
		out[i] = h
	}
	return out, to
}

// receiveDead takes in messages that came from another queue and are durable here.
func (q *queue) receiveDead(heads []Head) {
	if len(heads) == 0 {
		return
	}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return // the next process drops them
	}
	for _, h := range heads {
		if q.order.all[h.Number] == nil {
			q.order.add(h, false, now)
		}
	}
	q.wake()
}

// receipt names one receiving of a message.
func receipt(h Head) string {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], h.Queue)
	binary.BigEndian.PutUint64(b[8:], h.Number)
	binary.BigEndian.PutUint32(b[16:], uint32(h.Receives))
	return base64.StdEncoding.EncodeToString(b[:])
}

// readReceipt reads what receipt wrote.
func readReceipt(text string) (queue, number uint64, receives int, ok bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 20 {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), int(binary.BigEndian.Uint32(b[16:])), true
}
