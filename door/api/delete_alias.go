package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteAlias takes a name away; the versions stay.
func (s service) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasRequest) error {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return err
	}
	if err := s.o.Catalog.DeleteAlias(ctx, id, in.Name); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
