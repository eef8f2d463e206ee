package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// PublishVersion numbers what $LATEST is now; when nothing changed since the last
// number, that one is the answer.
func (s service) PublishVersion(ctx context.Context, in *lambda.PublishVersionRequest) (*lambda.FunctionConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, unsupported("PublishTo")
	}
	v, err := s.o.Catalog.Publish(ctx, id, Publication{Description: in.Description, CodeSHA256: value(in.CodeSha256), RevisionID: value(in.RevisionId)})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.configuration(ctx, v, kiln.Qualifier(v.Name())), nil
}
