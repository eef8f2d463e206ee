package api

import (
	"context"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// AddLayerVersionPermission lets another account, all of an organization, or everybody
// use a layer version.
func (s service) AddLayerVersionPermission(ctx context.Context, in *lambda.AddLayerVersionPermissionRequest) (*lambda.AddLayerVersionPermissionResponse, error) {
	id, number, err := callOf(ctx).layerVersion(in.LayerName, in.VersionNumber, "lambda:AddLayerVersionPermission")
	if err != nil {
		return nil, err
	}
	added := kiln.LayerStatement{ID: *in.StatementId, Action: *in.Action, Principal: *in.Principal, Organization: value(in.OrganizationId)}
	if added.Organization != "" && added.Principal != "*" {
		return nil, invalid("The principal must be * when an organization is named.")
	}
	v, err := s.o.Catalog.ChangeLayerPolicy(ctx, id, number, value(in.RevisionId), func(p *kiln.LayerPolicy) error {
		if slices.ContainsFunc(p.Statements, func(known kiln.LayerStatement) bool { return known.ID == added.ID }) {
			return kiln.Errorf(kiln.Conflict, "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", added.ID)
		}
		p.Statements = append(p.Statements, added)
		if doc := (&kiln.LayerVersion{Layer: id, Number: number, Policy: *p}).PolicyDocument(); len(doc) > kiln.MaxPolicySize {
			return policyTooLong(len(doc))
		}
		return nil
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	statement := string(added.Document(v.ARN()))
	return &lambda.AddLayerVersionPermissionResponse{Statement: &statement, RevisionId: &v.Policy.RevisionID}, nil
}
