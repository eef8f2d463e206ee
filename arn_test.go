package kiln_test

import (
	"strings"
	"testing"

	"kiln"
)

var home = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

func TestAReferenceIsReadInAllItsForms(t *testing.T) {
	for text, want := range map[string]string{
		"f":                             "111111111111/eu-west-1/f ",
		"f:3":                           "111111111111/eu-west-1/f 3",
		"f:$LATEST":                     "111111111111/eu-west-1/f $LATEST",
		"function:f":                    "111111111111/eu-west-1/f ",
		"222222222222:function:f":       "222222222222/eu-west-1/f ",
		"222222222222:function:f:alias": "222222222222/eu-west-1/f alias",
		"222222222222:f":                "222222222222/eu-west-1/f ",
		"222222222222:f:3":              "222222222222/eu-west-1/f 3",
		"us-gov-west-1:222222222222:function:f:3": "222222222222/us-gov-west-1/f 3",
		"eu-west-1:f":  "111111111111/eu-west-1/f ",
		"222222222222": "111111111111/eu-west-1/222222222222 ",
		"arn:aws:lambda:home:222222222222:function:us-east-1:live": "222222222222/home/us-east-1 live",
		"arn:aws:lambda:us-west-2:333333333333:function:f":         "333333333333/us-west-2/f ",
		"arn:aws:lambda:us-west-2:333333333333:function:f:prod":    "333333333333/us-west-2/f prod",
		"arn:aws-cn:lambda:cn-north-1:333333333333:function:f":     "333333333333/cn-north-1/f ",
	} {
		ref, err := kiln.ParseReference(home, text)
		if got := ref.ID.String() + " " + string(ref.Qualifier); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestATextThatNamesNoFunctionIsRefused(t *testing.T) {
	for _, text := range []string{"", ":", "f:", ":1", "a b", "f:1:2", "../x", "arn:aws:lambda:r:1:function:", "arn:aws:s3:::b", "é", strings.Repeat("x", 141)} {
		if ref, err := kiln.ParseReference(home, text); err == nil {
			t.Errorf("%q was read as %+v", text, ref)
		}
	}
}

func FuzzReference(f *testing.F) {
	f.Add("arn:aws:lambda:us-west-2:333333333333:function:f:prod")
	f.Add("222222222222:function:f")
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := kiln.ParseReference(home, text)
		if err != nil {
			return
		}
		again, err := kiln.ParseReference(home, ref.ID.QualifiedARN(ref.Qualifier))
		if strings.Count(ref.ID.Account+ref.ID.Region, ":") == 0 && (err != nil || again != ref) {
			t.Errorf("%q gives %+v, whose ARN gives %+v, %v", text, ref, again, err)
		}
	})
}

func TestIDsAreUUIDsAndDiffer(t *testing.T) {
	a, b := kiln.NewID(), kiln.NewID()
	if a == b || len(a) != 36 || a[14] != '4' || strings.Count(a, "-") != 4 {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestAnErrorKeepsItsCauseForTheLogOnly(t *testing.T) {
	cause := kiln.Errorf(kiln.NotFound, "inner")
	err := kiln.Errorf(kiln.Invalid, "outer: %w", cause)
	if kiln.CodeOf(err) != kiln.Invalid || err.Unwrap() != error(cause) {
		t.Errorf("got %v, %v", kiln.CodeOf(err), err.Unwrap())
	}
}
