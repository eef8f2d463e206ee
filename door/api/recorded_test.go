package api_test

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// recordedRefusal is one answer recorded from the service.
type recordedRefusal struct {
	exception, status, text string
}

func (r recordedRefusal) String() string { return r.exception + " " + r.status + " " + r.text }

// recordedRefusals reads the answers recorded from the service.
func recordedRefusals(t *testing.T) []recordedRefusal {
	t.Helper()
	b, err := os.ReadFile("../lambda/testdata/error-answers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []recordedRefusal
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		parts := strings.SplitN(line, "\t", 3)
		if len(parts) != 3 {
			t.Fatalf("line %q", line)
		}
		out = append(out, recordedRefusal{parts[0], parts[1], unquote(parts[2])})
	}
	return out
}

// unquote reads a text as it is quoted in the recordings.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\'`, `'`).Replace(s)
}

var placeholder = regexp.MustCompile(`<[a-zA-Z0-9_:-]+>`)

// pattern gives what an answer must match to be the recorded one: the placeholders of
// names and numbers stand for anything that is one, all others are known here.
func (r recordedRefusal) pattern() *regexp.Regexp {
	text := strings.NewReplacer("<partition>", "aws", "<region>", region, "<wrong-region>", "us-west-2", "<min_unreserved_concurrency>", "100").Replace(r.text)
	var b strings.Builder
	for {
		at := placeholder.FindStringIndex(text)
		if at == nil {
			b.WriteString(regexp.QuoteMeta(text))
			return regexp.MustCompile("^(?s:" + b.String() + ")$")
		}
		b.WriteString(regexp.QuoteMeta(text[:at[0]]) + `[A-Za-z0-9_+/=-]+`)
		text = text[at[1]:]
	}
}

