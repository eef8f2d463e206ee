package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// maxFunctions is the most that one page of functions or versions holds, whatever
// was asked for.
const maxFunctions = 50

// ListFunctions gives a page of the functions of the caller's account and region, or
// with FunctionVersion ALL of their versions, in the order of names.
func (s service) ListFunctions(ctx context.Context, in *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
	c := callOf(ctx)
	if in.MasterRegion != nil {
		return nil, unsupported("MasterRegion (replicas of functions in other regions)")
	}
	all := in.FunctionVersion != nil
	var versions []*kiln.Version
	if all {
		versions = slices.Clone(s.o.Catalog.AllVersions(c.Scope))
		slices.SortFunc(versions, func(a, b *kiln.Version) int { return strings.Compare(versionKey(a), versionKey(b)) })
	} else {
		versions = s.o.Catalog.Functions(c.Scope)
	}
	versions, next, err := page(versions, versionKey, in.Marker, in.MaxItems, maxFunctions)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionsResponse{Functions: make([]lambda.FunctionConfiguration, 0, len(versions)), NextMarker: next}
	for _, v := range versions {
		var q kiln.Qualifier
		if all {
			q = kiln.Qualifier(v.Name())
		}
		out.Functions = append(out.Functions, *listed(v, q))
	}
	return out, nil
}

// versionKey orders versions by name and number; $LATEST, being 0, is the first. A
// space sorts before all that a name has.
func versionKey(v *kiln.Version) string { return fmt.Sprintf("%s %010d", v.Function.Name, v.Number) }
