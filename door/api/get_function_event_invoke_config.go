package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionEventInvokeConfig gives what was set of how events are run.
func (s service) GetFunctionEventInvokeConfig(ctx context.Context, in *lambda.GetFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	events, id, q, err := s.eventReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, err := events.SetEventPolicy(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return eventConfig(p), nil
}
