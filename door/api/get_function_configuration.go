package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionConfiguration describes one version with its states.
func (s service) GetFunctionConfiguration(ctx context.Context, in *lambda.GetFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	id, q, err := callOf(ctx).reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	v, err := s.o.Catalog.Version(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.configuration(ctx, v, q), nil
}
