package queues

import (
	"context"
	"time"

	"kiln"
)

// Errors of a receipt have the code Invalid, and one of these reasons.
const (
	BadReceipt     = "BadReceipt"     // it is none, or another queue's
	ExpiredReceipt = "ExpiredReceipt" // of a FIFO queue: the message was hidden no longer
	NotInFlight    = "NotInFlight"    // the message is not hidden, or not there any more
	TooLong        = "TooLong"        // a message may be hidden for twelve hours in all
)

func refuse(reason, text string) error {
	return &kiln.Error{Code: kiln.Invalid, Reason: reason, Message: text}
}

// held gives the message that a receipt names, when the receipt is its last; nil when
// it is not there, or was received again.
func (q *queue) held(text string, now time.Time) (*entry, error) {
	number, message, receives, ok := readReceipt(text)
	if !ok || number != q.number {
		return nil, refuse(BadReceipt, "The input receipt handle is invalid.")
	}
	q.order.advance(now)
	e := q.order.all[message]
	if e == nil || e.Receives != receives || e.phase == arriving {
		return nil, nil
	}
	return e, nil
}

// DeleteMessages forgets messages that were received, and gives an error or nil for
// each. A receipt that is not the last one of its message changes nothing: somebody
// else has the message now.
func (b *Book) DeleteMessages(ctx context.Context, id kiln.QueueID, receipts []string) ([]error, error) {
	q, err := b.find(id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := make([]error, len(receipts))
	c := &Changes{}
	var entries []*entry
	q.mu.Lock()
	for i, text := range receipts {
		e, err := q.held(text, now)
		switch {
		case err != nil:
			out[i] = err
		case e == nil:
		case e.phase != taken && id.FIFO():
			out[i] = refuse(ExpiredReceipt, "Value "+text+" for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
		default:
			entries = append(entries, e)
			c.Drop = append(c.Drop, e.Number)
		}
	}
	// Of a FIFO queue the group waits until it is durable: what comes behind a message
	// must not be received while that can come back.
	if !id.FIFO() {
		for _, e := range entries {
			q.order.remove(e)
		}
	}
	q.mu.Unlock()
	if len(entries) == 0 {
		return out, nil
	}
	err = b.store.Commit(ctx, c)
	now = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		switch {
		case err == nil && id.FIFO():
			q.order.remove(e)
		case err != nil && !id.FIFO() && !q.gone:
			q.order.add(e.Head, false, now)
		}
	}
	if err != nil || id.FIFO() {
		q.wake()
	}
	return out, err
}

// Hide changes for how long messages that were received stay hidden, from now on, and
// gives an error or nil for each.
func (b *Book) Hide(ctx context.Context, id kiln.QueueID, list []kiln.Hiding) ([]error, error) {
	q, err := b.find(id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := make([]error, len(list))
	c := &Changes{}
	q.mu.Lock()
	for i, h := range list {
		e, err := q.held(h.Receipt, now)
		switch {
		case err != nil:
			out[i] = err
		case e == nil || e.phase != taken:
			out[i] = refuse(NotInFlight, "Value "+h.Receipt+" for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.")
		case h.For > kiln.MaxVisibility:
			out[i] = refuse(TooLong, "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
		default:
			q.rehide(e, now.Add(h.For), now)
			c.Set = append(c.Set, e.Head)
		}
	}
	if len(c.Set) > 0 {
		q.wake()
	}
	q.mu.Unlock()
	if len(c.Set) == 0 {
		return out, nil
	}
	return out, b.store.Commit(ctx, c)
}
