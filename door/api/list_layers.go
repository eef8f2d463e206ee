package api

import (
	"context"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// ListLayers gives a page of the layers of the account by name, each with the newest of
// its versions that is for what was asked for. Layers without one are left out.
func (s service) ListLayers(ctx context.Context, in *lambda.ListLayersRequest) (*lambda.ListLayersResponse, error) {
	var list []*kiln.LayerVersion
	for _, versions := range s.o.Catalog.Layers(callOf(ctx).Scope) {
		i := slices.IndexFunc(versions, func(v *kiln.LayerVersion) bool { return suits(v, in.CompatibleRuntime, in.CompatibleArchitecture) })
		if i >= 0 {
			list = append(list, versions[i])
		}
	}
	list, next, err := page(list, func(v *kiln.LayerVersion) string { return v.Layer.Name }, in.Marker, in.MaxItems, maxLayersOfPage)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayersResponse{Layers: make([]lambda.LayersListItem, 0, len(list)), NextMarker: next}
	for _, v := range list {
		arn := v.Layer.ARN()
		out.Layers = append(out.Layers, lambda.LayersListItem{LayerName: &v.Layer.Name, LayerArn: &arn, LatestMatchingVersion: layerListItem(v)})
	}
	return out, nil
}
