package api

import (
	"context"
	"maps"

	"kiln"
	"kiln/door/lambda"
)

// CreateEventSourceMapping makes a mapping from a queue to a function. It answers while
// the mapping is being created.
func (s service) CreateEventSourceMapping(ctx context.Context, in *lambda.CreateEventSourceMappingRequest) (*lambda.EventSourceMappingConfiguration, error) {
	all, err := s.mappings()
	if err != nil {
		return nil, err
	}
	if err := refuseCreateMapping(in); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	id, q, err := c.reference(value(in.FunctionName), nil)
	if err != nil {
		return nil, err
	}
	if value(in.EventSourceArn) == "" {
		return nil, invalid("Unrecognized event source.")
	}
	t, err := tags(in.Tags)
	if err != nil {
		return nil, err
	}
	m := kiln.Mapping{Scope: c.Scope, Source: *in.EventSourceArn, Function: id, Qualifier: q, Enabled: true, BatchSize: kiln.DefaultQueueBatch, Tags: maps.Clone(t)}
	if err := (mappingSettings{in.Enabled, in.BatchSize, in.MaximumBatchingWindowInSeconds, in.FilterCriteria, in.ScalingConfig, in.FunctionResponseTypes}).apply(&m); err != nil {
		return nil, err
	}
	made, err := all.Create(ctx, m)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return mappingConfig(made), nil
}
