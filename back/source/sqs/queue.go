package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"kiln/engine/mapping"
)

// Limits of one request.
const (
	mostMessages = 10
	mostWait     = 20 * time.Second
)

// nap is how long a queue is left alone that has nothing, when less than a second of
// waiting is left: the service counts in seconds.
const nap = 200 * time.Millisecond

// queue is one queue as one mapping reads it.
type queue struct {
	source    *Source
	client    *sqs.Client
	url       string
	arn       string
	region    string
	ordered   bool
	hold      time.Duration
	documents bool // somebody filters
}

var _ mapping.Lane = (*queue)(nil)

// Terms is mapping.Lane.
func (q *queue) Terms() mapping.Terms { return mapping.Terms{Ordered: q.ordered, Hold: q.hold} }

// Read is mapping.Lane.
func (q *queue) Read(ctx context.Context, most int, wait time.Duration) ([]mapping.Record, error) {
	most, wait = min(most, mostMessages), min(wait, mostWait)
	seconds := int32(wait / time.Second)
	call, cancel := context.WithTimeout(ctx, wait+callTime)
	defer cancel()
	out, err := q.client.ReceiveMessage(call, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: int32(most), WaitTimeSeconds: seconds, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, q.source.refusal(err)
	}
	if len(out.Messages) == 0 && seconds == 0 {
		rest(ctx, min(wait, nap))
	}
	records := make([]mapping.Record, len(out.Messages))
	for i := range out.Messages {
		records[i] = q.record(&out.Messages[i])
	}
	return records, nil
}

// rest waits.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// record gives a message as the function is to see it.
func (q *queue) record(m *types.Message) mapping.Record {
	r := mapping.Record{
		ID: aws.ToString(m.MessageId), Group: m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)],
		JSON: q.write(m, false), Handle: aws.ToString(m.ReceiptHandle),
	}
	if q.documents {
		r.Document = q.write(m, true)
	}
	return r
}

// Commit is mapping.Lane: what is done is deleted, what failed comes again by itself.
func (q *queue) Commit(ctx context.Context, done, _ []mapping.Record) error {
	var errs []error
	for len(done) > 0 {
		n := min(len(done), mostMessages)
		errs = append(errs, q.remove(ctx, done[:n]))
		done = done[n:]
	}
	return errors.Join(errs...)
}

// remove deletes at most ten messages. Those that the server could not delete are tried
// once more.
func (q *queue) remove(ctx context.Context, records []mapping.Record) error {
	for try := 0; ; try++ {
		entries := make([]types.DeleteMessageBatchRequestEntry, len(records))
		for i, r := range records {
			entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(r.Handle.(string))}
		}
		out, err := q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return q.source.refusal(err)
		}
		var left []mapping.Record
		for _, f := range out.Failed {
			if i, err := strconv.Atoi(aws.ToString(f.Id)); err == nil && i >= 0 && i < len(records) && !f.SenderFault {
				left = append(left, records[i])
			}
		}
		switch {
		case len(out.Failed) == 0:
			return nil
		case len(left) == 0 || try > 0:
			return fmt.Errorf("%d messages could not be deleted: %s: %s", len(out.Failed), aws.ToString(out.Failed[0].Code), aws.ToString(out.Failed[0].Message))
		}
		records = left
	}
}
