package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// ListVersionsByFunction gives a page of the versions of a function, $LATEST first.
// Each is named by its qualified ARN.
func (s service) ListVersionsByFunction(ctx context.Context, in *lambda.ListVersionsByFunctionRequest) (*lambda.ListVersionsByFunctionResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	versions, err := s.o.Catalog.Versions(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	versions, next, err := page(versions, versionKey, in.Marker, in.MaxItems, maxFunctions)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListVersionsByFunctionResponse{Versions: make([]lambda.FunctionConfiguration, 0, len(versions)), NextMarker: next}
	for _, v := range versions {
		out.Versions = append(out.Versions, *listed(v, kiln.Qualifier(v.Name())))
	}
	return out, nil
}
