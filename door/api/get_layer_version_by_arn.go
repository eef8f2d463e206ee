package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// GetLayerVersionByArn is GetLayerVersion for the ARN of a layer version. The layers of
// AWS's own name space (awslayer) are not to be had.
func (s service) GetLayerVersionByArn(ctx context.Context, in *lambda.GetLayerVersionByArnRequest) (*lambda.GetLayerVersionResponse, error) {
	c := callOf(ctx)
	id, number, ok := kiln.ParseLayerARN(*in.Arn)
	if !ok || id.Region != c.Region {
		return nil, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: noSuchLayer}
	}
	v, err := s.readable(c, id, number)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.layerVersionResponse(c, v), nil
}
