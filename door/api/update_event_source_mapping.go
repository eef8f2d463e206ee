package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// UpdateEventSourceMapping changes a mapping that is between no two states.
func (s service) UpdateEventSourceMapping(ctx context.Context, in *lambda.UpdateEventSourceMappingRequest) (*lambda.EventSourceMappingConfiguration, error) {
	all, err := s.mappings()
	if err != nil {
		return nil, err
	}
	if err := refuseUpdateMapping(in); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	m, err := all.Update(ctx, c.Scope, c.mappingID(in.UUID), func(m *kiln.Mapping) error {
		if in.FunctionName != nil {
			id, q, err := c.reference(*in.FunctionName, nil)
			if err != nil {
				return err
			}
			m.Function, m.Qualifier = id, q
		}
		return (mappingSettings{in.Enabled, in.BatchSize, in.MaximumBatchingWindowInSeconds, in.FilterCriteria, in.ScalingConfig, in.FunctionResponseTypes}).apply(m)
	})
	if err != nil {
		return nil, s.exception(ctx, err, inUse)
	}
	return mappingConfig(m), nil
}
