package main

import (
	"context"
	"path/filepath"

	"kiln/back/sqlite"
	"kiln/door/services/sqs"
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