// stillOpen lists the recorded answers that nothing here provokes, by how they begin, and why.
var stillOpen = []struct{ begins, why string }{
	{"InvalidParameterValueException 400 The runtime parameter of ", "kiln goes on creating functions of runtimes that AWS has closed: what they need is on the machine or can be had"},
	{"InvalidParameterValueException 400 Lambda was unable to configure your environment variables", "the recording is cut; TestTheEnvironmentIsMeasuredAsItsJSON and TestRefusalsThatAreNotRecorded have it whole"},
	{"InvalidParameterValueException 400 Unzipped size must be smaller than 262144000 bytes", "the packer says it, which the port has a stand-in for; test/e2e TestBadPackagesAreRefusedAndNothingIsLost has it"},
	{"ValidationException 400 1 validation error detected: Value '[<subnet_id_2>]' at 'vpcConfig.subnetIds'", "the placeholder hides a value that is none; door/lambda TestBrokenConstraintsReadAsRecorded has it"},
	{"InvalidParameterValueException 400 1 validation error detected: Value null at 'startingPosition'", "needs event source mappings of streams"},
	{"ValidationException 400 1 validation error detected: Value 'invalid' at 'startingPosition'", "needs event source mappings of streams"},
	{"InvalidParameterValueException 400 Required 'sourceAccessConfigurations' parameter is missing.", "needs event source mappings of Kafka"},
	{"InvalidParameterValueException 400 Function does not exist", "needs event source mappings"},
	{"InvalidParameterValueException 400 Stream not found", "needs event source mappings of streams"},
	{"InvalidParameterValueException 400 Unsupported starting position", "needs event source mappings of streams"},
	{"ResourceConflictException 409 An event source mapping with ", "needs event source mappings"},
	{"ResourceConflictException 409 The event source arn (", "needs event source mappings of streams"},
	{"ResourceNotFoundException 404 Capacity provider not found", "needs capacity providers"},
	{"ResourceNotFoundException 404 The Lambda code signing configuration", "needs code signing"},
	{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:csc-test-doesnotexist", "needs code signing"},
	{"TooManyRequestsException 429 Rate Exceeded.", "the ledger says it; TestWhatThePlatformCannotDoBecomesTheServicesException has it"},
}

// TestEveryRecordedRefusalIsGivenOrListed brings the port into each situation that an
// answer is recorded of, and wants exactly that answer. What is recorded and neither
// provoked here nor listed above with the reason fails.
func TestEveryRecordedRefusalIsGivenOrListed(t *testing.T) {
	recorded := recordedRefusals(t)
	given := map[string]bool{}
	for _, c := range situations(t) {
		var row *recordedRefusal
		for i := range recorded {
			if r := &recorded[i]; strings.HasPrefix(r.String(), c.row) {
				if row != nil && len(row.text) <= len(r.text) { // the shortest is meant
					continue
				}
				row = r
			}
		}
		if row == nil {
			t.Errorf("nothing of the kind is recorded: %s", c.row)
			continue
		}
		got := c.do()
		given[row.String()] = true
		if got.status != atoi(t, row.status) || got.header.Get("X-Amzn-Errortype") != row.exception {
			t.Errorf("got  %d %s %s\nwant %s", got.status, got.header.Get("X-Amzn-Errortype"), got.message(), row)
			continue
		}
		message := got.message()
		if row.text == "None" { // the recorder's way to write null
			if got.body != `{"Message":null}` {
				t.Errorf("got  %s\nwant %s", got.body, row)
			}
		} else if !row.pattern().MatchString(message) {
			t.Errorf("got  %s\nwant %s", message, row.text)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: headers %v", row, got.header)
		}
	}
	used := map[string]bool{}
	for _, r := range recorded {
		listed := false
		for _, open := range stillOpen {
			if strings.HasPrefix(r.String(), open.begins) {
				listed, used[open.begins] = true, true
			}
		}
		switch {
		case given[r.String()] && listed:
			t.Errorf("this is given and needs no reason any more: %s", r)
		case !given[r.String()] && !listed:
			t.Errorf("neither given nor listed with a reason: %.300s", r)
		}
	}
	for _, open := range stillOpen {
		if !used[open.begins] {
			t.Errorf("nothing recorded begins with %q", open.begins)
		}
	}
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// situation is how an answer is brought about.
type situation struct {
	row string // how the recorded answer begins: exception, status and text
	do  func() reply
}

// situations makes a port and gives what is done with it, in order.
func situations(t *testing.T) []situation {
	p := newPort(t, surrounded)
	p.create("fn", map[string]any{"Publish": true})
	p.do("PUT", "/2015-03-31/functions/fn/configuration", `{"Timeout":9}`)
	p.settle()
	const fn = "/2015-03-31/functions/fn"
	const noFn = "/2015-03-31/functions/doesnotexist"
	wants(t, "publish", p.do("POST", fn+"/versions", ""), 201)
	wants(t, "alias", p.do("POST", fn+"/aliases", `{"Name":"custom","FunctionVersion":"1"}`), 201)
	wants(t, "alias", p.do("POST", fn+"/aliases", `{"Name":"other","FunctionVersion":"2"}`), 201)
	p.create("stale", nil)
	p.create("image", map[string]any{"PackageType": "Image", "Runtime": nil, "Handler": nil, "Code": map[string]any{"ImageUri": "r.io/app:1"}})
	for range 2 {
		wants(t, "layer", p.do("POST", "/2018-10-31/layers/l/versions", text(t, map[string]any{"Content": map[string]any{"ZipFile": code(t, "l")}})), 201)
	}

	send := func(method, target string, body any, headers ...string) func() reply {
		s, ok := body.(string)
		if !ok {
			s = text(t, body)
		}
		return func() reply { return p.do(method, target, s, headers...) }
	}
	get := func(target string) func() reply { return send("GET", target, "") }
	del := func(target string) func() reply { return send("DELETE", target, "") }
	put := func(target string, body any) func() reply { return send("PUT", target, body) }
	post := func(target string, body any) func() reply { return send("POST", target, body) }
	with := func(name string, members map[string]any) func() reply {
		return post("/2015-03-31/functions", request(t, name, members))
	}
	then := func(first, second func() reply) func() reply {
		return func() reply { first(); p.settle(); return second() }
	}
	type m = map[string]any
	permission := m{"StatementId": "s1", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
	layerPermission := m{"StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*"}
	but := func(from m, key string, v any) m {
		out := m{key: v}
		for k, v := range from {
			if _, has := out[k]; !has {
				out[k] = v
			}
		}
		return out
	}
	events := func(function string) string { return "/2019-09-25/functions/" + function + "/event-invoke-config" }
	urlOf := func(function string) string { return "/2021-10-31/functions/" + function + "/url" }
	provisioned := func(q string) string { return "/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=" + q }
	const reserve = "/2017-10-31/functions/fn/concurrency"
	const policy = "/2018-10-31/layers/l/versions/1/policy"
	tags := func(resource string) string { return "/2017-03-31/tags/" + url.PathEscape(resource) }
	zip := code(t, "x")

	const (
		notFound = "ResourceNotFoundException 404 "
		invalid  = "InvalidParameterValueException 400 "
		conflict = "ResourceConflictException 409 "
		broken   = "ValidationException 400 1 validation error detected: Value "
		function = "arn:<partition>:lambda:<region>:111111111111:function:"
	)
	return []situation{
		// Functions that are not there, or not here.
		{notFound + "Function not found: " + function + "doesnotexist", get(noFn)},
		{notFound + "Function not found: " + function + "doesnotexist", get(noFn + "/configuration")},
		{notFound + "Function not found: " + function + "doesnotexist", del(noFn)},
		{notFound + "Function not found: " + function + "doesnotexist", get(noFn + "/versions")},
		{notFound + "Function not found: " + function + "doesnotexist", get(noFn + "/aliases")},
		{notFound + "Function not found: " + function + "doesnotexist", post(noFn+"/versions", "{}")},
		{notFound + "Function not found: " + function + "doesnotexist", post(noFn+"/invocations", "{}")},
		{notFound + "Function not found: " + function + "doesnotexist", put(noFn+"/configuration", "{}")},
		{notFound + "Function not found: " + function + "doesnotexist", put(noFn+"/code", m{"ZipFile": zip})},
		{notFound + "Function not found: " + function + "doesnotexist", post(noFn+"/policy", permission)},
		{notFound + "Function not found: " + function + "doesnotexist", get("/2019-09-30/functions/doesnotexist/concurrency")},
		{notFound + "Function not found: " + function + "doesnotexist", get("/2024-08-31/functions/doesnotexist/recursion-config")},
		{notFound + "Function not found: " + function + "doesnotexist", get(tags(arn("doesnotexist")))},
		{notFound + "Function not found: " + function + "doesnotexist", post(tags(arn("doesnotexist")), `{"Tags":{"k":"v"}}`)},
		{notFound + "Function not found: " + function + "doesnotexist", del(tags(arn("doesnotexist")) + "?tagKeys=k")},
		{notFound + "Function not found: " + function + "<resource-name>", get("/2015-03-31/functions/nothing/policy")},
		{notFound + "Function not found: " + function + "some-function:$LATEST", get("/2015-03-31/functions/some-function:$LATEST?Qualifier=$LATEST")},
		{notFound + "Function not found: " + function + "some-function:$LATEST", put("/2017-10-31/functions/some-function/concurrency", `{"ReservedConcurrentExecutions":5000}`)},
		{notFound + "Function not found: " + function + "<function-name>:42", get(fn + "?Qualifier=42")},
		{notFound + "Function not found: " + function + "<function-name>:42", put(provisioned("42"), `{"ProvisionedConcurrentExecutions":1}`)},
		{notFound + "Function not found: " + function + "<function-name:1>:non-existent-alias", get(fn + ":non-existent-alias")},
		{notFound + "Function not found: " + function + "<function-name:1>:non-existent-alias", post(fn+"/invocations?Qualifier=non-existent-alias", "{}")},
		{notFound + "Function not found: " + function + "<function-name>:valid-with-$-but-doesnotexist", get(fn + "?Qualifier=valid-with-$-but-doesnotexist")},
		{notFound + "Function not found: " + function + "<function-name:1>-unknown:1", post(fn+"-unknown/aliases", `{"Name":"custom","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}}`)},
		{notFound + "Functions from 'ap-southeast-1' are not reachable", get("/2015-03-31/functions/arn:aws:lambda:ap-southeast-1:111111111111:function:fn")},
		{notFound + "Functions from '<wrong-region>' are not reachable", get("/2015-03-31/functions/arn:aws:lambda:us-west-2:111111111111:function:fn")},
		{"AccessDeniedException 403 None", get("/2015-03-31/functions/arn:aws:lambda:" + region + ":222222222222:function:fn")},

		// Aliases.
		{notFound + "Cannot find alias arn: " + function + "<function-name:1>:noalias", get(fn + "/aliases/noalias")},
		{notFound + "Cannot find alias arn: " + function + "<function-name:1>:doesnotexist", put(fn+"/aliases/doesnotexist", `{}`)},
		{notFound + "Cannot find alias arn: " + function + "<function-name:1>:<alias-name>", get(fn + "/aliases/gone")},
		{notFound + "Cannot find alias arn: " + function + "<function-name>:alias-doesnotexist", put(provisioned("alias-doesnotexist"), `{"ProvisionedConcurrentExecutions":1}`)},
		{notFound + "Cannot find alias arn: " + function + "<function-name:1>:noalias", get(provisioned("noalias"))},
		{notFound + "Cannot find alias arn: " + function + "doesnotexist:noalias", get("/2019-09-30/functions/doesnotexist/provisioned-concurrency?Qualifier=noalias")},
		{notFound + "Function not found: " + function + "<function-name>:42", get(provisioned("42"))},
		{notFound + "Cannot find alias arn: " + function + "doesnotexist:noalias", get(noFn + "/aliases/noalias")},
		{conflict + "Alias already exists: ", post(fn+"/aliases", `{"Name":"custom","FunctionVersion":"1"}`)},
		{broken + "'2024' at 'name'", post(fn+"/aliases", `{"Name":"2024","FunctionVersion":"1"}`)},

		// Revisions.
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias", post(fn+"/versions", `{"RevisionId":"x"}`)},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias", put(fn+"/aliases/custom", `{"RevisionId":"x"}`)},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias", put(fn+"/configuration", `{"RevisionId":"x"}`)},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias", put(fn+"/code", m{"RevisionId": "x", "ZipFile": zip})},

		// Functions and their code.
		{invalid + "$LATEST version cannot be deleted", del("/2015-03-31/functions/absent?Qualifier=$LATEST")},
		{invalid + "Please don't provide ImageUri", put(fn+"/code", `{"ImageUri":"x"}`)},
		{invalid + "Please provide ImageUri", put("/2015-03-31/functions/image/code", m{"ZipFile": zip})},
		{invalid + "Could not unzip uploaded file.", put(fn+"/code", `{"ZipFile":"bm8gemlw"}`)},
		{invalid + "Could not unzip uploaded file.", with("bad", m{"Code": m{"ZipFile": "bm8gemlw"}})},
		{invalid + "Error occurred while GetObject. S3 Error Code: NoSuchKey.", with("bad", m{"Code": m{"S3Bucket": "bucket", "S3Key": "nothing"}})},
		{invalid + "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound.", with("bad", m{"VpcConfig": m{"SubnetIds": []string{"subnet-9"}, "SecurityGroupIds": []string{"sg-1"}}})},
		{invalid + "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound.", put(fn+"/configuration", `{"VpcConfig":{"SubnetIds":["subnet-1"],"SecurityGroupIds":["sg-9"]}}`)},
		{invalid + "CodeSHA256 (somenonexistentsha256)", post(fn+"/versions", `{"CodeSha256":"somenonexistentsha256"}`)},
		{invalid + "CodeSHA256 (aaaaaaaa", post(fn+"/versions", m{"CodeSha256": strings.Repeat("a", 64)})},
		{invalid + "1 validation error detected: Value '" + strings.Repeat("a", 65) + "' at 'functionName'", with(strings.Repeat("a", 65), nil)},
		{invalid + "Value PYTHON3.9 at 'runtime'", with("bad", m{"Runtime": "PYTHON3.9"})},
		{invalid + "Value PYTHON3.9 at 'runtime'", put(fn+"/configuration", `{"Runtime":"PYTHON3.9"}`)},
		{invalid + "Value non-existent-runtime at 'runtime'", with("bad", m{"Runtime": "non-existent-runtime"})},
		{invalid + "Value non-existent-runtime at 'runtime'", put(fn+"/configuration", `{"Runtime":"non-existent-runtime"}`)},
		{broken + "'r1' at 'role'", with("bad", m{"Role": "r1"})},
		{broken + "'r1' at 'role'", put(fn+"/configuration", `{"Role":"r1"}`)},
		{broken + "'[x86_64, arm64]' at 'architectures'", with("bad", m{"Architectures": []string{"x86_64", "arm64"}})},
		{broken + "'[x86_64, arm64]' at 'architectures'", put(fn+"/code", m{"ZipFile": zip, "Architectures": []string{"x86_64", "arm64"}})},
		{broken + "'arn:<partition>:lambda:<region>:111111111111:function:<function-name>' at 'functionName'", del("/2017-10-31/functions/" + arn(strings.Repeat("f", 100)) + "/concurrency")},
		{broken + "'arn:<partition>:lambda:<region>:123400000000@function:myfn' at 'functionName'", post("/2015-03-31/functions/arn:aws:lambda:"+region+":123400000000@function:myfn/invocations", "{}")},
		{broken + "'invalid-qualifier-with-?-char' at 'qualifier'", get(fn + "?Qualifier=invalid-qualifier-with-%3F-char")},
		{"RequestEntityTooLargeException 413 Request must be smaller than 70167211 bytes for the CreateFunction operation", post("/2015-03-31/functions", `{"Description":"`+strings.Repeat("x", 70167211)+`"}`)},
		{conflict + "The operation cannot be performed at this time. An update is in progress", func() reply {
			p.prepare.Lock()
			wants(t, "an update", p.do("PUT", "/2015-03-31/functions/stale/code", text(t, m{"ZipFile": code(t, "new")})), 200)
			got := p.do("PUT", "/2015-03-31/functions/stale/configuration", `{"Timeout":9}`)
			p.prepare.Unlock()
			p.settle()
			return got
		}},
		{"InvalidRequestContentException 400 Could not parse request body into json: Could not parse payload into json: Unexpected character ((CTRL-CHAR, code 153))", post(fn+"/invocations", "\x99")},
		{"InvalidRequestContentException 400 Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 start byte 0x87", post(fn+"/invocations", "\"\x87\"")},
		{broken + "'InvalidValue' at 'recursiveLoop'", put("/2024-08-31/functions/fn/recursion-config", `{"RecursiveLoop":"InvalidValue"}`)},

		// Layers.
		{invalid + "Cannot reference more than 5 layers.", with("bad", m{"Layers": []string{layerARN("a", 1), layerARN("b", 1), layerARN("c", 1), layerARN("d", 1), layerARN("e", 1), layerARN("f", 1)}})},
		{invalid + "Two different versions of the same layer", with("bad", m{"Layers": []string{layerARN("l", 1), layerARN("l", 2)}})},
		{invalid + "Layer version arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>:9 does not exist.", with("bad", m{"Layers": []string{layerARN("l", 9)}})},
		{invalid + "Layer version arn:<partition>:lambda:<region>:111111111111:layer:doesnotexist:1 does not exist.", put(fn+"/configuration", m{"Layers": []string{layerARN("doesnotexist", 1)}})},
		{invalid + "Layers are not in the same region", with("bad", m{"Layers": []string{"arn:aws:lambda:us-west-2:" + account + ":layer:l:1"}})},
		{broken + "'[arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>]' at 'layers'", with("bad", m{"Layers": []string{strings.TrimSuffix(layerARN("l", 1), ":1")}})},
		{invalid + "Layer Version Cannot be less than 1", get("/2018-10-31/layers/l/versions/0")},
		{invalid + "Layer Version Cannot be less than 1", del("/2018-10-31/layers/l/versions/-1")},
		{broken + "'archdoesnotexist' at 'compatibleArchitecture'", get("/2018-10-31/layers?CompatibleArchitecture=archdoesnotexist")},
		{broken + "'arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>' at 'arn'", get("/2018-10-31/layers?find=LayerVersion&Arn=" + url.QueryEscape(strings.TrimSuffix(layerARN("l", 1), ":1")))},
		{notFound + "The resource you requested does not exist.", get("/2018-10-31/layers/nothing/versions/1")},
		{notFound + "The resource you requested does not exist.", get("/2018-10-31/layers?find=LayerVersion&Arn=" + url.QueryEscape(layerARN("nothing", 1)))},
		{notFound + "No policy is associated with the given resource.", get(policy)},
		{broken + "'*' at 'action'", post(policy, but(layerPermission, "Action", "*"))},
		{notFound + "Layer version arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>:2 does not exist.", post("/2018-10-31/layers/none/versions/2/policy", layerPermission)},
		{notFound + "Layer version arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>:2 does not exist.", get("/2018-10-31/layers/none/versions/2/policy")},
		{notFound + "Layer version arn:<partition>:lambda:<region>:111111111111:layer:<resource:1>:2 does not exist.", del("/2018-10-31/layers/none/versions/2/policy/s1")},
		{notFound + "Function not found: " + function + "<function-name>:valid-with-$-but-doesnotexist", post(fn+"/policy?Qualifier=valid-with-$-but-doesnotexist", permission)},
		{notFound + "Function not found: " + function + "<function-name>:42", post(fn+"/policy?Qualifier=42", permission)},
		{notFound + "Cannot find alias arn: " + function + "<function-name>:alias-doesnotexist", post(fn+"/policy?Qualifier=alias-doesnotexist", permission)},
		{conflict + "The statement id (s1) provided", then(post(policy, layerPermission), post(policy, layerPermission))},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy", post(policy+"?RevisionId=x", but(layerPermission, "StatementId", "s2"))},

		// Policies.
		{notFound + "The resource you requested does not exist.", get(fn + "/policy")},
		{notFound + "No policy is associated with the given resource.", del(fn + "/policy/s1")},
		{broken + "'example.com' at 'statementId'", post(fn+"/policy", but(permission, "StatementId", "example.com"))},
		{invalid + "We currently do not support adding policies for $LATEST.", post(fn+"/policy?Qualifier=$LATEST", permission)},
		{conflict + "The statement id (s3) provided", then(post(fn+"/policy", but(permission, "StatementId", "s3")), post(fn+"/policy", but(permission, "StatementId", "s3")))},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetPolicy", post(fn+"/policy", but(but(permission, "StatementId", "s4"), "RevisionId", "x"))},
		{broken + "'arn:<partition>:something' at 'resource'", get(tags("arn:aws:something"))},
		{broken + "'arn:<partition>:lambda:<region>:111111111111:capacity-provider:<resource-name>:alias' at 'resource'", get(tags("arn:aws:lambda:" + region + ":" + account + ":capacity-provider:cp:alias"))},
		{broken + "'arn:<partition>:lambda:<region>:111111111111:event-source-mapping:<resource-name>:alias' at 'resource'", get(tags("arn:aws:lambda:" + region + ":" + account + ":event-source-mapping:0b0b0b0b-0000-4000-8000-000000000000:alias"))},

		// What is to be done about events.
		{notFound + "The function doesn't exist.", put(events("doesnotexist"), `{"MaximumRetryAttempts":0}`)},
		{notFound + "The function doesn't exist.", put(events("fn")+"?Qualifier=1221", `{"MaximumRetryAttempts":0}`)},
		{notFound + "The function doesn't exist.", post(events("doesnotexist"), `{"MaximumRetryAttempts":0}`)},
		{notFound + "The function doesn't exist.", get(events("doesnotexist") + "/list")},
		{notFound + "The function " + function + "<fn-name>:1221 doesn't have", get(events("fn") + "?Qualifier=1221")},
		{notFound + "The function " + function + "<function-name:1>:$LATEST doesn't have", get(events("fn"))},
		{notFound + "The function " + function + "<function-name:1>:$LATEST doesn't have", del(events("fn"))},
		{notFound + "The function " + function + "<function-name:1>:$LATEST doesn't have", post(events("fn"), `{"MaximumRetryAttempts":0}`)},
		{notFound + "The function " + function + "<function-name:1>:doesnotexist doesn't have", get(events("fn") + "?Qualifier=doesnotexist")},
		{notFound + "The function " + function + "<function-name:1>:eventinvokealias doesn't have", del(events("fn") + "?Qualifier=eventinvokealias")},
		{notFound + "The function " + function + "doesnotexist:$LATEST doesn't have", get(events("doesnotexist"))},
		{notFound + "The function " + function + "doesnotexist:$LATEST doesn't have", del(events("doesnotexist"))},
		{invalid + "The destination ARN " + function + "doesnotexist is invalid.", put(events("fn"), m{"DestinationConfig": m{"OnSuccess": m{"Destination": arn("doesnotexist")}}})},
		{invalid + "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:<partition>:iam:", put(events("fn"), m{"DestinationConfig": m{"OnSuccess": m{"Destination": "arn:aws:iam:" + region + ":" + account + ":function:fn"}}})},

		// Web addresses.
		{notFound + "Function does not exist", post(urlOf("doesnotexist"), `{"AuthType":"NONE"}`)},
		{notFound + "Function does not exist", post(urlOf("fn")+"?Qualifier=v1", `{"AuthType":"NONE"}`)},
		{notFound + "Function does not exist", get(urlOf("doesnotexist") + "s")},
		{notFound + "The resource you requested does not exist.", get(urlOf("doesnotexist"))},
		{notFound + "The resource you requested does not exist.", put(urlOf("doesnotexist"), `{}`)},
		{notFound + "The resource you requested does not exist.", del(urlOf("doesnotexist"))},
		{notFound + "The resource you requested does not exist.", get(urlOf("fn"))},
		{notFound + "The resource you requested does not exist.", put(urlOf("fn")+"?Qualifier=v1", `{}`)},
		{notFound + "The resource you requested does not exist.", del(urlOf("fn"))},
		{broken + "'$LATEST' at 'qualifier'", get(urlOf("fn") + "?Qualifier=$LATEST")},
		{broken + "'1' at 'qualifier'", post(urlOf("fn")+"?Qualifier=1", `{"AuthType":"NONE"}`)},
		{broken + "'UNKNOWN' at 'invokeMode'", post(urlOf("fn"), `{"AuthType":"NONE","InvokeMode":"UNKNOWN"}`)},
		{conflict + "Failed to create function url config", then(post(urlOf("fn"), `{"AuthType":"NONE"}`), post(urlOf("fn"), `{"AuthType":"NONE"}`))},

		// Concurrency. The account has 1000.
		{invalid + "This operation is permitted on Lambda functions only.", put("/2017-10-31/functions/fn:1/concurrency", `{"ReservedConcurrentExecutions":1}`)},
		{invalid + "This operation is permitted on Lambda functions only.", get("/2019-09-30/functions/fn:1/concurrency")},
		{invalid + "Specified ReservedConcurrentExecutions for function decreases", put(reserve, `{"ReservedConcurrentExecutions":901}`)},
		{broken + "'0' at 'provisionedConcurrentExecutions'", put(provisioned("1"), `{"ProvisionedConcurrentExecutions":0}`)},
		{"ProvisionedConcurrencyConfigNotFoundException 404 No Provisioned Concurrency Config found", get(provisioned("1"))},
		{invalid + "The function resource provided must be an alias or a published version.", get(provisioned("$LATEST"))},
		{invalid + "The function resource provided must be an alias or a published version.", del(provisioned("$LATEST"))},
		{invalid + "Specified ConcurrentExecutions for function is greater than", put(provisioned("1"), `{"ProvisionedConcurrentExecutions":1001}`)},
		{invalid + "Specified ConcurrentExecutions for function decreases", put(provisioned("1"), `{"ProvisionedConcurrentExecutions":901}`)},
		{conflict + "Alias can't be used for Provisioned Concurrency configuration", then(put(provisioned("1"), `{"ProvisionedConcurrentExecutions":2}`), put(provisioned("custom"), `{"ProvisionedConcurrentExecutions":1}`))},
		{invalid + " ReservedConcurrentExecutions  1 should not be lower", put(reserve, `{"ReservedConcurrentExecutions":1}`)},
		{invalid + "Requested Provisioned Concurrency should not be greater than", then(put(reserve, `{"ReservedConcurrentExecutions":2}`), put(provisioned("1"), `{"ProvisionedConcurrentExecutions":3}`))},
	}
}
