package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// UpdateAlias changes what is sent of an alias and keeps the rest; an empty routing
// configuration takes the second version away.
func (s service) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasRequest) (*lambda.AliasConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := published(in.FunctionVersion); err != nil {
		return nil, err
	}
	a, err := s.o.Catalog.UpdateAlias(ctx, id, in.Name, value(in.RevisionId), func(a *kiln.Alias) error {
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
		if in.RoutingConfig != nil {
			a.Weights = weights(in.RoutingConfig)
		}
		return checkRouting(a.Version, a.Weights)
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return aliasConfiguration(a), nil
}
