package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteFunctionUrlConfig takes the web address of a function or an alias away for good.
func (s service) DeleteFunctionUrlConfig(ctx context.Context, in *lambda.DeleteFunctionUrlConfigRequest) error {
	urls, id, q, err := s.urlReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if err := urls.DeleteURL(ctx, id, q); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
