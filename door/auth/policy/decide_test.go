package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"kiln/door/auth/policy"
)

const (
	home, away = "111111111111", "222222222222"
	function   = "arn:aws:lambda:eu-west-1:" + home + ":function:f"
	invoke     = "lambda:InvokeFunction"
)

func user(account, name string) policy.Principal {
	return policy.Principal{ARN: "arn:aws:iam::" + account + ":user/" + name, Account: account, Type: "User", UserID: "AIDA1", Name: name}
}

func session(account, role, name string) policy.Principal {
	return policy.Principal{ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name, Account: account, Role: "arn:aws:iam::" + account + ":role/" + role, Type: "AssumedRole", UserID: "AROA1:" + name}
}

func root(account string) policy.Principal {
	return policy.Principal{ARN: "arn:aws:iam::" + account + ":root", Account: account, Type: "Account", UserID: account}
}

// one is a document of one statement, whose members are given as JSON.
func one(t testing.TB, kind policy.Kind, statement string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(kind, []byte(`{"Version":"2012-10-17","Statement":[{`+statement+`}]}`))
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return d
}

func TestADecisionIsThatOfAWS(t *testing.T) {
	const allow = `"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"`
	const deny = `"Effect":"Deny","Action":"lambda:*","Resource":"*"`
	to := func(effect, principal string) string {
		return `"Effect":"` + effect + `","Action":"lambda:InvokeFunction","Resource":"` + function + `","Principal":` + principal
	}
	const (
		noIdentity = " because no identity-based policy allows the lambda:InvokeFunction action"
		noResource = " because no resource-based policy allows the lambda:InvokeFunction action"
		noSession  = " because no session policy allows the lambda:InvokeFunction action"
	)
	for _, c := range []struct {
		name                        string
		who                         policy.Principal
		identity, session, resource string // "" is none
		why                         string // "" is allowed
	}{
		{"nothing allows", user(home, "u"), "", "", "", noIdentity},
		{"the user's own policy", user(home, "u"), allow, "", "", ""},
		{"the function's policy names the user", user(home, "u"), "", "", to("Allow", `{"AWS":"arn:aws:iam::111111111111:user/u"}`), ""},
		{"it names another", user(home, "u"), "", "", to("Allow", `{"AWS":"arn:aws:iam::111111111111:user/v"}`), noIdentity},
		{"it names the account, which leaves it to the account", user(home, "u"), "", "", to("Allow", `{"AWS":"111111111111"}`), noIdentity},
		{"it names everybody", user(home, "u"), "", "", to("Allow", `"*"`), ""},
		{"own policy denies", user(home, "u"), deny, "", to("Allow", `"*"`), " with an explicit deny in an identity-based policy"},
		{"the function denies", user(home, "u"), allow, "", to("Deny", `{"AWS":"*"}`), " with an explicit deny in a resource-based policy"},
		{"the function denies the account", user(home, "u"), allow, "", to("Deny", `{"AWS":"arn:aws:iam::111111111111:root"}`), " with an explicit deny in a resource-based policy"},
		{"an account itself", root(home), "", "", "", ""},
		{"an account that the function denies", root(home), "", "", to("Deny", `"*"`), " with an explicit deny in a resource-based policy"},

		{"another account, only its own policy", user(away, "u"), allow, "", "", noResource},
		{"another account, only the function's policy", user(away, "u"), "", "", to("Allow", `{"AWS":"222222222222"}`), noIdentity},
		{"another account, both, by account", user(away, "u"), allow, "", to("Allow", `{"AWS":"222222222222"}`), ""},
		{"another account, both, by user", user(away, "u"), allow, "", to("Allow", `{"AWS":["arn:aws:iam::222222222222:user/u"]}`), ""},
		{"another account's root", root(away), "", "", to("Allow", `{"AWS":"222222222222"}`), ""},
		{"another account's root, not named", root(away), "", "", to("Allow", `{"AWS":"333333333333"}`), noResource},
		{"a third account", user("333333333333", "u"), allow, "", to("Allow", `{"AWS":"222222222222"}`), noResource},

		{"a role by its session", session(home, "r", "s"), "", "", to("Allow", `{"AWS":"arn:aws:iam::111111111111:role/r"}`), ""},
		{"a session of another role", session(home, "r", "s"), "", "", to("Allow", `{"AWS":"arn:aws:iam::111111111111:role/q"}`), noIdentity},
		{"a session that its policy bounds", session(home, "r", "s"), allow, `"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"`, "", noSession},
		{"a bounded session that the function names", session(home, "r", "s"), "", `"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"`, to("Allow", `{"AWS":"arn:aws:sts::111111111111:assumed-role/r/s"}`), ""},
		{"a bounded session whose role the function names", session(home, "r", "s"), "", `"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"`, to("Allow", `{"AWS":"arn:aws:iam::111111111111:role/r"}`), noSession},
		{"a session denied by its policy", session(home, "r", "s"), allow, deny, "", " with an explicit deny in a session policy"},

		{"a service that is named", policy.Principal{Service: "s3.amazonaws.com"}, "", "", to("Allow", `{"Service":"s3.amazonaws.com"}`), ""},
		{"another service", policy.Principal{Service: "sns.amazonaws.com"}, "", "", to("Allow", `{"Service":["s3.amazonaws.com"]}`), noResource},
		{"nobody, where everybody may", policy.Principal{}, "", "", to("Allow", `"*"`), ""},
		{"nobody, where an account may", policy.Principal{}, "", "", to("Allow", `{"AWS":"111111111111"}`), noResource},
		{"nobody, and no policy", policy.Principal{}, "", "", "", noResource},
		{"all but one", user(home, "u"), "", "", `"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"arn:aws:iam::111111111111:user/v"}`, " with an explicit deny in a resource-based policy"},
		{"the one", user(home, "v"), allow, "", `"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"arn:aws:iam::111111111111:user/v"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p policy.Policies
			if c.identity != "" {
				p.Identity = append(p.Identity, one(t, policy.Identity, c.identity))
			}
			if c.session != "" {
				p.Session = append(p.Session, one(t, policy.Identity, c.session))
			}
			if c.resource != "" {
				p.Resource = one(t, policy.Resource, c.resource)
			}
			got := policy.Decide(&policy.Question{Principal: c.who, Action: invoke, Resource: function, Owner: home}, p)
			if got.Allowed != (c.why == "") || got.Why != c.why {
				t.Errorf("got %+v, want %q", got, c.why)
			}
		})
	}
}

func TestActionsAndResourcesArePatterns(t *testing.T) {
	for _, c := range []struct {
		statement, action, resource string
		want                        bool
	}{
		{`"Action":"lambda:Invoke*","Resource":"*"`, "lambda:InvokeFunction", function, true},
		{`"Action":"LAMBDA:invokefunction","Resource":"*"`, "lambda:InvokeFunction", function, true},
		{`"Action":"lambda:Get*","Resource":"*"`, "lambda:InvokeFunction", function, false},
		{`"Action":["iam:*","*"],"Resource":"*"`, "lambda:InvokeFunction", function, true},
		{`"Action":"lambda:Invoke?unction","Resource":"*"`, "lambda:InvokeFunction", function, true},
		{`"NotAction":"iam:*","Resource":"*"`, "lambda:InvokeFunction", function, true},
		{`"NotAction":["lambda:*"],"Resource":"*"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","Resource":"` + function + `"`, "lambda:InvokeFunction", function, true},
		{`"Action":"*","Resource":"` + function + `"`, "lambda:InvokeFunction", function + ":live", false},
		{`"Action":"*","Resource":"` + function + `:*"`, "lambda:InvokeFunction", function + ":live", true},
		{`"Action":"*","Resource":"` + function + `:*"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","Resource":"arn:aws:lambda:*:111111111111:function:?"`, "lambda:InvokeFunction", function, true},
		{`"Action":"*","Resource":"arn:aws:lambda:*:111111111111:function:F"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","NotResource":"arn:aws:lambda:*:*:function:secret*"`, "lambda:InvokeFunction", function, true},
		{`"Action":"*","NotResource":"arn:aws:lambda:*:*:function:f"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${aws:username}"`, "lambda:InvokeFunction", function, true},
		{`"Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${aws:nothing}"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${aws:nothing, 'f'}"`, "lambda:InvokeFunction", function, true},
		{`"Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${*}"`, "lambda:InvokeFunction", function, false},
		{`"Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${aws:username"`, "lambda:InvokeFunction", function, false},
	} {
		d := one(t, policy.Identity, `"Effect":"Allow",`+c.statement)
		q := &policy.Question{Principal: user(home, "f"), Action: c.action, Resource: c.resource, Keys: policy.Context{"aws:username": {"f"}}}
		if got := policy.Decide(q, policy.Policies{Identity: []*policy.Document{d}}).Allowed; got != c.want {
			t.Errorf("%s: %s on %s is %v, want %v", c.statement, c.action, c.resource, got, c.want)
		}
	}
}

func TestAVariableNeverBringsAWildcardIn(t *testing.T) {
	d := one(t, policy.Identity, `"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:eu-west-1:111111111111:function:${aws:username}"`)
	for _, name := range []string{"*", "?", "\x01", "\x02", "${aws:userid}"} {
		q := &policy.Question{Principal: user(home, name), Action: invoke, Resource: function, Keys: policy.Context{"aws:username": {name}, "aws:userid": {"f"}}}
		if policy.Decide(q, policy.Policies{Identity: []*policy.Document{d}}).Allowed {
			t.Errorf("a user named %q may call f", name)
		}
	}
}

func TestConditionsCompareAsOnAWS(t *testing.T) {
	keys := policy.Context{
		"aws:sourcearn": {"arn:aws:s3:::pictures"}, "aws:sourceaccount": {home}, "aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"false"},
		"aws:currenttime": {"2026-11-24T12:00:00Z"}, "aws:epochtime": {"1795521600"}, "lambda:functionurlauthtype": {"NONE"}, "aws:username": {"ann"},
		"aws:tagkeys": {"team", "cost"}, "n": {"7"}, "six": {"2001:db8::1"}, "star": {"a*"},
	}
	for condition, want := range map[string]bool{
		`"StringEquals":{"AWS:SourceAccount":"111111111111"}`:                                            true,
		`"StringEquals":{"aws:sourceACCOUNT":["1","111111111111"]}`:                                      true,
		`"StringEquals":{"aws:SourceAccount":"222222222222"}`:                                            false,
		`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`:                                                    false,
		`"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}`:                                            true,
		`"StringEqualsIfExists":{"aws:SourceAccount":"2"}`:                                               false,
		`"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}`:                                                 true,
		`"StringNotEquals":{"aws:SourceAccount":["1","111111111111"]}`:                                   false,
		`"StringNotEquals":{"aws:SourceAccount":["1","2"]}`:                                              true,
		`"StringEqualsIgnoreCase":{"lambda:FunctionUrlAuthType":"none"}`:                                 true,
		`"StringEquals":{"lambda:FunctionUrlAuthType":"none"}`:                                           false,
		`"StringEquals":{"star":"a*"}`:                                                                   true,
		`"StringEquals":{"aws:username":"a*"}`:                                                           false,
		`"StringEquals":{"aws:username":"${aws:username}"}`:                                              true,
		`"StringEquals":{"star":"${nothing,'a*'}"}`:                                                      true,
		`"StringLike":{"aws:username":"a?n"}`:                                                            true,
		`"StringLike":{"aws:username":["b*","*n"]}`:                                                      true,
		`"StringNotLike":{"aws:username":["b*","*n"]}`:                                                   false,
		`"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::pictures"}`:                                            true,
		`"ArnLike":{"AWS:SourceArn":"arn:*:s3:::pic*"}`:                                                  true,
		`"ArnLike":{"AWS:SourceArn":"arn:aws:*:pictures"}`:                                               false,
		`"ArnEquals":{"AWS:SourceArn":"arn:aws:s3:::*"}`:                                                 true,
		`"ArnNotLike":{"AWS:SourceArn":"arn:aws:s3:::other"}`:                                            true,
		`"ArnNotEquals":{"AWS:SourceArn":"arn:aws:s3:::pictures"}`:                                       false,
		`"Bool":{"aws:SecureTransport":false}`:                                                           true,
		`"Bool":{"aws:SecureTransport":"true"}`:                                                          false,
		`"Bool":{"lambda:InvokedViaFunctionUrl":"true"}`:                                                 false,
		`"BoolIfExists":{"lambda:InvokedViaFunctionUrl":"true"}`:                                         true,
		`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`:                                                      true,
		`"IpAddress":{"aws:SourceIp":["192.168.0.0/16","10.1.2.3"]}`:                                     true,
		`"NotIpAddress":{"aws:SourceIp":["192.168.0.0/16","10.1.2.3"]}`:                                  false,
		`"IpAddress":{"six":"2001:db8::/32"}`:                                                            true,
		`"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}`:                                   true,
		`"DateLessThan":{"aws:CurrentTime":"2026-11-24"}`:                                                false,
		`"DateLessThanEquals":{"aws:EpochTime":"1795521600"}`:                                            true,
		`"DateNotEquals":{"aws:CurrentTime":"2026-11-24T12:00:00Z"}`:                                     false,
		`"NumericLessThan":{"n":8}`:                                                                      true,
		`"NumericGreaterThanEquals":{"n":"7.5"}`:                                                         false,
		`"NumericNotEquals":{"n":[1,2]}`:                                                                 true,
		`"Null":{"aws:SourceArn":"false"}`:                                                               true,
		`"Null":{"aws:PrincipalOrgID":"true"}`:                                                           true,
		`"Null":{"aws:SourceArn":true}`:                                                                  false,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":["team","x"]}`:                                        true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":"x"}`:                                                 false,
		`"ForAnyValue:StringEquals":{"nothing":"x"}`:                                                     false,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost","x"]}`:                                true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`:                                           false,
		`"ForAllValues:StringEquals":{"nothing":"x"}`:                                                    true,
		`"ForAllValues:StringNotLike":{"aws:TagKeys":"x*"}`:                                              true,
		`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}`:                                           true,
		`"StringEquals":{"aws:username":"ann"},"Bool":{"aws:SecureTransport":"true"}`:                    false,
		`"StringEquals":{"aws:username":"ann","aws:SourceAccount":"111111111111"}`:                       true,
		`"StringEquals":{"aws:username":"ann","aws:SourceAccount":"2"}`:                                  false,
		`"BinaryEquals":{"n":"7"}`:                                                                       true,
		`"ArnLikeIfExists":{"aws:PrincipalArn":"arn:aws:iam::1:role/x"}`:                                 true,
		`"ForAllValues:ArnLikeIfExists":{"aws:SourceArn":["arn:aws:s3:::pictures","arn:aws:s3:::more"]}`: true,
	} {
		d := one(t, policy.Identity, `"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+condition+`}`)
		q := &policy.Question{Principal: user(home, "ann"), Action: invoke, Resource: function, Keys: keys}
		if got := policy.Decide(q, policy.Policies{Identity: []*policy.Document{d}}).Allowed; got != want {
			t.Errorf("%s is %v, want %v", condition, got, want)
		}
	}
}

