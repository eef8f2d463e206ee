package main

import (
	"context"
	"path/filepath"
	"strings"

	"kiln"
	"kiln/back/sqlite"
	"kiln/door/api"
	"kiln/engine/async"
)

// openQueue opens the queue of events. It is closed after the environments, which end
// what runs.
func (s *stack) openQueue(ctx context.Context, dataDir string) (err error) {
	if s.queue, err = sqlite.OpenQueue(ctx, filepath.Join(dataDir, "queue.db")); err != nil {
		return err
	}
	s.addCloser("queue of events", s.queue.Close)
	s.addCloser("events", func() error {
		if s.events == nil {
			return nil
		}
		return s.events.Close()
	})
	return nil
}

// startEvents begins to run what is in the queue.
func (s *stack) startEvents(ctx context.Context) (err error) {
	told := &functionDestination{open: make(chan struct{}), may: s.mayDeliver}
	s.events, err = async.Start(ctx, async.Options{
		Queue: s.queue, Invoker: s.dispatch, Settings: s.catalog, Destination: destinations{told, queueDestination{s}}, DeadLetters: queueDestination{s}, Running: s.config.AccountConcurrency, Logger: s.log,
	})
	if err != nil {
		return err
	}
	told.runner = s.events
	close(told.open)
	s.addCloser("new events", func() error { s.events.Stop(); return nil })
	return nil
}

// eventsDoor is the runner of events in the words of door/api. The port is made before
// the runner starts, since functions may call it at once.
type eventsDoor struct{ stack *stack }

var _ api.Enqueuer = eventsDoor{}

// Enqueue is api.Enqueuer.
func (d eventsDoor) Enqueue(ctx context.Context, inv *kiln.Invocation) error {
	return d.stack.events.Enqueue(ctx, &async.Event{
		ID: inv.ID, Function: inv.Function, Qualifier: inv.Qualifier, Payload: inv.Payload, Trace: inv.Trace,
		ClientJSON: inv.ClientJSON, Tenant: inv.Tenant, Accepted: inv.Accepted,
	})
}

// destinations gives records to what their ARN names.
type destinations struct {
	functions *functionDestination
	queues    queueDestination
}

var _ async.Destination = destinations{}

// Deliver is async.Destination.
func (d destinations) Deliver(ctx context.Context, arn string, from *async.Event, r async.Record) error {
	if strings.HasPrefix(arn, "arn:aws:sqs:") {
		return d.queues.Deliver(ctx, arn, from, r)
	}
	return d.functions.Deliver(ctx, arn, from, r)
}

// functionDestination gives records to functions, as events.
type functionDestination struct {
	open   chan struct{} // closed when runner is there: what is in the queue runs at once
	runner *async.Runner
	may    func(from *async.Event, to kiln.Reference) error // nil, or why the record must not be given there
}

// Deliver is async.Destination.
func (d *functionDestination) Deliver(ctx context.Context, arn string, from *async.Event, r async.Record) error {
	ref, err := kiln.ParseReference(from.Function.Scope, arn)
	if err != nil {
		return kiln.Errorf(kiln.Invalid, "%q is not the ARN of a function: %w", arn, err)
	}
	if err := d.may(from, ref); err != nil {
		return err
	}
	text, err := r.JSON(from)
	if err != nil {
		return kiln.Errorf(kiln.Invalid, "the record cannot be written: %w", err)
	}
	if len(text) > kiln.MaxAsyncPayload {
		return kiln.Errorf(kiln.TooLarge, "the record has %d bytes, and an event at most %d", len(text), kiln.MaxAsyncPayload)
	}
	trace := from.Trace
	if r.Outcome != nil {
		trace = r.Outcome.Trace // with the lineage that leads to the destination
	}
	<-d.open
	return d.runner.Enqueue(ctx, &async.Event{
		ID: kiln.NewID(), Function: ref.ID, Qualifier: ref.Qualifier, Payload: text, Trace: trace, Accepted: r.At,
	})
}

// account tells what the functions of a scope use, and what they may.
func (s *stack) account(in kiln.Scope) api.Account {
	use, now := s.catalog.Usage(in), s.dispatch.Usage(in)
	return api.Account{Functions: use.Functions, CodeBytes: use.CodeBytes, Concurrency: now.AccountLimit, Unreserved: now.UnreservedLimit}
}
