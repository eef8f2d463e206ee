package api

import (
	"kiln"
	"kiln/door/lambda"
)

// aliasConfiguration turns an alias into the shape that describes it.
func aliasConfiguration(a *kiln.Alias) *lambda.AliasConfiguration {
	arn := a.ARN()
	out := &lambda.AliasConfiguration{
		AliasArn: &arn, Name: &a.Name, FunctionVersion: &a.Version, Description: &a.Description, RevisionId: present(a.RevisionID),
	}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: a.Weights}
	}
	return out
}

// checkRouting refuses weights that no alias could have, before it is asked whether
// its versions exist.
func checkRouting(version string, weights map[string]float64) error {
	if len(weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for other := range weights {
		if version == kiln.Latest { // recorded without a Type
			return &lambda.Error{Code: lambda.InvalidParameterValueException, Untyped: true,
				Message: "$LATEST is not supported for an alias pointing to more than 1 version"}
		}
		if other == version {
			return invalid("Invalid function version " + other + ". Function version " + other + " is already included in routing configuration.")
		}
	}
	return nil
}

// weights gives the weights of a request, nil for none.
func weights(r *lambda.AliasRoutingConfiguration) map[string]float64 {
	if r == nil || len(r.AdditionalVersionWeights) == 0 {
		return nil
	}
	return r.AdditionalVersionWeights
}

// published refuses versions that only instances have that kiln does not.
func published(version *string) error {
	if value(version) == "$LATEST.PUBLISHED" {
		return unsupported("the version $LATEST.PUBLISHED")
	}
	return nil
}
