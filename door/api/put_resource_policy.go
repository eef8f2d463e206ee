package api

import (
	"context"
	"errors"

	"kiln"
	"kiln/door/auth/policy"
	"kiln/door/lambda"
)

// policyARN reads the ARN of a function, a version or an alias.
func (c *call) policyARN(arn string) (kiln.FunctionID, kiln.Qualifier, error) {
	ref, err := kiln.ParseReference(c.Scope, arn)
	if err != nil || ref.ID.ARN() != arn && ref.ID.QualifiedARN(ref.Qualifier) != arn {
		return kiln.FunctionID{}, "", invalid("The resource " + clip(arn) + " is not the ARN of a function, a version or an alias.")
	}
	return c.policyOwner(arn, nil)
}

// PutResourcePolicy replaces the whole policy of a function, a version or an alias,
// what AddPermission has put there included. The text is kept as it was sent.
func (s service) PutResourcePolicy(ctx context.Context, in *lambda.PutResourcePolicyRequest) (*lambda.PutResourcePolicyResponse, error) {
	id, q, err := callOf(ctx).policyARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if n := len(*in.Policy); n > kiln.MaxPolicySize {
		return nil, policyTooLong(n)
	}
	if _, err := policy.Parse(policy.Resource, []byte(*in.Policy)); err != nil {
		var malformed *policy.Error
		if errors.As(err, &malformed) {
			return nil, invalid("The policy is not valid: " + malformed.Message)
		}
		return nil, err
	}
	p, err := s.o.Catalog.ChangePolicy(ctx, id, q, value(in.RevisionId), func(string) (string, error) { return *in.Policy, nil })
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &lambda.PutResourcePolicyResponse{Policy: &p.Document, RevisionId: &p.RevisionID}, nil
}
