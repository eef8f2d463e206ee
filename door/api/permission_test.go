package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// resourcePolicy is a policy that lets everybody invoke a resource.
func resourcePolicy(arn string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + arn + `"}]}`
}

// quoted gives a text as it stands inside of quotes in JSON.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return strings.Trim(string(b), `"`)
}

const policyPath = "/2015-03-31/functions/f/policy"

func TestAPermissionIsWrittenAsAWSWritesIt(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Publish": true})
	wants(t, "alias", p.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"live","FunctionVersion":"1"}`), 201)
	for i, c := range []struct {
		query, members, want string // without Sid and Effect
	}{
		{"", `"Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::pictures","SourceAccount":"111111111111"`,
			`"Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::pictures"},"StringEquals":{"AWS:SourceAccount":"111111111111"}}`},
		{"", `"Principal":"222222222222"`, `"Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `"`},
		{"", `"Principal":"arn:aws:iam::222222222222:user/ann"`, `"Principal":{"AWS":"arn:aws:iam::222222222222:user/ann"},"Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `"`},
		{"", `"Principal":"*","PrincipalOrgID":"o-abcdefghij"`, `"Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}}`},
		{"", `"Principal":"alexa-connectedhome.amazon.com","EventSourceToken":"amzn1"`,
			`"Principal":{"Service":"alexa-connectedhome.amazon.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `","Condition":{"StringEquals":{"lambda:EventSourceToken":"amzn1"}}`},
		{"?Qualifier=live", `"Principal":"*","Action":"lambda:InvokeFunctionUrl","FunctionUrlAuthType":"NONE"`,
			`"Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"` + arn("f") + `:live","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}`},
		{"?Qualifier=live", `"Principal":"*","InvokedViaFunctionUrl":true`,
			`"Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `:live","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}`},
		{"?Qualifier=1", `"Principal":"events.amazonaws.com"`, `"Principal":{"Service":"events.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `:1"`},
	} {
		members := c.members
		if !strings.Contains(members, `"Action"`) {
			members += `,"Action":"lambda:InvokeFunction"`
		}
		got := wants(t, c.members, p.do("POST", policyPath+c.query, fmt.Sprintf(`{"StatementId":"s%d",%s}`, i, members)), 201).members(t)
		if want := fmt.Sprintf(`{"Sid":"s%d","Effect":"Allow",%s}`, i, c.want); got["Statement"] != want {
			t.Errorf("got  %v\nwant %s", got["Statement"], want)
		}
	}
	got := wants(t, "policy of the alias", p.do("GET", policyPath+"?Qualifier=live", ""), 200).members(t)
	if want := `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s5","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"` + arn("f") + `:live","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}},` +
		`{"Sid":"s6","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + arn("f") + `:live","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}]}`; got["Policy"] != want {
		t.Errorf("got  %v\nwant %s", got["Policy"], want)
	}
}

func TestWhatCannotBeAPermissionIsRefusedInAWSsWords(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Publish": true})
	const add = `{"StatementId":"s1","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com"}`
	first := wants(t, "first", p.do("POST", policyPath, add), 201)
	_ = first
	revision := p.do("GET", policyPath, "").members(t)["RevisionId"].(string)
	const stale = "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		exception, message       string
	}{
		{"the same id", "POST", policyPath, add, 409, "ResourceConflictException", "The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing statement."},
		{"$LATEST", "POST", policyPath + "?Qualifier=%24LATEST", add, 400, "InvalidParameterValueException", "We currently do not support adding policies for $LATEST."},
		{"an id with a dot", "POST", policyPath, strings.Replace(add, "s1", "a.b", 1), 400, "ValidationException", "1 validation error detected: Value 'a.b' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"},
		{"a word as principal", "POST", policyPath, strings.Replace(add, "s3.amazonaws.com", "nobody", 1), 400, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."},
		{"a bucket as principal", "POST", policyPath, strings.Replace(add, "s3.amazonaws.com", "arn:aws:s3:::b", 1), 400, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."},
		{"an old revision", "POST", policyPath, `{"StatementId":"s2","Action":"lambda:InvokeFunction","Principal":"*","RevisionId":"x"}`, 412, "PreconditionFailedException", stale},
		{"a URL's condition on a call", "POST", policyPath, `{"StatementId":"s2","Action":"lambda:InvokeFunction","Principal":"*","FunctionUrlAuthType":"NONE"}`, 400, "InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"},
		{"no such function", "POST", "/2015-03-31/functions/g/policy", add, 404, "ResourceNotFoundException", "Function not found: " + arn("g")},
		{"no such version", "POST", policyPath + "?Qualifier=7", add, 404, "ResourceNotFoundException", "Function not found: " + arn("f") + ":7"},
		{"no such alias", "POST", policyPath + "?Qualifier=dead", add, 404, "ResourceNotFoundException", "Cannot find alias arn: " + arn("f") + ":dead"},
		{"no policy", "GET", policyPath + "?Qualifier=1", "", 404, "ResourceNotFoundException", "The resource you requested does not exist."},
		{"nothing to remove", "DELETE", policyPath + "/s1?Qualifier=1", "", 404, "ResourceNotFoundException", "No policy is associated with the given resource."},
		{"another statement", "DELETE", policyPath + "/s9", "", 404, "ResourceNotFoundException", "Statement s9 is not found in resource policy."},
		{"an old revision to remove", "DELETE", policyPath + "/s1?RevisionId=x", "", 412, "PreconditionFailedException", stale},
		{"removed", "DELETE", policyPath + "/s1?RevisionId=" + revision, "", 204, "", ""},
		{"gone with its last statement", "GET", policyPath, "", 404, "ResourceNotFoundException", "The resource you requested does not exist."},
	} {
		got := p.do(c.method, c.path, c.body)
		refused(t, c.name, got, c.status, c.exception, c.message)
	}
}

func TestAPolicyHas20KBAtMost(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	size := len(`{"Version":"2012-10-17","Id":"default","Statement":[]}`)
	n := 0
	for ; ; n++ {
		one := fmt.Sprintf(`{"Sid":"s%04d","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"%s"}`, n, arn("f"))
		if size += len(one); n > 0 {
			size++
		}
		got := p.do("POST", policyPath, fmt.Sprintf(`{"StatementId":"s%04d","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com"}`, n))
		if size > 20480 {
			refused(t, "too long", got, 400, "PolicyLengthExceededException", fmt.Sprintf("The final policy size (%d) is bigger than the limit (20480).", size))
			break
		}
		wants(t, "within", got, 201)
	}
	if text := p.do("GET", policyPath, "").members(t)["Policy"].(string); len(text) > 20480 || strings.Count(text, `"Sid"`) != n {
		t.Errorf("%d bytes with %d statements, want %d", len(text), strings.Count(text, `"Sid"`), n)
	}
	long := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + strings.Repeat("a", 20480) + `"}}`
	refused(t, "put", p.do("PUT", "/2026-07-09/resource-policy/"+url.PathEscape(arn("f")), `{"Policy":"`+quoted(long)+`"}`), 400, "PolicyLengthExceededException",
		fmt.Sprintf("The final policy size (%d) is bigger than the limit (20480).", len(long)))
}

