package api

import (
	"context"
	"fmt"
	"math"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// ListLayerVersions gives a page of the versions of a layer that are for what was asked
// for, the newest first. A layer that is not there has none.
func (s service) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsRequest) (*lambda.ListLayerVersionsResponse, error) {
	id, err := callOf(ctx).ownLayer(in.LayerName, "lambda:ListLayerVersions")
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(s.o.Catalog.LayerVersions(id), func(v *kiln.LayerVersion) bool {
		return !suits(v, in.CompatibleRuntime, in.CompatibleArchitecture)
	})
	list, next, err := page(list, fallingNumber, in.Marker, in.MaxItems, maxLayersOfPage)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayerVersionsResponse{LayerVersions: make([]lambda.LayerVersionsListItem, 0, len(list)), NextMarker: next}
	for _, v := range list {
		out.LayerVersions = append(out.LayerVersions, *layerListItem(v))
	}
	return out, nil
}

// fallingNumber is a key of a layer version that is the smaller the newer it is.
func fallingNumber(v *kiln.LayerVersion) string { return fmt.Sprintf("%010d", math.MaxInt32-v.Number) }
