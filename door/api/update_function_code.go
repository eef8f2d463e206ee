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
	object, err := objectOf(len(in.ZipFile) > 0, in.S3Bucket, in.S3Key, in.S3ObjectVersion)
	if err != nil {
		return nil, err
	}
	publish := value(in.Publish)
	v, err := s.o.Catalog.UpdateCode(ctx, id, CodeUpdate{
		Zip: in.ZipFile, Object: object, Architecture: architecture(in.Architectures), Publish: publish,
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
