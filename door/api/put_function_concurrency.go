package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// PutFunctionConcurrency reserves a part of the account's concurrency for a function;
// 0 switches it off.
func (s service) PutFunctionConcurrency(ctx context.Context, in *lambda.PutFunctionConcurrencyRequest) (*lambda.Concurrency, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := s.o.Catalog.Function(id); err != nil {
		// Recorded: of an unknown function this operation alone says $LATEST.
		return nil, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "Function not found: " + id.QualifiedARN(kiln.Latest)}
	}
	n := int(*in.ReservedConcurrentExecutions)
	if err := s.o.Catalog.SetReserved(ctx, id, &n); err != nil {
		return nil, s.fault(ctx, err)
	}
	return &lambda.Concurrency{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}
