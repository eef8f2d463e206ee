package queues

import (
	"context"

	"kiln"
)

// Deliver accepts one message for the queue with an ARN, from within the process, and
// returns its id when it is durable. One that is larger than the queue takes is
// kiln.TooLarge; a queue that is not there, kiln.NotFound.
func (b *Book) Deliver(ctx context.Context, arn string, m kiln.Message) (string, error) {
	id, err := kiln.ParseQueueARN(arn)
	if err != nil {
		return "", kiln.Errorf(kiln.Invalid, "%w", err)
	}
	q, err := b.Queue(id)
	if err != nil {
		return "", err
	}
	size := len(m.Body)
	for name, a := range m.Attributes {
		size += len(name) + len(a.Type) + len(a.Text) + len(a.Binary)
	}
	switch {
	case size > q.MaxMessage:
		return "", kiln.Errorf(kiln.TooLarge, "The message has %d bytes, and the queue takes %d.", size, q.MaxMessage)
	case id.FIFO() && (m.Group == "" || m.Dedup == "" && !q.ContentBased):
		return "", kiln.Errorf(kiln.Invalid, "A FIFO queue takes a message with a group and something to compare it by.")
	}
	sent, err := b.Send(ctx, id, []kiln.Message{m})
	if err != nil {
		return "", err
	}
	return sent[0].ID, nil
}
