package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// UpdateFunctionCode gives $LATEST new code. The old code serves until the new one is
// in place. With DryRun nothing changes and the answer is what would be.
func (s service) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeRequest) (*lambda.FunctionConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := refuseCode(in); err != nil {
		return nil, err
	}
	object, err := s.newCode(callOf(ctx), id, in)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	publish := value(in.Publish)
	v, err := s.o.Catalog.UpdateCode(ctx, id, CodeUpdate{
		Zip: in.ZipFile, Object: object, Image: value(in.ImageUri), Architecture: architecture(in.Architectures), Publish: publish,
		DryRun: value(in.DryRun), RevisionID: value(in.RevisionId),
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	var q kiln.Qualifier
	if publish {
		q = kiln.Qualifier(v.Name())
	}
	return s.configuration(ctx, v, q), nil
}

// newCode refuses code of another kind than the function's, and gives where it lies
// when it is not in the request.
func (s service) newCode(c *call, id kiln.FunctionID, in *lambda.UpdateFunctionCodeRequest) (*kiln.S3Object, error) {
	v, err := s.o.Catalog.Version(id, "")
	if err != nil {
		return nil, err
	}
	if v.Config.FromImage() {
		if value(in.ImageUri) == "" || len(in.ZipFile) > 0 || in.S3Bucket != nil || in.S3Key != nil || in.S3ObjectVersion != nil {
			return nil, invalid("Please provide ImageUri when updating a function with packageType Image.")
		}
		return nil, c.mayName(*in.ImageUri)
	}
	if in.ImageUri != nil {
		return nil, invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	}
	return objectOf(len(in.ZipFile) > 0, in.S3Bucket, in.S3Key, in.S3ObjectVersion)
}
