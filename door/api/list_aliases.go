package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// ListAliases gives a page of the aliases of a function by name, with a version only
// those that lead to it.
func (s service) ListAliases(ctx context.Context, in *lambda.ListAliasesRequest) (*lambda.ListAliasesResponse, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	list, err := s.o.Catalog.Aliases(id, value(in.FunctionVersion))
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	list, next, err := page(list, func(a *kiln.Alias) string { return a.Name }, in.Marker, in.MaxItems, maxFunctions)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListAliasesResponse{Aliases: make([]lambda.AliasConfiguration, 0, len(list)), NextMarker: next}
	for _, a := range list {
		out.Aliases = append(out.Aliases, *aliasConfiguration(a))
	}
	return out, nil
}
