package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"kiln"
	"kiln/door/auth"
)

const (
	tail      = ", SignedHeaders=host;x-amz-date, Signature=abc"
	wellKnown = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/lambda/aws4_request" + tail
)

func gate(t testing.TB) *auth.Gate {
	t.Helper()
	g, err := auth.New(auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func request(authorization string) *http.Request {
	r := httptest.NewRequest("GET", "/2015-03-31/functions", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

func TestTheScopeComesFromTheCredential(t *testing.T) {
	for _, c := range []struct {
		name, authorization string
		want                auth.Identity
	}{
		{"unsigned is home", "", auth.Identity{Scope: kiln.Scope{Account: "000000000000", Region: "us-east-1"}}},
		{"any key is the home account in the signed region", wellKnown, auth.Identity{
			Scope: kiln.Scope{Account: "000000000000", Region: "eu-west-1"}, AccessKey: "AKIDEXAMPLE", Service: "lambda"}},
		{"a key of 12 digits is the account", "AWS4-HMAC-SHA256 Credential=111111111111/20260101/us-west-2/lambda/aws4_request" + tail, auth.Identity{
			Scope: kiln.Scope{Account: "111111111111", Region: "us-west-2"}, AccessKey: "111111111111", Service: "lambda"}},
		{"13 digits are a key like any other", "AWS4-HMAC-SHA256 Credential=1111111111111/20260101/us-west-2/sqs/aws4_request" + tail, auth.Identity{
			Scope: kiln.Scope{Account: "000000000000", Region: "us-west-2"}, AccessKey: "1111111111111", Service: "sqs"}},
		{"no space behind the commas", strings.ReplaceAll(wellKnown, ", ", ","), auth.Identity{
			Scope: kiln.Scope{Account: "000000000000", Region: "eu-west-1"}, AccessKey: "AKIDEXAMPLE", Service: "lambda"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := gate(t).Identify(request(c.authorization))
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got.Signed() != (c.authorization != "") {
				t.Errorf("Signed() = %v", got.Signed())
			}
		})
	}
}

func TestAPresignedURLCarriesTheScopeInItsQuery(t *testing.T) {
	q := url.Values{
		"X-Amz-Algorithm":     {"AWS4-HMAC-SHA256"},
		"X-Amz-Credential":    {"222222222222/20260101/ap-south-1/lambda/aws4_request"},
		"X-Amz-SignedHeaders": {"host"},
		"X-Amz-Signature":     {"abc"},
	}
	r := httptest.NewRequest("GET", "/2015-03-31/functions?"+q.Encode(), nil)
	got, err := gate(t).Identify(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := (kiln.Scope{Account: "222222222222", Region: "ap-south-1"}); got.Scope != want {
		t.Errorf("got %v, want %v", got.Scope, want)
	}

	for _, missing := range []string{"X-Amz-Algorithm", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		less := url.Values{}
		for k, v := range q {
			if k != missing {
				less[k] = v
			}
		}
		_, err := gate(t).Identify(httptest.NewRequest("GET", "/?"+less.Encode(), nil))
		refused(t, missing, err, "IncompleteSignatureException", "")
	}

	r.Header.Set("Authorization", wellKnown)
	_, err = gate(t).Identify(r)
	refused(t, "two mechanisms", err, "IncompleteSignatureException", "more than one")
}

func refused(t *testing.T, name string, err error, wantType, wantText string) {
	t.Helper()
	var r *auth.Refusal
	if !errors.As(err, &r) {
		t.Errorf("%s: got %v, want a refusal", name, err)
		return
	}
	if r.Type != wantType || !strings.Contains(r.Message, wantText) {
		t.Errorf("%s: got %s %q, want %s …%q…", name, r.Type, r.Message, wantType, wantText)
	}
}

func TestAMalformedSignatureIsRefusedAndNeverTakenForUnsigned(t *testing.T) {
	for _, c := range []struct{ name, authorization, wantType, wantText string }{
		{"another scheme", "Bearer abc", "IncompleteSignatureException", "'Bearer'"},
		{"no algorithm at all", "none", "IncompleteSignatureException", "'none'"},
		{"asymmetric signature", strings.Replace(wellKnown, "HMAC", "ECDSA-P256", 1), "IncompleteSignatureException", "AWS4-ECDSA-P256-SHA256"},
		{"nothing behind it", "AWS4-HMAC-SHA256", "IncompleteSignatureException", "requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders'"},
		{"no signature", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host", "IncompleteSignatureException", "requires 'Signature'"},
		{"not a pair", "AWS4-HMAC-SHA256 Credential", "IncompleteSignatureException", "missing equal-sign"},
		{"four elements", "AWS4-HMAC-SHA256 Credential=a/20260101/lambda/aws4_request" + tail, "IncompleteSignatureException", "exactly 5"},
		{"six elements", "AWS4-HMAC-SHA256 Credential=a/b/20260101/us-east-1/lambda/aws4_request" + tail, "IncompleteSignatureException", "exactly 5"},
		{"empty element", "AWS4-HMAC-SHA256 Credential=/20260101/us-east-1/lambda/aws4_request" + tail, "IncompleteSignatureException", "exactly 5"},
		{"terminator", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/lambda/aws5_request" + tail, "InvalidSignatureException", "terminator"},
		{"date", "AWS4-HMAC-SHA256 Credential=a/2026-1-1/us-east-1/lambda/aws4_request" + tail, "InvalidSignatureException", "Date"},
		{"region with a path", "AWS4-HMAC-SHA256 Credential=a/20260101/../lambda/aws4_request" + tail, "InvalidSignatureException", "region"},
		{"region in capitals", "AWS4-HMAC-SHA256 Credential=a/20260101/US-EAST-1/lambda/aws4_request" + tail, "InvalidSignatureException", "region"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := gate(t).Identify(request(c.authorization))
			refused(t, c.name, err, c.wantType, c.wantText)
		})
	}
	r := request(wellKnown)
	r.Header.Add("Authorization", wellKnown)
	_, err := gate(t).Identify(r)
	refused(t, "two headers", err, "IncompleteSignatureException", "more than one")
}

func TestAConfigurationThatCannotBeKeptIsRefused(t *testing.T) {
	for _, o := range []auth.Options{
		{Home: kiln.Scope{Account: "12"}},
		{Home: kiln.Scope{Region: "../x"}},
		{Organization: "o-short"},
		{Organization: "x-abcdefghij"},
	} {
		if g, err := auth.New(o); err == nil || g != nil {
			t.Errorf("New(%+v) = %v, %v, want an error", o, g, err)
		}
	}
	g, err := auth.New(auth.Options{Home: kiln.Scope{Account: "333333333333", Region: "eu-north-1"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.Identify(request(""))
	if err != nil || got.Account != "333333333333" || got.Region != "eu-north-1" {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzAnIdentityIsEitherRefusedOrFitForAKey(f *testing.F) {
	f.Add(wellKnown)
	f.Add("AWS4-HMAC-SHA256 Credential=1/2/3/4/5")
	f.Add("AWS4-HMAC-SHA256 =,=,")
	g := gate(f)
	f.Fuzz(func(t *testing.T, authorization string) {
		got, err := g.Identify(&http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {authorization}}})
		if err != nil {
			var r *auth.Refusal
			if !errors.As(err, &r) || len(r.Message) > 4096 && len(authorization) < 1024 {
				t.Errorf("%q: %v", authorization, err)
			}
			return
		}
		if len(got.Account) != 12 || strings.ContainsAny(got.Region, "/.\\ \x00") || got.Region == "" {
			t.Errorf("%q gave %+v", authorization, got)
		}
	})
}
