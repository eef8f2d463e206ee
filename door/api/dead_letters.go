package api

import (
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// Queues are those of the neighbour SQS.
type Queues interface {
	// Queue gives a queue; kiln.NotFound is that there is none.
	Queue(id kiln.QueueID) (*kiln.MessageQueue, error)
}

// deadLetters takes over where events go that are given up. An empty ARN is nowhere.
func (s service) deadLetters(c *kiln.Config, home kiln.Scope, in *lambda.DeadLetterConfig) error {
	if in == nil || in.TargetArn == nil {
		return nil
	}
	arn := *in.TargetArn
	if arn != "" {
		if parts := strings.SplitN(arn, ":", 4); len(parts) == 4 && parts[2] == "sns" {
			return unsupported("DeadLetterConfig with a topic")
		}
		if err := s.standardQueue(home, arn); err != nil {
			return err
		}
	}
	c.DeadLetters = arn
	return nil
}

// standardQueue refuses what is not the ARN of a standard queue that is there. Another
// account's is judged when something is sent to it.
func (s service) standardQueue(home kiln.Scope, arn string) error {
	id, err := kiln.ParseQueueARN(arn)
	switch {
	case err != nil:
		return invalid("The destination ARN " + clip(arn) + " is invalid.")
	case id.FIFO():
		return invalid("The destination ARN " + clip(arn) + " is invalid: FIFO queues are not supported.")
	case s.o.Queues == nil:
		return unsupported("queues on this server")
	case id.Account != home.Account:
		return nil
	}
	if _, err := s.o.Queues.Queue(id); err != nil {
		return invalid("The destination ARN " + clip(arn) + " is invalid: there is no such queue.")
	}
	return nil
}
