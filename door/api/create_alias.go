package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// CreateAlias names a version, or two with weights.
func (s service) CreateAlias(ctx context.Context, in *lambda.CreateAliasRequest) (*lambda.AliasConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	a := kiln.Alias{Function: id, Name: *in.Name, Version: *in.FunctionVersion, Description: value(in.Description), Weights: weights(in.RoutingConfig)}
	if err := published(in.FunctionVersion); err != nil {
		return nil, err
	}
	if err := checkRouting(a.Version, a.Weights); err != nil {
		return nil, err
	}
	if _, err := s.o.Catalog.Function(id); err != nil {
		// Of an unknown function the answer names the version, as for any reference.
		return nil, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "Function not found: " + id.QualifiedARN(kiln.Qualifier(a.Version))}
	}
	made, err := s.o.Catalog.CreateAlias(ctx, a)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return aliasConfiguration(made), nil
}
