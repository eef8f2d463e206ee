package api

import (
	"context"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// RemovePermission takes a statement out of a policy; without its last statement the
// policy is gone.
func (s service) RemovePermission(ctx context.Context, in *lambda.RemovePermissionRequest) error {
	id, q, err := callOf(ctx).policyOwner(in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if _, err := s.o.Catalog.Function(id); kiln.CodeOf(err) == kiln.NotFound {
		return &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "No policy found for: " + id.ARN()}
	}
	_, err = s.o.Catalog.ChangePolicy(ctx, id, q, value(in.RevisionId), func(document string) (string, error) {
		if document == "" {
			return "", kiln.Errorf(kiln.NotFound, "No policy is associated with the given resource.")
		}
		d, err := readPolicy(document)
		if err != nil {
			return "", err
		}
		i := d.find(in.StatementId)
		if i < 0 {
			return "", kiln.Errorf(kiln.NotFound, "Statement %s is not found in resource policy.", in.StatementId)
		}
		if d.Statement = slices.Delete(d.Statement, i, i+1); len(d.Statement) == 0 {
			return "", nil
		}
		return d.text()
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
