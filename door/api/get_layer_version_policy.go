package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// GetLayerVersionPolicy gives who may use a layer version besides its own account.
func (s service) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyRequest) (*lambda.GetLayerVersionPolicyResponse, error) {
	id, number, err := callOf(ctx).layerVersion(in.LayerName, in.VersionNumber, "lambda:GetLayerVersionPolicy")
	if err != nil {
		return nil, err
	}
	v, err := s.o.Catalog.LayerVersion(id, number)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return nil, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "Layer version " + id.VersionARN(number) + " does not exist."}
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	doc := v.PolicyDocument()
	if doc == "" {
		return nil, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "No policy is associated with the given resource."}
	}
	return &lambda.GetLayerVersionPolicyResponse{Policy: &doc, RevisionId: &v.Policy.RevisionID}, nil
}
