package api

import (
	"context"

	"kiln/door/lambda"
)

// GetLayerVersion describes a layer version of the caller's account, or of one that
// shares it.
func (s service) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionRequest) (*lambda.GetLayerVersionResponse, error) {
	c := callOf(ctx)
	id, err := c.layer(in.LayerName)
	if err != nil {
		return nil, err
	}
	number, err := layerNumber(in.VersionNumber)
	if err != nil {
		return nil, err
	}
	v, err := s.readable(c, id, number)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.layerVersionResponse(c, v), nil
}
