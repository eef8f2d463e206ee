package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// CreateFunctionUrlConfig gives a function or an alias a web address.
func (s service) CreateFunctionUrlConfig(ctx context.Context, in *lambda.CreateFunctionUrlConfigRequest) (*lambda.CreateFunctionUrlConfigResponse, error) {
	urls, id, q, err := s.urlReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	mode := kiln.Buffered
	if in.InvokeMode != nil {
		mode = kiln.InvokeMode(*in.InvokeMode)
	}
	u, err := urls.CreateURL(ctx, kiln.FunctionURL{Function: id, Qualifier: q, Auth: kiln.URLAuth(*in.AuthType), InvokeMode: mode, CORS: corsOf(in.Cors)})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	c := s.urlConfig(callOf(ctx), u)
	return &lambda.CreateFunctionUrlConfigResponse{
		FunctionUrl: c.FunctionUrl, FunctionArn: c.FunctionArn, AuthType: c.AuthType, Cors: c.Cors, CreationTime: c.CreationTime, InvokeMode: c.InvokeMode,
	}, nil
}
