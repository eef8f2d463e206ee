package kiln_test

import (
	"testing"

	"kiln"
)

func TestParseLayerARNTakesLayersAndTheirVersionsOnly(t *testing.T) {
	id := kiln.LayerID{Scope: kiln.Scope{Account: "123456789012", Region: "eu-west-1"}, Name: "my_layer-1"}
	for _, c := range []struct {
		arn    string
		number int
		ok     bool
	}{
		{id.ARN(), 0, true},
		{id.VersionARN(7), 7, true},
		{id.ARN() + ":0", 0, false},
		{id.ARN() + ":-1", 0, false},
		{id.ARN() + ":01", 0, false},
		{id.ARN() + ":99999999999999999999", 0, false},
		{id.ARN() + ":1:2", 0, false},
		{id.ARN() + ":", 0, false},
		{"arn:aws:lambda:eu-west-1:123456789012:function:my_layer-1", 0, false},
		{"arn:aws:lambda:eu-west-1:12345:layer:l", 0, false},
		{"arn:aws:lambda:eu-west-1:123456789012:layer:../../l", 0, false},
		{"arn:aws:lambda:::awslayer:AmazonLinux1803", 0, false},
		{"", 0, false},
	} {
		got, number, ok := kiln.ParseLayerARN(c.arn)
		if ok != c.ok || number != c.number || ok && got != id {
			t.Errorf("%s: got %+v, %d, %v", c.arn, got, number, ok)
		}
	}
}

func TestALayerIsSharedWithWhomAStatementNames(t *testing.T) {
	v := &kiln.LayerVersion{Layer: kiln.LayerID{Scope: kiln.Scope{Account: "111111111111"}, Name: "l"}, Number: 1}
	with := func(s ...kiln.LayerStatement) *kiln.LayerVersion {
		c := *v
		c.Policy.Statements = s
		return &c
	}
	for _, c := range []struct {
		name    string
		version *kiln.LayerVersion
		account string
		want    bool
	}{
		{"the owner", v, "111111111111", true},
		{"anybody", v, "222222222222", false},
		{"everybody", with(kiln.LayerStatement{Principal: "*"}), "222222222222", true},
		{"one account", with(kiln.LayerStatement{Principal: "222222222222"}), "222222222222", true},
		{"its root", with(kiln.LayerStatement{Principal: "arn:aws:iam::222222222222:root"}), "222222222222", true},
		{"another one", with(kiln.LayerStatement{Principal: "222222222222"}), "333333333333", false},
		{"an organization", with(kiln.LayerStatement{Principal: "*", Organization: "o-1234567890"}), "222222222222", false},
	} {
		if got := c.version.SharedWith(c.account); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAPolicyIsWrittenAsIAMWritesIt(t *testing.T) {
	v := &kiln.LayerVersion{Layer: kiln.LayerID{Scope: kiln.Scope{Account: "111111111111", Region: "eu-west-1"}, Name: "l"}, Number: 2}
	if got := v.PolicyDocument(); got != "" {
		t.Errorf("without statements: %s", got)
	}
	v.Policy.Statements = []kiln.LayerStatement{
		{ID: "a", Action: "lambda:GetLayerVersion", Principal: "222222222222"},
		{ID: "b", Action: "lambda:GetLayerVersion", Principal: "*", Organization: "o-1234567890"},
	}
	const want = `{"Version":"2012-10-17","Id":"default","Statement":[` +
		`{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"lambda:GetLayerVersion","Resource":"arn:aws:lambda:eu-west-1:111111111111:layer:l:2"},` +
		`{"Sid":"b","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"arn:aws:lambda:eu-west-1:111111111111:layer:l:2","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}}]}`
	if got := v.PolicyDocument(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheDigestOfLayersIsThatOfTheirPackagesInOrder(t *testing.T) {
	use := func(sha string) kiln.LayerUse {
		return kiln.LayerUse{ARN: sha + "'s", Package: kiln.Package{SHA256: sha}}
	}
	a, b := use("a"), use("b")
	seen := map[string]bool{}
	for _, list := range [][]kiln.LayerUse{nil, {a}, {b}, {a, b}, {b, a}, {a, a}} {
		d := kiln.LayersDigest(list)
		if seen[d] {
			t.Errorf("%v has the digest of another list", list)
		}
		seen[d] = true
	}
	if kiln.LayersDigest([]kiln.LayerUse{a}) != "a" || kiln.LayersDigest(nil) != "" {
		t.Error("one layer is its own package, none is none")
	}
	other := b
	other.ARN = "another name"
	if kiln.LayersDigest([]kiln.LayerUse{a, b}) != kiln.LayersDigest([]kiln.LayerUse{a, other}) {
		t.Error("names count")
	}
}
