package api

import (
	"context"

	"kiln/door/lambda"
)

// DeleteLayerVersion takes a layer version away. Functions that have it keep it, and
// its number is not given again. One that is not there is no error.
func (s service) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionRequest) error {
	id, number, err := callOf(ctx).layerVersion(in.LayerName, in.VersionNumber, "lambda:DeleteLayerVersion")
	if err != nil {
		return err
	}
	if err := s.o.Catalog.DeleteLayerVersion(ctx, id, number); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
