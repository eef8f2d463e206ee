package api

import (
	"context"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// maxMappings is how many mappings a page of ListEventSourceMappings has at most.
const maxMappings = 100

// ListEventSourceMappings gives a page of the mappings of the account, of a function or of
// a source. A function without a qualifier has those of its versions and aliases, too.
func (s service) ListEventSourceMappings(ctx context.Context, in *lambda.ListEventSourceMappingsRequest) (*lambda.ListEventSourceMappingsResponse, error) {
	all, err := s.mappings()
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	list := all.Mappings(c.Scope)
	if in.FunctionName != nil {
		id, q, err := c.reference(*in.FunctionName, nil)
		if err != nil {
			return nil, err
		}
		if _, err := s.o.Catalog.Version(id, q); err != nil {
			return nil, s.fault(ctx, err)
		}
		list = slices.DeleteFunc(list, func(m *kiln.Mapping) bool { return m.Function != id || q != "" && m.Qualifier != q })
	}
	if in.EventSourceArn != nil {
		list = slices.DeleteFunc(list, func(m *kiln.Mapping) bool { return m.Source != *in.EventSourceArn })
	}
	list, next, err := page(list, func(m *kiln.Mapping) string { return m.ID }, in.Marker, in.MaxItems, maxMappings)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListEventSourceMappingsResponse{EventSourceMappings: make([]lambda.EventSourceMappingConfiguration, 0, len(list)), NextMarker: next}
	for _, m := range list {
		out.EventSourceMappings = append(out.EventSourceMappings, *mappingConfig(m))
	}
	return out, nil
}
