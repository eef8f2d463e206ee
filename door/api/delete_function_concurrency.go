package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteFunctionConcurrency takes the reservation of a function away.
func (s service) DeleteFunctionConcurrency(ctx context.Context, in *lambda.DeleteFunctionConcurrencyRequest) error {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return err
	}
	if err := s.o.Catalog.SetReserved(ctx, id, nil); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
