package client

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSignatureIsThatOfThePublishedExample(t *testing.T) {
	// The worked example of Signature Version 4: ListUsers of IAM.
	req, err := http.NewRequest("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	k := &Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	k.sign(req, nil, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), "iam")
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEveryRequestIsSignedForAccountAndRegion(t *testing.T) {
	var got http.Header
	stop := func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return nil, http.ErrHandlerTimeout
	}
	c, err := New("http://127.0.0.1:4566", WithHTTPClient(&http.Client{Transport: transport(stop)}),
		WithCredentials(Credentials{AccessKeyID: "111122223333", SecretAccessKey: "s", SessionToken: "token", Region: "eu-west-1"}))
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	if _, err := c.Invoke(t.Context(), &InvocationRequest{FunctionName: "a:b", LogType: new("Tail")}); err == nil {
		t.Fatal("no error")
	}
	auth := got.Get("Authorization")
	for _, part := range []string{"Credential=111122223333/20260102/eu-west-1/lambda/aws4_request",
		"SignedHeaders=content-type;host;x-amz-date;x-amz-log-type;x-amz-security-token"} {
		if !strings.Contains(auth, part) {
			t.Errorf("%s has no %s", auth, part)
		}
	}
	if got.Get("X-Amz-Date") != "20260102T030405Z" || got.Get("X-Amz-Security-Token") != "token" {
		t.Errorf("header %v", got)
	}
}

func TestPathsAreEscapedTwiceInTheSignature(t *testing.T) {
	if got, want := canonicalPath("/2015-03-31/functions/a%3Ab/code"), "/2015-03-31/functions/a%253Ab/code"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// transport answers requests by itself.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
