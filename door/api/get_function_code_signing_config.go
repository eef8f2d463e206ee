package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionCodeSigningConfig says that a function has none, which deployment tools
// ask for on each of their reads: kiln checks no signatures of code.
func (s service) GetFunctionCodeSigningConfig(ctx context.Context, in *lambda.GetFunctionCodeSigningConfigRequest) (*lambda.GetFunctionCodeSigningConfigResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := s.o.Catalog.Function(id); err != nil {
		return nil, s.fault(ctx, err)
	}
	return &lambda.GetFunctionCodeSigningConfigResponse{FunctionName: &id.Name}, nil
}
