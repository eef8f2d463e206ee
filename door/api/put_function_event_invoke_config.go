package api

import (
	"context"

	"kiln/door/lambda"
)

// PutFunctionEventInvokeConfig sets how events of a function, a version or an alias are run, and forgets what was
// set before.
func (s service) PutFunctionEventInvokeConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	return s.putEventPolicy(ctx, in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig, true)
}
