package api

import (
	"context"

	"kiln/door/lambda"
)

// GetAlias describes one alias.
func (s service) GetAlias(ctx context.Context, in *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, err := s.o.Catalog.Alias(id, in.Name)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return aliasConfiguration(a), nil
}
