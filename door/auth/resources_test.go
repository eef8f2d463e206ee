package auth_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
)

// shared is a function of the account of ring's user, with a policy.
var shared = kiln.FunctionID{Scope: kiln.Scope{Account: "111111111111", Region: "eu-west-1"}, Name: "f"}

func resources(document string) *auth.Resources {
	return auth.NewResources(func(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Policy, error) {
		if q != "" || document == "" {
			return nil, nil
		}
		return &kiln.Policy{Document: document, RevisionID: document}, nil
	})
}

func statement(action, principal, condition string) string {
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"` + shared.ARN() + `","Condition":` + condition + `}`
}

func document(statements ...string) string {
	out := `{"Version":"2012-10-17","Id":"default","Statement":[`
	for i, s := range statements {
		if i > 0 {
			out += ","
		}
		out += s
	}
	return out + "]}"
}

func TestAFunctionURLLetsInWhomItsPolicyNames(t *testing.T) {
	const none, iam, via = `{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}`, `{"StringEquals":{"lambda:FunctionUrlAuthType":"AWS_IAM"}}`, `{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}`
	public := document(statement("lambda:InvokeFunctionUrl", `"*"`, none), statement("lambda:InvokeFunction", `"*"`, via))
	mine := document(statement("lambda:InvokeFunctionUrl", `{"AWS":"arn:aws:iam::111111111111:user/u"}`, iam), statement("lambda:InvokeFunction", `{"AWS":"arn:aws:iam::111111111111:user/u"}`, via))
	open := gate(t)
	for _, c := range []struct {
		name   string
		gate   *auth.Gate
		kind   kiln.URLAuth
		policy string
		signed bool
		want   string // the exception; "" is let in
	}{
		{"public", verifier(t), kiln.URLAuthNone, public, false, ""},
		{"public, where nothing is checked", open, kiln.URLAuthNone, public, false, ""},
		{"no policy", verifier(t), kiln.URLAuthNone, "", false, "AccessDeniedException"},
		{"no policy, where nothing is checked", open, kiln.URLAuthNone, "", false, ""},
		{"only the URL is public", verifier(t), kiln.URLAuthNone, document(statement("lambda:InvokeFunctionUrl", `"*"`, none)), false, "AccessDeniedException"},
		{"only the function is public", verifier(t), kiln.URLAuthNone, document(statement("lambda:InvokeFunction", `"*"`, via)), false, "AccessDeniedException"},
		{"what is public for NONE is not for IAM", verifier(t), kiln.URLAuthIAM, public, true, "AccessDeniedException"},
		{"IAM, signed and named", verifier(t), kiln.URLAuthIAM, mine, true, ""},
		{"IAM, not signed", verifier(t), kiln.URLAuthIAM, mine, false, "MissingAuthenticationTokenException"},
		{"IAM, signed and not named", verifier(t), kiln.URLAuthIAM, "", true, "AccessDeniedException"},
		{"IAM, where nothing is checked", open, kiln.URLAuthIAM, "", true, ""},
		{"IAM, where nothing is checked, not signed", open, kiln.URLAuthIAM, "", false, "MissingAuthenticationTokenException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://abc.lambda-url.eu-west-1.localhost/", nil)
			if c.signed {
				r = draft{method: "GET", url: "http://abc.lambda-url.eu-west-1.localhost/"}.signed(t)
			}
			who, _, err := c.gate.AuthorizeURL(r, &kiln.FunctionURL{Function: shared, ID: "abc", Auth: c.kind}, resources(c.policy))
			if c.want == "" {
				if err != nil || who.Signed() != c.signed {
					t.Errorf("got %+v, %v", who, err)
				}
				return
			}
			refused(t, c.name, err, c.want, "")
		})
	}
}

func TestAPolicyThatCannotBeReadLetsNobodyIn(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	_, _, err := verifier(t).AuthorizeURL(r, &kiln.FunctionURL{Function: shared, Auth: kiln.URLAuthNone}, resources("{"))
	var refusal *auth.Refusal
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("got %v, want a fault", err)
	}
	broken := auth.NewResources(func(kiln.FunctionID, kiln.Qualifier) (*kiln.Policy, error) { return nil, errors.New("boom") })
	if d, err := broken.Of(shared, ""); err == nil || d != nil {
		t.Errorf("got %v, %v", d, err)
	}
	gone := auth.NewResources(func(kiln.FunctionID, kiln.Qualifier) (*kiln.Policy, error) {
		return nil, kiln.Errorf(kiln.NotFound, "no function")
	})
	if d, err := gone.Of(shared, ""); err != nil || d != nil {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestWhoMayNotIsToldSoInTheWordsOfAWS(t *testing.T) {
	g := verifier(t)
	r := draft{method: "GET", url: somewhere}.signed(t)
	who, _, err := g.Verify(r, "lambda")
	if err != nil {
		t.Fatal(err)
	}
	err = g.Authorize(who, r, auth.Act{Action: "lambda:GetFunction", Resource: shared.ARN(), Owner: shared.Account})
	refused(t, "a user without policies", err, "AccessDeniedException",
		"User: arn:aws:iam::111111111111:user/u is not authorized to perform: lambda:GetFunction on resource: arn:aws:lambda:eu-west-1:111111111111:function:f because no identity-based policy allows the lambda:GetFunction action")
	err = g.Authorize(who, r, auth.Act{Action: "lambda:ListFunctions", Resource: "*"})
	refused(t, "an action without resource", err, "AccessDeniedException",
		"User: arn:aws:iam::111111111111:user/u is not authorized to perform: lambda:ListFunctions on resource: * because no identity-based policy allows the lambda:ListFunctions action")
	for text, want := range map[string]bool{document(statement("lambda:InvokeFunction", `{"Service":"s3.amazonaws.com"}`, `{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b*"},"Null":{"aws:SourceIp":"true"}}`)): true, "": false} {
		d, err := resources(text).Of(shared, "")
		if err != nil {
			t.Fatal(err)
		}
		act := auth.Act{Action: "lambda:InvokeFunction", Resource: shared.ARN(), Owner: shared.Account, Policy: d, Keys: policy.Context{"aws:sourcearn": {"arn:aws:s3:::bucket"}}}
		err = g.Judge(auth.Identity{Scope: shared.Scope, Caller: auth.ServiceCaller("s3.amazonaws.com")}, nil, act)
		if want != (err == nil) {
			t.Errorf("a service of this server: %v, want %v", err, want)
		}
		if err != nil {
			refused(t, "a service", err, "AccessDeniedException", "User: s3.amazonaws.com is not authorized to perform: lambda:InvokeFunction on resource: "+shared.ARN()+" because no resource-based policy allows")
		}
	}
	if err := gate(t).Authorize(auth.Identity{}, r, auth.Act{Action: "lambda:GetFunction", Resource: "*"}); err != nil {
		t.Errorf("where nothing is checked: %v", err)
	}
}
