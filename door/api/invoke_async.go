package api

import (
	"context"
	"net/http"

	"kiln/door/lambda"
)

// InvokeAsync is what Invoke with the type Event was called before.
func (s service) InvokeAsync(ctx context.Context, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
	kind := lambda.InvocationTypeEvent
	inv, err := s.invocation(callOf(ctx), &lambda.InvocationRequest{FunctionName: in.FunctionName, Payload: in.InvokeArgs, InvocationType: &kind})
	if err != nil {
		return nil, err
	}
	if err := s.enqueue(ctx, inv); err != nil {
		return nil, err
	}
	status := int32(http.StatusAccepted)
	return &lambda.InvokeAsyncResponse{Status: &status}, nil
}
