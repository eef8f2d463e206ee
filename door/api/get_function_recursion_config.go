package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionRecursionConfig tells whether chains of calls that come back to a function
// again and again are ended.
func (s service) GetFunctionRecursionConfig(ctx context.Context, in *lambda.GetFunctionRecursionConfigRequest) (*lambda.GetFunctionRecursionConfigResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := s.o.Catalog.Function(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	loop := lambda.RecursiveLoopTerminate
	if f.Loops {
		loop = lambda.RecursiveLoopAllow
	}
	return &lambda.GetFunctionRecursionConfigResponse{RecursiveLoop: &loop}, nil
}
