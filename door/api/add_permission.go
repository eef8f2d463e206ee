package api

import (
	"context"
	"encoding/json"

	"kiln"
	"kiln/door/auth/policy"
	"kiln/door/lambda"
)

// AddPermission adds a statement to the policy of a function, a version or an alias.
func (s service) AddPermission(ctx context.Context, in *lambda.AddPermissionRequest) (*lambda.AddPermissionResponse, error) {
	id, q, err := callOf(ctx).policyOwner(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if _, err := s.o.Catalog.Policy(id, q); err != nil {
		return nil, s.fault(ctx, err)
	}
	p, err := newPermission(in, id.QualifiedARN(q))
	if err != nil {
		return nil, err
	}
	statement, err := plainJSON(p)
	if err != nil {
		return nil, err
	}
	_, err = s.o.Catalog.ChangePolicy(ctx, id, q, value(in.RevisionId), func(document string) (string, error) {
		d, err := readPolicy(document)
		if err != nil {
			return "", err
		}
		if d.find(p.Sid) >= 0 {
			return "", kiln.Errorf(kiln.Conflict, "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", p.Sid)
		}
		d.Statement = append(d.Statement, json.RawMessage(statement))
		next, err := d.text()
		if err != nil {
			return "", err
		}
		_, err = policy.Parse(policy.Resource, []byte(next))
		return next, err
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return &lambda.AddPermissionResponse{Statement: &statement}, nil
}
