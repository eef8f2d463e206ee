package api

import (
	"context"

	"kiln/door/lambda"
)

// GetPolicy gives the policy of a function, a version or an alias.
func (s service) GetPolicy(ctx context.Context, in *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) {
	id, q, err := callOf(ctx).reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, err := s.o.Catalog.Policy(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	if p == nil {
		return nil, errNoPolicy
	}
	return &lambda.GetPolicyResponse{Policy: &p.Document, RevisionId: &p.RevisionID}, nil
}
