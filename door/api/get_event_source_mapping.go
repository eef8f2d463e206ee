package api

import (
	"context"

	"kiln/door/lambda"
)

// GetEventSourceMapping describes a mapping.
func (s service) GetEventSourceMapping(ctx context.Context, in *lambda.GetEventSourceMappingRequest) (*lambda.EventSourceMappingConfiguration, error) {
	all, err := s.mappings()
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	m, err := all.Mapping(c.Scope, c.mappingID(in.UUID))
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return mappingConfig(m), nil
}
