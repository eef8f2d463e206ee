package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// PutFunctionRecursionConfig says whether chains of calls that come back to a function
// again and again are ended.
func (s service) PutFunctionRecursionConfig(ctx context.Context, in *lambda.PutFunctionRecursionConfigRequest) (*lambda.PutFunctionRecursionConfigResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	err = s.o.Catalog.ChangeFunction(ctx, id, func(f *kiln.Function) error {
		f.Loops = *in.RecursiveLoop == lambda.RecursiveLoopAllow
		return nil
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &lambda.PutFunctionRecursionConfigResponse{RecursiveLoop: in.RecursiveLoop}, nil
}
