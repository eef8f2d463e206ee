package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// DeleteResourcePolicy takes the whole policy of a function, a version or an alias away.
func (s service) DeleteResourcePolicy(ctx context.Context, in *lambda.DeleteResourcePolicyRequest) error {
	id, q, err := callOf(ctx).policyARN(in.ResourceArn)
	if err != nil {
		return err
	}
	_, err = s.o.Catalog.ChangePolicy(ctx, id, q, value(in.RevisionId), func(document string) (string, error) {
		if document == "" {
			return "", kiln.Errorf(kiln.NotFound, "%s", errNoPolicy.Message)
		}
		return "", nil
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
