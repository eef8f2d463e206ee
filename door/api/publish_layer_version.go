package api

import (
	"context"

	"kiln/door/lambda"
)

// PublishLayerVersion adds a version to a layer, which is made when there is none.
func (s service) PublishLayerVersion(ctx context.Context, in *lambda.PublishLayerVersionRequest) (*lambda.PublishLayerVersionResponse, error) {
	c := callOf(ctx)
	id, err := c.ownLayer(in.LayerName, "lambda:PublishLayerVersion")
	if err != nil {
		return nil, err
	}
	if err := refuseLayer(in); err != nil {
		return nil, err
	}
	content := in.Content
	object, err := objectOf(len(content.ZipFile) > 0, content.S3Bucket, content.S3Key, content.S3ObjectVersion)
	if err != nil {
		return nil, err
	}
	v, err := s.o.Catalog.PublishLayer(ctx, NewLayer{
		ID: id, Zip: content.ZipFile, Object: object, Description: value(in.Description), License: value(in.LicenseInfo),
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures,
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := lambda.PublishLayerVersionResponse(*s.layerVersionResponse(c, v))
	return &out, nil
}
