package api

import (
	"kiln"
	"kiln/door/lambda"
)

// unqualifiedText is AWS's answer where only the function itself can be meant.
const unqualifiedText = "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN."

// reference reads a FunctionName in any of its forms together with the Qualifier that
// stands beside it. The function is one of the caller's own account and region: a name
// that says another is refused as AWS refuses it, whether it exists there or not.
func (c *call) reference(name string, qualifier *string) (kiln.FunctionID, kiln.Qualifier, error) {
	ref, err := kiln.ParseReference(c.Scope, name)
	if err != nil {
		return kiln.FunctionID{}, "", &lambda.Error{Code: lambda.InvalidParameterValueException,
			Message: "The function name " + clip(name) + " is neither a name, a partial ARN nor the ARN of a function."}
	}
	if qualifier != nil {
		if ref.Qualifier != "" && ref.Qualifier != kiln.Qualifier(*qualifier) {
			return kiln.FunctionID{}, "", invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		ref.Qualifier = kiln.Qualifier(*qualifier)
	}
	if ref.ID.Region != c.Region {
		return kiln.FunctionID{}, "", &lambda.Error{Code: lambda.ResourceNotFoundException,
			Message: "Functions from '" + clip(ref.ID.Region) + "' are not reachable in this region ('" + c.Region + "')"}
	}
	if ref.ID.Account != c.Account && ref.ID.Account != c.granted {
		return kiln.FunctionID{}, "", &lambda.Error{Code: lambda.AccessDeniedException} // AWS says no more than that
	}
	return ref.ID, ref.Qualifier, nil
}

// function reads a FunctionName that must not carry a qualifier.
func (c *call) function(name string) (kiln.FunctionID, error) {
	id, q, err := c.reference(name, nil)
	if err != nil {
		return kiln.FunctionID{}, err
	}
	if q != "" {
		return kiln.FunctionID{}, invalid(unqualifiedText)
	}
	return id, nil
}
