package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionConcurrency tells what is reserved for a function; without a reservation
// the answer is empty.
func (s service) GetFunctionConcurrency(ctx context.Context, in *lambda.GetFunctionConcurrencyRequest) (*lambda.GetFunctionConcurrencyResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	fn, err := s.o.Catalog.Function(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &lambda.GetFunctionConcurrencyResponse{}
	if fn.Reserved != nil {
		out.ReservedConcurrentExecutions = number(*fn.Reserved)
	}
	return out, nil
}
