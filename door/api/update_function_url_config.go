package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// UpdateFunctionUrlConfig changes what was sent of a web address. The address itself
// stays; Cors is replaced as a whole.
func (s service) UpdateFunctionUrlConfig(ctx context.Context, in *lambda.UpdateFunctionUrlConfigRequest) (*lambda.UpdateFunctionUrlConfigResponse, error) {
	urls, id, q, err := s.urlReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	u, err := urls.UpdateURL(ctx, id, q, func(u *kiln.FunctionURL) error {
		if in.AuthType != nil {
			u.Auth = kiln.URLAuth(*in.AuthType)
		}
		if in.InvokeMode != nil {
			u.InvokeMode = kiln.InvokeMode(*in.InvokeMode)
		}
		if in.Cors != nil {
			u.CORS = corsOf(in.Cors)
		}
		return nil
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := urlAnswer(s.urlConfig(callOf(ctx), u))
	return &out, nil
}