func TestARoleIsAssumedByThoseItTrusts(t *testing.T) {
	const mayAssume = `"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111111111111:role/r"`
	for _, c := range []struct {
		name, trusted, own string
		who                policy.Principal
		want               bool
	}{
		{"a service", `{"Service":"lambda.amazonaws.com"}`, "", policy.Principal{Service: "lambda.amazonaws.com"}, true},
		{"another service", `{"Service":"ec2.amazonaws.com"}`, "", policy.Principal{Service: "lambda.amazonaws.com"}, false},
		{"a user by name", `{"AWS":"arn:aws:iam::111111111111:user/u"}`, "", user(home, "u"), true},
		{"a user by account", `{"AWS":"111111111111"}`, "", user(home, "u"), false},
		{"a user by account with a policy", `{"AWS":"111111111111"}`, mayAssume, user(home, "u"), true},
		{"an account", `{"AWS":"111111111111"}`, "", root(home), true},
		{"another account's user by name alone", `{"AWS":"arn:aws:iam::222222222222:user/u"}`, "", user(away, "u"), false},
		{"another account's user with a policy", `{"AWS":"arn:aws:iam::222222222222:user/u"}`, mayAssume, user(away, "u"), true},
		{"a user who has the policy and is not trusted", `{"Service":"lambda.amazonaws.com"}`, mayAssume, user(home, "u"), false},
		{"a user who is denied", `{"AWS":"arn:aws:iam::111111111111:user/u"}`, `"Effect":"Deny","Action":"sts:*","Resource":"*"`, user(home, "u"), false},
	} {
		trust := one(t, policy.Trust, `"Effect":"Allow","Action":"sts:AssumeRole","Principal":`+c.trusted)
		var p policy.Policies
		if c.own != "" {
			p.Identity = append(p.Identity, one(t, policy.Identity, c.own))
		}
		q := &policy.Question{Principal: c.who, Action: "sts:AssumeRole", Resource: "arn:aws:iam::111111111111:role/r", Owner: home}
		if got := policy.Trusts(q, trust, p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatIsNoPolicyIsRefused(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":` + s + `}` }
	const fine = `"Effect":"Allow","Action":"lambda:*","Resource":"*"`
	for _, c := range []struct {
		kind policy.Kind
		text string
		want string // part of the message; "" is accepted
	}{
		{policy.Identity, statement(`{` + fine + `}`), ""},
		{policy.Identity, statement(`[{` + fine + `}]`), ""},
		{policy.Identity, `{"Statement":{` + fine + `}}`, ""},
		{policy.Identity, ``, "invalid Json"},
		{policy.Identity, `[]`, "invalid Json"},
		{policy.Identity, `"x"`, "invalid Json"},
		{policy.Identity, statement(`{`+fine+`}`) + `x`, "invalid Json"},
		{policy.Identity, "\xff\xfe", "invalid Json"},
		{policy.Identity, strings.Repeat(`[`, 60000), "nested too deeply"},
		{policy.Identity, `{"Statement":` + strings.Repeat(`{"a":`, 10000), "nested too deeply"},
		{policy.Identity, strings.Repeat(` `, policy.MaxDocument+1), "longer than"},
		{policy.Identity, `{"Version":"2025-01-01","Statement":{` + fine + `}}`, "valid version"},
		{policy.Identity, `{"Version":"2012-10-17"}`, "no Statement"},
		{policy.Identity, statement(`[]`), "no Statement"},
		{policy.Identity, statement(`["x"]`), "not an object"},
		{policy.Identity, `{"Version":"2012-10-17","Version":"2012-10-17","Statement":{` + fine + `}}`, "twice"},
		{policy.Identity, statement(`{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}`), "twice"},
		{policy.Identity, `{"statement":{` + fine + `}}`, "unknown element"},
		{policy.Identity, statement(`{` + fine + `,"Principle":"*"}`), "unknown element"},
		{policy.Identity, statement(`{"Effect":"allow","Action":"*","Resource":"*"}`), "Effect"},
		{policy.Identity, statement(`{"Effect":"Allow","Resource":"*"}`), "must contain actions"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`), "must contain actions"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "neither a string nor a list"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":"invoke","Resource":"*"}`), "vendor"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":"*"}`), "must contain resources"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"f"}`), "ARN format"},
		{policy.Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"\u0001"}`), "control characters"},
		{policy.Identity, statement(`{` + fine + `,"Principal":"*"}`), "should not specify a principal"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"StringIs":{"a":"b"}}}`), "Invalid Condition type"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"StringEquals":{}}}`), "no keys"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"StringEquals":{"a":{}}}}`), "no text"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"IpAddress":{"a":"x"}}}`), "no value"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"Bool":{"a":"x"}}}`), "no value"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"DateEquals":{"a":"x"}}}`), "no value"},
		{policy.Identity, statement(`{` + fine + `,"Condition":{"NumericEquals":{"a":"x"}}}`), "no value"},
		{policy.Identity, statement(`[{"Sid":"a",` + fine + `},{"Sid":"a",` + fine + `}]`), "unique"},
		{policy.Resource, statement(`{` + fine + `}`), "Principal"},
		{policy.Resource, statement(`{` + fine + `,"Principal":{"AWS":"arn:aws:iam::111111111111:user/*"}}`), "Invalid principal"},
		{policy.Resource, statement(`{` + fine + `,"Principal":{"AWS":"11111111111"}}`), "Invalid principal"},
		{policy.Resource, statement(`{` + fine + `,"Principal":{"Aws":"*"}}`), "Invalid principal"},
		{policy.Resource, statement(`{` + fine + `,"Principal":"x"}`), "Invalid principal"},
		{policy.Resource, statement(`{` + fine + `,"Principal":{"Federated":"cognito-identity.amazonaws.com"}}`), ""},
		{policy.Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}`), ""},
		{policy.Trust, statement(`{` + fine + `,"Principal":"*"}`), "prohibited field"},
	} {
		d, err := policy.Parse(c.kind, []byte(c.text))
		if c.want == "" {
			if err != nil || d == nil {
				t.Errorf("%.200s: %v", c.text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: got %v, want …%s…", c.text, err, c.want)
		}
	}
}

// FuzzADecisionComesToAnEnd holds the engine to three rules whatever the policy is: it
// never fails, what denies everything wins, and nobody is let in by no policy.
func FuzzADecisionComesToAnEnd(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:*","Resource":"*","Condition":{"StringLike":{"aws:username":"${aws:username}*"}}}}`, "u", function)
	f.Add(`{"Statement":[{"Effect":"Allow","NotAction":"iam:*","Resource":"arn:aws:*:*:*:function:${aws:userid,'x'}"}]}`, "***", "a:b")
	f.Add(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":{"AWS":"*"}}}`, "", "")
	all := one(f, policy.Identity, `"Effect":"Deny","Action":"*","Resource":"*"`)
	f.Fuzz(func(t *testing.T, text, name, resource string) {
		q := &policy.Question{Principal: user(home, name), Action: invoke, Resource: resource, Owner: home, Keys: policy.Context{"aws:username": {name}}}
		if d, err := policy.Parse(policy.Identity, []byte(text)); err == nil {
			policy.Decide(q, policy.Policies{Identity: []*policy.Document{d}})
			if policy.Decide(q, policy.Policies{Identity: []*policy.Document{d, all}}).Allowed {
				t.Errorf("a denial did not win over %q", text)
			}
		}
		if d, err := policy.Parse(policy.Resource, []byte(text)); err == nil {
			if got := policy.Decide(q, policy.Policies{Resource: d, Identity: []*policy.Document{all}}); got.Allowed {
				t.Errorf("a denial did not win over %q", text)
			}
		}
		if policy.Decide(q, policy.Policies{}).Allowed {
			t.Error("nobody allowed it")
		}
	})
}

func TestAPatternOfManyStarsIsMatchedSoon(t *testing.T) {
	d := one(t, policy.Identity, `"Effect":"Allow","Action":"*","Resource":"`+strings.Repeat("*a", 5000)+`b"`)
	q := &policy.Question{Principal: user(home, "u"), Action: invoke, Resource: strings.Repeat("a", 10000), Owner: home}
	if policy.Decide(q, policy.Policies{Identity: []*policy.Document{d}}).Allowed {
		t.Error("it does not match")
	}
}

func BenchmarkDecide(b *testing.B) {
	var docs []*policy.Document
	for i := range 10 {
		docs = append(docs, one(b, policy.Identity, fmt.Sprintf(`"Effect":"Allow","Action":["lambda:Get*","lambda:List%d"],"Resource":"arn:aws:lambda:*:*:function:f%d-*"`, i, i)))
	}
	docs = append(docs, one(b, policy.Identity, `"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+function+`*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	q := &policy.Question{Principal: user(home, "u"), Action: invoke, Resource: function, Owner: home, Keys: policy.Context{"aws:sourceip": {"10.1.2.3"}}}
	b.ReportAllocs()
	for b.Loop() {
		if !policy.Decide(q, policy.Policies{Identity: docs}).Allowed {
			b.Fatal("refused")
		}
	}
}
