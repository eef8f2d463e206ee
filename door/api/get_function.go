package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunction describes one version with its states, where to download its code for
// the next ten minutes, and what belongs to the function as a whole.
func (s service) GetFunction(ctx context.Context, in *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
	c := callOf(ctx)
	id, q, err := c.reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	v, err := s.o.Catalog.Version(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	fn, err := s.o.Catalog.Function(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := &lambda.GetFunctionResponse{Configuration: s.configuration(ctx, v, q), Code: s.location(c, v)}
	if len(fn.Tags) > 0 {
		out.Tags = fn.Tags
	}
	if fn.Reserved != nil {
		out.Concurrency = &lambda.Concurrency{ReservedConcurrentExecutions: number(*fn.Reserved)}
	}
	return out, nil
}

// number gives a pointer to a number of the API.
func number(n int) *int32 {
	v := int32(n)
	return &v
}
