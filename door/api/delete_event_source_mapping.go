package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteEventSourceMapping takes a mapping away as soon as the invocations that run for it
// are over.
func (s service) DeleteEventSourceMapping(ctx context.Context, in *lambda.DeleteEventSourceMappingRequest) (*lambda.EventSourceMappingConfiguration, error) {
	all, err := s.mappings()
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	m, err := all.Delete(ctx, c.Scope, c.mappingID(in.UUID))
	if err != nil {
		return nil, s.exception(ctx, err, inUse)
	}
	return mappingConfig(m), nil
}
