package lambda_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiln/door/lambda"
)

// asked is a service that notes what it was asked.
type asked struct {
	lambda.Unimplemented
	operations []string
}

func (a *asked) GetPolicy(context.Context, *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) {
	a.operations = append(a.operations, "GetPolicy")
	return &lambda.GetPolicyResponse{}, nil
}

func (a *asked) DeleteFunction(context.Context, *lambda.DeleteFunctionRequest) (*lambda.DeleteFunctionResponse, error) {
	a.operations = append(a.operations, "DeleteFunction")
	return &lambda.DeleteFunctionResponse{}, nil
}

func TestAnOperationIsAnsweredOnlyWithPermission(t *testing.T) {
	a := &asked{}
	var names []string
	h := lambda.NewHandler(a, lambda.Options{Permit: func(_ context.Context, operation string, in any) error {
		names = append(names, operation)
		if in, ok := in.(*lambda.GetPolicyRequest); ok && in.FunctionName == "mine" {
			return nil
		}
		return &lambda.Error{Code: lambda.AccessDeniedException, Message: "no"}
	}})
	for path, want := range map[string]int{"mine": 200, "other": 403} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/2015-03-31/functions/"+path+"/policy", nil))
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/2015-03-31/functions/"+strings.Repeat("x", 300)+"/policy", nil))
	if w.Code != 400 || strings.Join(names, " ") != "GetPolicy GetPolicy" || len(a.operations) != 1 {
		t.Errorf("what is not valid is not asked for: %d, asked %v, answered %v", w.Code, names, a.operations)
	}
}

// untrue is a body that is not what its sender meant.
type untrue struct{ io.Reader }

func (untrue) Close() error { return nil }
func (untrue) Genuine() error {
	return &lambda.Error{Code: lambda.InvalidSignatureException, Message: "not this"}
}

func TestNothingIsDoneWithABodyThatIsNotGenuine(t *testing.T) {
	a := &asked{}
	h := lambda.NewHandler(a, lambda.Options{})
	for _, method := range []string{"GET /2015-03-31/functions/f/policy", "DELETE /2015-03-31/functions/f", "POST /2015-03-31/functions/f/invocations", "POST /2021-11-15/functions/f/response-streaming-invocations"} {
		verb, path, _ := strings.Cut(method, " ")
		r := httptest.NewRequest(verb, path, http.NoBody)
		r.Body, r.ContentLength = untrue{strings.NewReader("{}")}, 2
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 403 || w.Header().Get("X-Amzn-Errortype") != lambda.InvalidSignatureException {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	if len(a.operations) != 0 {
		t.Errorf("done: %v", a.operations)
	}
}
