package api

import (
	"context"
	"net/http"

	"kiln"
	"kiln/door/lambda"
)

// DeleteFunction removes a function with all it owns or, with the number of a version,
// that version alone.
func (s service) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionRequest) (*lambda.DeleteFunctionResponse, error) {
	id, q, err := callOf(ctx).reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	switch {
	case q == "":
		err = s.o.Catalog.DeleteFunction(ctx, id)
	case q == kiln.Latest:
		err = invalid("$LATEST version cannot be deleted without deleting the function.")
	case !isNumber(string(q)):
		err = invalid("Deletion of aliases is not currently supported.")
	default:
		err = s.o.Catalog.DeleteVersion(ctx, id, q)
	}
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	// The model says 200; what is recorded of the service is 204, and it fits an
	// answer without a body.
	status := int32(http.StatusNoContent)
	return &lambda.DeleteFunctionResponse{StatusCode: &status}, nil
}

// isNumber reports whether s is a number, as names of published versions are.
func isNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
