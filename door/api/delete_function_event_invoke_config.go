package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteFunctionEventInvokeConfig brings back the defaults of how events are run.
func (s service) DeleteFunctionEventInvokeConfig(ctx context.Context, in *lambda.DeleteFunctionEventInvokeConfigRequest) error {
	events, id, q, err := s.eventReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if err := events.DeleteEventPolicy(ctx, id, q); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
