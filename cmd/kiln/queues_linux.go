package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"

	"kiln"
	"kiln/back/sqlite"
	"kiln/door/api"
	"kiln/door/auth"
	"kiln/door/auth/policy"
	"kiln/door/services/sqs"
	"kiln/engine/async"
	"kiln/engine/queues"
)

var _ sqs.Book = (*queues.Book)(nil)

// openMessages opens the queues of messages that the neighbour SQS serves. One
// invocation without a server has none.
func (s *stack) openMessages(ctx context.Context, dataDir string) error {
	if s.accounts == nil {
		return nil
	}
	store, err := sqlite.OpenMessages(ctx, filepath.Join(dataDir, "sqs.db"))
	if err != nil {
		return err
	}
	s.addCloser("messages", store.Close)
	if s.messages, err = queues.Open(ctx, queues.Options{Store: store, Logger: s.log}); err != nil {
		return err
	}
	s.addCloser("queues of messages", s.messages.Close)
	return nil
}

// queues gives the queues to the door, or nothing where there are none.
func (s *stack) queues() api.Queues {
	if s.messages == nil {
		return nil
	}
	return s.messages
}

// maxErrorMessage is how much of an error a dead letter tells, in bytes.
const maxErrorMessage = 1024

// queueDestination gives records, and events that were given up, to queues.
type queueDestination struct{ stack *stack }

var (
	_ async.Destination = queueDestination{}
	_ async.DeadLetters = queueDestination{}
)

// Deliver is async.Destination.
func (d queueDestination) Deliver(ctx context.Context, arn string, from *async.Event, r async.Record) error {
	text, err := r.JSON(from)
	if err != nil {
		return kiln.Errorf(kiln.Invalid, "the record cannot be written: %w", err)
	}
	return d.send(ctx, arn, from, r, kiln.Message{Body: string(text)})
}

// Bury is async.DeadLetters: the event unchanged, with the attributes that AWS gives it.
func (d queueDestination) Bury(ctx context.Context, arn string, e *async.Event, r async.Record) error {
	m := kiln.Message{Body: string(e.Payload), Attributes: map[string]kiln.MessageAttribute{
		"RequestID": {Type: "String", Text: e.ID}, "ErrorCode": {Type: "Number", Text: strconv.Itoa(deadCode(r))},
	}}
	if text := deadText(r); text != "" {
		m.Attributes["ErrorMessage"] = kiln.MessageAttribute{Type: "String", Text: text}
	}
	return d.send(ctx, arn, e, r, m)
}

// deadCode is the status that a caller would have got: 200 when the function failed, 429
// when it did not run at all.
func deadCode(r async.Record) int {
	if r.Outcome != nil {
		return 200
	}
	return 429
}

// deadText is the error that the function gave, or why it was not called.
func deadText(r async.Record) string {
	if r.Outcome == nil {
		return string(r.Condition)
	}
	var said struct {
		Message string `json:"errorMessage"`
	}
	text := string(r.Outcome.Payload)
	if json.Unmarshal(r.Outcome.Payload, &said) == nil {
		text = said.Message
	}
	return strings.ToValidUTF8(text[:min(len(text), maxErrorMessage)], "")
}

// send sends a message as the role of a function, which must be allowed to.
func (d queueDestination) send(ctx context.Context, arn string, from *async.Event, r async.Record, m kiln.Message) error {
	s := d.stack
	if s.messages == nil {
		return kiln.Errorf(kiln.Unsupported, "there are no queues without a server")
	}
	if err := s.maySend(from, arn); err != nil {
		return err
	}
	m.Sender, m.Trace = from.Function.Account, from.Trace
	if r.Outcome != nil {
		m.Trace = r.Outcome.Trace // with the lineage that leads to the queue
	}
	_, err := s.messages.Deliver(ctx, arn, m)
	return err
}

// maySend says whether the role of a function lets it send to a queue: nil, or why not.
func (s *stack) maySend(from *async.Event, arn string) error {
	id, err := kiln.ParseQueueARN(arn)
	if err != nil || !s.gate.Verifies() {
		return err
	}
	v, err := s.catalog.Version(from.Function, from.Qualifier)
	if err != nil {
		return err
	}
	caller := s.accounts.Session(from.Function, v.Config.Role)
	if caller == nil {
		return errNoRole(v)
	}
	act := auth.Act{Action: "sqs:SendMessage", Resource: arn, Owner: id.Account}
	if q, err := s.messages.Queue(id); err == nil && q.Attributes["Policy"] != "" {
		if act.Policy, err = policy.Parse(policy.Resource, []byte(q.Attributes["Policy"])); err != nil {
			return kiln.Errorf(kiln.Invalid, "the policy of %s: %w", arn, err)
		}
	}
	if err := s.gate.Judge(auth.Identity{Scope: from.Function.Scope, Principal: caller.ARN, Caller: caller}, nil, act); err != nil {
		return kiln.Errorf(kiln.Invalid, "%w", err)
	}
	return nil
}
