package api

import (
	"context"

	"kiln/door/lambda"
)

// GetResourcePolicy gives the policy of a function, a version or an alias by its ARN.
func (s service) GetResourcePolicy(ctx context.Context, in *lambda.GetResourcePolicyRequest) (*lambda.GetResourcePolicyResponse, error) {
	id, q, err := callOf(ctx).policyARN(in.ResourceArn)
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
	return &lambda.GetResourcePolicyResponse{Policy: &p.Document, RevisionId: &p.RevisionID}, nil
}
