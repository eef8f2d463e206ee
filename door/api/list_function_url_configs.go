package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// maxURLs is how many descriptions a page of ListFunctionUrlConfigs has at most.
const maxURLs = 50

// ListFunctionUrlConfigs gives a page of the web addresses of a function and its aliases,
// its own first.
func (s service) ListFunctionUrlConfigs(ctx context.Context, in *lambda.ListFunctionUrlConfigsRequest) (*lambda.ListFunctionUrlConfigsResponse, error) {
	urls, id, _, err := s.urlReference(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	list, err := urls.URLs(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	// The function's own has the first key, behind which a marker can stand.
	list, next, err := page(list, func(u *kiln.FunctionURL) string { return " " + string(u.Qualifier) }, in.Marker, in.MaxItems, maxURLs)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionUrlConfigsResponse{FunctionUrlConfigs: make([]lambda.FunctionUrlConfig, 0, len(list)), NextMarker: next}
	for _, u := range list {
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, *s.urlConfig(callOf(ctx), u))
	}
	return out, nil
}
