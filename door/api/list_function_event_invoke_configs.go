package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// maxEventPolicies is how many configurations a page of ListFunctionEventInvokeConfigs
// has at most.
const maxEventPolicies = 50

// ListFunctionEventInvokeConfigs gives a page of what was set of how events of a
// function, its versions and aliases are run.
func (s service) ListFunctionEventInvokeConfigs(ctx context.Context, in *lambda.ListFunctionEventInvokeConfigsRequest) (*lambda.ListFunctionEventInvokeConfigsResponse, error) {
	events, id, _, err := s.eventReference(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	list, err := events.EventPolicies(id)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return nil, errNoEventOwner
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	list, next, err := page(list, func(p *kiln.EventPolicy) string { return string(p.Qualifier) }, in.Marker, in.MaxItems, maxEventPolicies)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionEventInvokeConfigsResponse{FunctionEventInvokeConfigs: make([]lambda.FunctionEventInvokeConfig, 0, len(list)), NextMarker: next}
	for _, p := range list {
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *eventConfig(p))
	}
	return out, nil
}
