package auth_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"kiln"
	"kiln/door/auth"
)

const ownToken = "IQoJb3JpZ2luX2VjE+a/b=="

// inside is an environment of the function f of account 222222222222 in eu-west-1.
func inside() *auth.Environment {
	id := kiln.FunctionID{Scope: kiln.Scope{Account: "222222222222", Region: "eu-west-1"}, Name: "f"}
	return auth.NewEnvironment(id, "arn:aws:iam::222222222222:role/service-role/worker", ownToken)
}

func signed(key, region string) string {
	return "AWS4-HMAC-SHA256 Credential=" + key + "/20260101/" + region + "/lambda/aws4_request" + tail
}

func query(key, token string) string {
	q := url.Values{"X-Amz-Algorithm": {auth.Algorithm}, "X-Amz-Credential": {key + "/20260101/eu-west-1/lambda/aws4_request"}, "X-Amz-Signature": {"0"}, "X-Amz-SignedHeaders": {"host"}}
	if token != "" {
		q.Set("X-Amz-Security-Token", token)
	}
	return q.Encode()
}

func TestInsideARequestIsTheFunctionsOwnWhateverItIsSignedWith(t *testing.T) {
	const unknown, absent = "The security token included in the request is invalid.", "Missing Authentication Token."
	for _, c := range []struct {
		name, authorization, query string
		tokens                     []string
		region, refused            string
	}{
		{name: "its own credentials", authorization: signed("222222222222", "eu-west-1"), tokens: []string{ownToken}, region: "eu-west-1"},
		{name: "its own key alone", authorization: signed("222222222222", "eu-west-1"), region: "eu-west-1"},
		{name: "a made-up key", authorization: signed("test", "eu-west-1"), region: "eu-west-1"},
		{name: "a real looking key", authorization: signed("AKIAIOSFODNN7EXAMPLE", "eu-west-1"), region: "eu-west-1"},
		{name: "another region", authorization: signed("222222222222", "us-east-1"), tokens: []string{ownToken}, region: "us-east-1"},
		{name: "no signature but the token", tokens: []string{ownToken}, region: "eu-west-1"},
		{name: "a presigned URL with the token", query: query("222222222222", ownToken), region: "eu-west-1"},

		{name: "another account's key", authorization: signed("111111111111", "eu-west-1"), refused: unknown},
		{name: "another account's key with the own token", authorization: signed("111111111111", "eu-west-1"), tokens: []string{ownToken}, refused: unknown},
		{name: "the token of another environment", authorization: signed("222222222222", "eu-west-1"), tokens: []string{"IQoJb3JpZ2luX2VjE+a/b=-"}, refused: unknown},
		{name: "a part of the token", authorization: signed("222222222222", "eu-west-1"), tokens: []string{ownToken[:10]}, refused: unknown},
		{name: "an empty token", authorization: signed("222222222222", "eu-west-1"), tokens: []string{""}, refused: unknown},
		{name: "two tokens", authorization: signed("222222222222", "eu-west-1"), tokens: []string{ownToken, ownToken}, refused: unknown},
		{name: "only the token of another environment", tokens: []string{"x"}, refused: unknown},
		{name: "a presigned URL with another token", query: query("222222222222", "x"), refused: unknown},
		{name: "a presigned URL of another account", query: query("111111111111", ownToken), refused: unknown},
		{name: "nothing", refused: absent},
		{name: "a presigned URL that anybody can write", query: query("222222222222", ""), refused: absent},
		{name: "a presigned URL with a made-up key", query: query("test", ""), refused: absent},
		{name: "a password", authorization: "Basic dXNlcjpwYXNz", tokens: []string{ownToken}, refused: "Unsupported AWS 'algorithm': 'Basic'"},
		{name: "a region that is none", authorization: signed("222222222222", "EU&1"), refused: "Credential should"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.authorization)
			r.URL.RawQuery = c.query
			for _, token := range c.tokens {
				r.Header.Add("X-Amz-Security-Token", token)
			}
			got, err := inside().Identify(r)
			var refusal *auth.Refusal
			switch {
			case c.refused == "" && err != nil:
				t.Fatal(err)
			case c.refused != "":
				if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Message, c.refused) {
					t.Errorf("got %+v, %v; want %q", got, err, c.refused)
				}
				if got != (auth.Identity{}) {
					t.Errorf("a refused request is %+v", got)
				}
				return
			}
			if want := (kiln.Scope{Account: "222222222222", Region: c.region}); got.Scope != want {
				t.Errorf("got %+v, want %+v", got.Scope, want)
			}
			if got.Principal != "arn:aws:sts::222222222222:assumed-role/worker/f" {
				t.Errorf("principal %s", got.Principal)
			}
		})
	}
}

func TestTheSessionOfARoleIsNamedAsOnAWS(t *testing.T) {
	id := kiln.FunctionID{Scope: kiln.Scope{Account: "222222222222", Region: "eu-west-1"}, Name: "f"}
	for role, want := range map[string]string{
		"arn:aws:iam::222222222222:role/r":          "arn:aws:sts::222222222222:assumed-role/r/f",
		"arn:aws:iam::222222222222:role/a/b/r":      "arn:aws:sts::222222222222:assumed-role/r/f",
		"arn:aws-us-gov:iam::222222222222:role/r":   "arn:aws-us-gov:sts::222222222222:assumed-role/r/f",
		"arn:aws:iam::999999999999:role/of-another": "arn:aws:sts::222222222222:assumed-role/of-another/f",
		"r": "arn:aws:sts::222222222222:assumed-role/r/f",
	} {
		r := request("")
		r.Header.Set("X-Amz-Security-Token", ownToken)
		got, err := auth.NewEnvironment(id, role, ownToken).Identify(r)
		if err != nil || got.Principal != want {
			t.Errorf("%s: got %s, %v; want %s", role, got.Principal, err, want)
		}
	}
}

func TestAnEnvironmentWithoutATokenIsAProgrammersError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	auth.NewEnvironment(kiln.FunctionID{}, "", "")
}
