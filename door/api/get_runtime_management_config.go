package api

import (
	"cmp"
	"context"

	"kiln"
	"kiln/door/lambda"
)

// GetRuntimeManagementConfig tells when a version gets another release of its runtime.
func (s service) GetRuntimeManagementConfig(ctx context.Context, in *lambda.GetRuntimeManagementConfigRequest) (*lambda.GetRuntimeManagementConfigResponse, error) {
	id, q, err := callOf(ctx).reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	v, err := s.managed(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	arn := id.QualifiedARN(kiln.Qualifier(v.Name()))
	mode := cmp.Or(string(v.Updates.Mode), lambda.UpdateRuntimeOnAuto)
	return &lambda.GetRuntimeManagementConfigResponse{UpdateRuntimeOn: &mode, FunctionArn: &arn, RuntimeVersionArn: manualARN(v)}, nil
}
