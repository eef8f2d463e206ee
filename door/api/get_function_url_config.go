package api

import (
	"context"

	"kiln/door/lambda"
)

// GetFunctionUrlConfig describes the web address of a function or an alias.
func (s service) GetFunctionUrlConfig(ctx context.Context, in *lambda.GetFunctionUrlConfigRequest) (*lambda.GetFunctionUrlConfigResponse, error) {
	urls, id, q, err := s.urlReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	u, err := urls.URL(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	out := lambda.GetFunctionUrlConfigResponse(urlAnswer(s.urlConfig(callOf(ctx), u)))
	return &out, nil
}

// urlAnswer puts the members of a description in the order of the answers to Get and
// Update.
func urlAnswer(c *lambda.FunctionUrlConfig) lambda.UpdateFunctionUrlConfigResponse {
	return lambda.UpdateFunctionUrlConfigResponse{
		FunctionUrl: c.FunctionUrl, FunctionArn: c.FunctionArn, AuthType: c.AuthType, Cors: c.Cors,
		CreationTime: c.CreationTime, LastModifiedTime: c.LastModifiedTime, InvokeMode: c.InvokeMode,
	}
}
