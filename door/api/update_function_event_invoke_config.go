package api

import (
	"context"

	"kiln/door/lambda"
)

// UpdateFunctionEventInvokeConfig changes what it names of how events are run.
func (s service) UpdateFunctionEventInvokeConfig(ctx context.Context, in *lambda.UpdateFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	return s.putEventPolicy(ctx, in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig, false)
}
