package queues

import (
	"context"
	"time"

	"kiln"
)

// Statuses of a task, as AWS names them.
const (
	running    = "RUNNING"
	completed  = "COMPLETED"
	cancelling = "CANCELLING"
	cancelled  = "CANCELLED"
	failed     = "FAILED"
)

const (
	moved   = 100 // messages that a task moves at a time
	history = 10  // tasks of a queue that are remembered
)

// task is one way of messages from a queue. It ends with the process, and what it has
// not moved by then stays where it is.
type task struct {
	kiln.MoveTask // under the book's lock
	cancel        context.CancelFunc
}

// Move begins to bring the messages of a queue to another, or each to where it came from
// as a dead letter. A queue has one such task at a time: kiln.Conflict otherwise.
func (b *Book) Move(t kiln.MoveTask) (string, error) {
	q, err := b.find(t.Source)
	if err != nil {
		return "", err
	}
	if t.Destination != (kiln.QueueID{}) {
		if _, err := b.find(t.Destination); err != nil {
			return "", err
		}
	}
	q.mu.Lock()
	t.All = q.order.waits()
	q.mu.Unlock()
	t.ID, t.Status, t.Started = kiln.NewID(), running, time.Now()
	ctx, cancel := context.WithCancel(b.ctx)
	next := &task{t, cancel}
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := 0
	for i := len(b.tasks) - 1; i >= 0; i-- {
		if b.tasks[i].Source != t.Source {
			continue
		}
		if s := b.tasks[i].Status; s == running || s == cancelling {
			cancel()
			return "", kiln.Errorf(kiln.Conflict, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		}
		if kept++; kept >= history {
			b.tasks = append(b.tasks[:i], b.tasks[i+1:]...)
		}
	}
	b.tasks = append(b.tasks, next)
	b.work.Go(func() { b.moveAll(ctx, q, next) })
	return t.ID, nil
}

// Tasks gives the tasks of a queue, the newest first.
func (b *Book) Tasks(source kiln.QueueID) ([]kiln.MoveTask, error) {
	if _, err := b.find(source); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kiln.MoveTask
	for i := len(b.tasks) - 1; i >= 0; i-- {
		if b.tasks[i].Source == source {
			out = append(out, b.tasks[i].MoveTask)
		}
	}
	return out, nil
}

// CancelMove ends a task that runs, and gives how many messages it has moved. One that
// does not run is kiln.NotFound.
func (b *Book) CancelMove(id string) (kiln.MoveTask, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		if t.ID == id && t.Status == running {
			t.Status = cancelling
			t.cancel()
			return t.MoveTask, nil
		}
	}
	return kiln.MoveTask{}, kiln.Errorf(kiln.NotFound, "Task does not exist.")
}

// Task gives the source of a task.
func (b *Book) Task(id string) (kiln.QueueID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		if t.ID == id {
			return t.Source, true
		}
	}
	return kiln.QueueID{}, false
}

// moveAll moves until nothing waits any more.
func (b *Book) moveAll(ctx context.Context, q *queue, t *task) {
	defer t.cancel()
	most := moved
	if t.PerSecond > 0 {
		most = min(most, t.PerSecond)
	}
	var err error
	for err == nil && ctx.Err() == nil {
		var n int
		if n, err = b.moveSome(ctx, q, t.Destination, most); n == 0 {
			break
		}
		b.mu.Lock()
		t.Moved += n
		b.mu.Unlock()
		if t.PerSecond > 0 {
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(t.PerSecond)):
			case <-ctx.Done():
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		t.Status = cancelled
	case err != nil:
		t.Status, t.Failure = failed, err.Error()
	default:
		t.Status = completed
	}
}

// moveSome moves messages that wait, as new ones. A message
// whose own queue is not known, or gone, is an error.
func (b *Book) moveSome(ctx context.Context, q *queue, to kiln.QueueID, most int) (int, error) {
	now := time.Now()
	q.mu.Lock()
	s := q.order.take(rules{now: now, until: now.Add(time.Minute), oldest: now.Add(-q.settings.Retention), receive: most, flight: kiln.MaxMessagesInFlight})
	q.mu.Unlock()
	back := func(entries []*entry) {
		q.mu.Lock()
		for _, e := range entries {
			q.order.untake(e, time.Now())
		}
		q.wake()
		q.mu.Unlock()
	}
	if err := b.drop(ctx, numbersOf(s.expired)); err != nil {
		back(s.taken)
		return 0, err
	}
	numbers := numbersOf(s.taken)
	contents, err := b.store.Messages(ctx, numbers)
	if err != nil {
		back(s.taken)
		return 0, err
	}
	count := 0
	for i, e := range s.taken {
		m := contents[e.Number]
		target := to
		if target == (kiln.QueueID{}) {
			if target, err = kiln.ParseQueueARN(e.Source); err != nil {
				err = kiln.Errorf(kiln.Invalid, "A message does not say which queue it came from.")
			}
		}
		var there *queue
		if err == nil {
			there, err = b.find(target)
		}
		if err != nil {
			back(s.taken[i:])
			return count, err
		}
		at := time.Now()
		m.ID = kiln.NewID()
		h := Head{Number: b.number(at), Queue: there.number, Sent: at, Visible: at}
		if target.FIFO() {
			h.Group = m.Group
		}
		if err = b.store.Commit(ctx, &Changes{Put: []Put{{h, m}}, Drop: []uint64{e.Number}}); err != nil {
			back(s.taken[i:])
			return count, err
		}
		q.mu.Lock()
		q.order.remove(e)
		q.mu.Unlock()
		there.receiveDead([]Head{h})
		count++
	}
	return count, nil
}

func numbersOf(entries []*entry) []uint64 {
	out := make([]uint64, len(entries))
	for i, e := range entries {
		out[i] = e.Number
	}
	return out
}