func TestAWholePolicyReplacesWhatWasThere(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Publish": true})
	path := "/2026-07-09/resource-policy/" + url.PathEscape(arn("f"))
	wants(t, "add", p.do("POST", policyPath, `{"StatementId":"s1","Action":"lambda:InvokeFunction","Principal":"*"}`), 201)
	put := func(policy, revision string) reply {
		return p.do("PUT", path, `{"Policy":"`+quoted(policy)+`"`+revision+`}`)
	}
	spaced := `{ "Version": "2012-10-17", "Statement": {"Sid": "only", "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": ["lambda:Invoke*", "lambda:GetFunction"], "Resource": "` + arn("f") + `"} }`
	first := wants(t, "put", put(spaced, ""), 200).members(t)
	if first["Policy"] != spaced {
		t.Errorf("the text was changed: %v", first["Policy"])
	}
	if got := wants(t, "get", p.do("GET", path, ""), 200).members(t); got["Policy"] != spaced || got["RevisionId"] != first["RevisionId"] {
		t.Errorf("got %v", got)
	}
	refused(t, "old revision", put(spaced, `,"RevisionId":"x"`), 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
	wants(t, "known revision", put(resourcePolicy(arn("f")), `,"RevisionId":"`+first["RevisionId"].(string)+`"`), 200)
	wants(t, "one that stands alone", put(spaced, ""), 200)
	wants(t, "add to it", p.do("POST", policyPath, `{"StatementId":"s2","Action":"lambda:InvokeFunction","Principal":"*"}`), 201)
	if got := p.do("GET", policyPath, "").members(t)["Policy"].(string); !strings.Contains(got, `"only"`) || !strings.Contains(got, `"s2"`) {
		t.Errorf("got %s", got)
	}
	for name, bad := range map[string]string{"no JSON": "x", "no principal": `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, "empty": "", "unknown operator": `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Is":{"a":"b"}}}}`} {
		if got := put(bad, ""); got.status != 400 || got.header.Get("X-Amzn-Errortype") != "InvalidParameterValueException" && name != "empty" {
			t.Errorf("%s: %d %s %s", name, got.status, got.header.Get("X-Amzn-Errortype"), got.body)
		}
	}
	for name, other := range map[string]string{"a name": "f", "a layer": "arn:aws:lambda:" + region + ":" + account + ":layer:l", "a partial ARN": account + ":function:f"} {
		if got := p.do("GET", "/2026-07-09/resource-policy/"+url.PathEscape(other), ""); got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	wants(t, "delete", p.do("DELETE", path, ""), 204)
	refused(t, "gone", p.do("GET", path, ""), 404, "ResourceNotFoundException", "The resource you requested does not exist.")
	refused(t, "twice", p.do("DELETE", path, ""), 404, "ResourceNotFoundException", "The resource you requested does not exist.")
}
