package api

import (
	"context"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// RemoveLayerVersionPermission takes one statement out of the policy of a layer version.
func (s service) RemoveLayerVersionPermission(ctx context.Context, in *lambda.RemoveLayerVersionPermissionRequest) error {
	id, number, err := callOf(ctx).layerVersion(in.LayerName, in.VersionNumber, "lambda:RemoveLayerVersionPermission")
	if err != nil {
		return err
	}
	_, err = s.o.Catalog.ChangeLayerPolicy(ctx, id, number, value(in.RevisionId), func(p *kiln.LayerPolicy) error {
		i := slices.IndexFunc(p.Statements, func(known kiln.LayerStatement) bool { return known.ID == in.StatementId })
		if i < 0 {
			return kiln.Errorf(kiln.NotFound, "Statement %s is not found in resource policy.", in.StatementId)
		}
		p.Statements = slices.Delete(p.Statements, i, i+1)
		return nil
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}
