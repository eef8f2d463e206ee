package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// recordedText is one line of the answers recorded from the service.
func recordedTexts(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../lambda/testdata/error-answers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		parts := strings.SplitN(line, "\t", 3)
		if len(parts) != 3 {
			t.Fatalf("line %q", line)
		}
		out[parts[0]+" "+parts[1]+" "+unquote(parts[2])] = true
	}
	return out
}

// unquote reads a text as it is quoted in the recordings.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\'`, `'`).Replace(s)
}

func TestRefusalsHaveTheRecordedWords(t *testing.T) {
	p := newPort(t)
	sha := p.create("fn", map[string]any{"Publish": true})["CodeSha256"].(string)
	p.do("PUT", "/2015-03-31/functions/fn/configuration", `{"Timeout":9}`)
	p.settle()
	wants(t, "publish", p.do("POST", "/2015-03-31/functions/fn/versions", ""), 201)
	wants(t, "alias", p.do("POST", "/2015-03-31/functions/fn/aliases", `{"Name":"custom","FunctionVersion":"1"}`), 201)
	big := map[string]string{"LARGE_VAR": strings.Repeat("x", 4096)}
	recorded := recordedTexts(t)

	const fn = "/2015-03-31/functions/fn"
	put := func(target, body string) func() reply { return func() reply { return p.do("PUT", target, body) } }
	post := func(target, body string) func() reply { return func() reply { return p.do("POST", target, body) } }
	get := func(target string) func() reply { return func() reply { return p.do("GET", target, "") } }
	del := func(target string) func() reply { return func() reply { return p.do("DELETE", target, "") } }
	with := func(name string, members map[string]any) func() reply {
		return post("/2015-03-31/functions", request(t, name, members))
	}
	for _, c := range []struct {
		text string // exception, status and text as recorded
		// What stands for the placeholders of the text.
		replace []string
		do      func() reply
	}{
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:doesnotexist", nil, get("/2015-03-31/functions/doesnotexist")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:doesnotexist", nil, get("/2015-03-31/functions/doesnotexist/configuration")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:doesnotexist", nil, del("/2015-03-31/functions/doesnotexist")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:doesnotexist", nil, get("/2015-03-31/functions/doesnotexist/versions")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:doesnotexist", nil, get("/2019-09-30/functions/doesnotexist/concurrency")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:some-function:$LATEST", nil, get("/2015-03-31/functions/some-function:$LATEST?Qualifier=$LATEST")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:some-function:$LATEST", nil, put("/2017-10-31/functions/some-function/concurrency", `{"ReservedConcurrentExecutions":5000}`)},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:<function-name>:42", []string{"<function-name>", "fn"}, get(fn + "?Qualifier=42")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>:non-existent-alias", []string{"<function-name:1>", "fn"}, get(fn + ":non-existent-alias")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:<function-name>:valid-with-$-but-doesnotexist", []string{"<function-name>", "fn"}, get(fn + "?Qualifier=valid-with-$-but-doesnotexist")},
		{"ResourceNotFoundException 404 Function not found: arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>-unknown:1", []string{"<function-name:1>", "fn"}, post(fn+"-unknown/aliases", `{"Name":"custom","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}}`)},
		{"ResourceNotFoundException 404 Functions from 'ap-southeast-1' are not reachable in this region ('<region>')", nil, get("/2015-03-31/functions/arn:aws:lambda:ap-southeast-1:111111111111:function:fn")},
		{"ResourceNotFoundException 404 Cannot find alias arn: arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>:noalias", []string{"<function-name:1>", "fn"}, get(fn + "/aliases/noalias")},
		{"ResourceNotFoundException 404 Cannot find alias arn: arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>:doesnotexist", []string{"<function-name:1>", "fn"}, put(fn+"/aliases/doesnotexist", `{}`)},
		{"ResourceConflictException 409 Alias already exists: arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>:custom", []string{"<function-name:1>", "fn"}, post(fn+"/aliases", `{"Name":"custom","FunctionVersion":"1"}`)},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id", nil, post(fn+"/versions", `{"RevisionId":"x"}`)},
		{"PreconditionFailedException 412 The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id", nil, put(fn+"/aliases/custom", `{"RevisionId":"x"}`)},
		{"InvalidParameterValueException 400 $LATEST version cannot be deleted without deleting the function.", nil, del("/2015-03-31/functions/absent?Qualifier=$LATEST")},
		{"InvalidParameterValueException 400 This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.", nil, put("/2017-10-31/functions/fn:1/concurrency", `{"ReservedConcurrentExecutions":1}`)},
		{"InvalidParameterValueException 400 Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [<min_unreserved_concurrency>].", []string{"<min_unreserved_concurrency>", "100"}, put("/2017-10-31/functions/fn/concurrency", `{"ReservedConcurrentExecutions":901}`)},
		{"InvalidParameterValueException 400 Please don't provide ImageUri when updating a function with packageType Zip.", nil, put(fn+"/code", `{"ImageUri":"x"}`)},
		{"InvalidParameterValueException 400 Could not unzip uploaded file. Please check your file, then try to upload again.", nil, put(fn+"/code", `{"ZipFile":"bm8gemlw"}`)},
		{"InvalidParameterValueException 400 Could not unzip uploaded file. Please check your file, then try to upload again.", nil, with("bad", map[string]any{"Code": map[string]any{"ZipFile": "bm8gemlw"}})},
		{"InvalidParameterValueException 400 CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST (<code-sha256:1>). Please try again with the CodeSHA256 in $LATEST.", []string{"<code-sha256:1>", sha}, post(fn+"/versions", `{"CodeSha256":"somenonexistentsha256"}`)},
		{"InvalidParameterValueException 400 1 validation error detected: Value '" + strings.Repeat("a", 65) + "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64", nil, with(strings.Repeat("a", 65), nil)},
		{"ValidationException 400 1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+", nil, with("bad", map[string]any{"Role": "r1"})},
		{"ValidationException 400 1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1", nil, with("bad", map[string]any{"Architectures": []string{"x86_64", "arm64"}})},
		{"ValidationException 400 1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", nil, post(fn+"/aliases", `{"Name":"2024","FunctionVersion":"1"}`)},
	} {
		if !recorded[c.text] {
			t.Errorf("nothing of the kind is recorded: %s", c.text)
		}
		want := strings.NewReplacer(append([]string{"<partition>", "aws", "<region>", region}, c.replace...)...).Replace(c.text)
		got := c.do()
		if have := got.header.Get("X-Amzn-Errortype") + " " + fmt.Sprint(got.status) + " " + got.message(); have != want {
			t.Errorf("got  %s\nwant %s", have, want)
		}
		if got.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: body %q", want, got.body)
		}
	}

	// In the words of the service, too, where the recording is cut or lacks them.
	for _, c := range []struct {
		name            string
		do              func() reply
		status          int
		exception, text string
	}{
		{"environment", with("bad", map[string]any{"Environment": map[string]any{"Variables": big}}), 400, "InvalidParameterValueException",
			`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"LARGE_VAR":"` + big["LARGE_VAR"] + `"}`},
		{"environment of an update", put(fn+"/configuration", text(t, map[string]any{"Environment": map[string]any{"Variables": big}})), 400, "InvalidParameterValueException",
			`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"LARGE_VAR":"` + big["LARGE_VAR"] + `"}`},
		{"reserved variables", with("bad", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y", "FINE": "z"}}}), 400, "InvalidParameterValueException",
			"Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT"},
		{"a NUL", with("bad", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"KEY": "a\x00b"}}}), 400, "InvalidParameterValueException",
			"The value of the environment variable KEY contains a NUL character, which no process can be given."},
		{"memory of instances", with("bad", map[string]any{"MemorySize": 10241}), 400, "InvalidParameterValueException", "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"},
		{"timeout of instances", with("bad", map[string]any{"Timeout": 901}), 400, "InvalidParameterValueException", "'Timeout' value failed to satisfy constraint: Member must have value less than or equal to 900"},
		{"memory too small", with("bad", map[string]any{"MemorySize": 127}), 400, "ValidationException", "1 validation error detected: Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"},
		{"memory too large", put(fn+"/configuration", `{"MemorySize":32769}`), 400, "ValidationException", "1 validation error detected: Value '32769' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 32768"},
		{"no timeout", with("bad", map[string]any{"Timeout": 0}), 400, "ValidationException", "1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"no handler", with("bad", map[string]any{"Handler": nil}), 400, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"no runtime", with("bad", map[string]any{"Runtime": nil}), 400, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"no code", with("bad", map[string]any{"Code": map[string]any{}}), 400, "InvalidParameterValueException", "Please provide a source for function code."},
		{"no object in S3", with("bad", map[string]any{"Code": map[string]any{"S3Bucket": "bucket", "S3Key": "nothing"}}), 400, "InvalidParameterValueException", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."},
		{"no key in S3", with("bad", map[string]any{"Code": map[string]any{"S3Bucket": "bucket"}}), 400, "InvalidParameterValueException", "Please provide both S3Bucket and S3Key."},
		{"code from two places", with("bad", map[string]any{"Code": map[string]any{"S3Bucket": "bucket", "S3Key": "key", "ZipFile": code(t, "x")}}), 400, "InvalidParameterValueException", "Please do not provide other FunctionCode parameters when providing a ZipFile."},
		{"a reference to S3", with("bad", map[string]any{"Code": map[string]any{"S3Bucket": "bucket", "S3Key": "key", "S3ObjectStorageMode": "REFERENCE"}}), 400, "InvalidParameterValueException", "kiln does not support S3ObjectStorageMode REFERENCE yet."},
		{"a qualified name", with("bad:1", nil), 400, "InvalidParameterValueException", "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN."},
		{"network tag", with("bad", map[string]any{"Tags": map[string]string{"kiln:network": "off"}}), 400, "InvalidParameterValueException", "The tag kiln:network is none or outbound: off"},
		{"cpu tag", with("bad", map[string]any{"Tags": map[string]string{"kiln:cpu": "fast"}}), 400, "InvalidParameterValueException", "The tag kiln:cpu is strict or burst: fast"},
		{"sigterm tag", with("bad", map[string]any{"Tags": map[string]string{"kiln:sigterm": "yes"}}), 400, "InvalidParameterValueException", "The tag kiln:sigterm is on or off: yes"},
		{"debug tag", with("bad", map[string]any{"Tags": map[string]string{"kiln:debug": "9229"}}), 400, "InvalidParameterValueException", "The tag kiln:debug is on or off: 9229"},
		{"tags", with("bad", map[string]any{"Tags": map[string]string{"aws:x": "y"}}), 400, "InvalidParameterValueException", "Tag keys that begin with aws: are reserved: aws:x"},
		{"an alias to two and itself", post(fn+"/aliases", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}}`), 400, "InvalidParameterValueException", "Invalid function version 1. Function version 1 is already included in routing configuration."},
		{"an alias to three", post(fn+"/aliases", `{"Name":"a","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.5,"3":0.1}}}`), 400, "InvalidParameterValueException", "Number of items in AdditionalVersionWeights cannot be greater than 1"},
		{"deletion of an alias", del(fn + ":custom"), 400, "InvalidParameterValueException", "Deletion of aliases is not currently supported."},
		{"replicas", get("/2015-03-31/functions?MasterRegion=us-east-1&FunctionVersion=ALL"), 400, "InvalidParameterValueException", "kiln does not support MasterRegion (replicas of functions in other regions) yet."},
		{"published latest", post(fn+"/versions", `{"PublishTo":"LATEST_PUBLISHED"}`), 400, "InvalidParameterValueException", "kiln does not support PublishTo yet."},
	} {
		refused(t, c.name, c.do(), c.status, c.exception, c.text)
	}
	got := p.do("POST", fn+"/aliases", `{"Name":"a","FunctionVersion":"$LATEST","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}}`)
	if got.body != `{"message":"$LATEST is not supported for an alias pointing to more than 1 version"}` {
		t.Errorf("this one is recorded without a Type: %s", got.body)
	}
	wants(t, "nothing bad was made", p.do("GET", "/2015-03-31/functions/bad", ""), 404)
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = ""
	}
	refused(t, "too many tags", p.do("POST", "/2015-03-31/functions", request(t, "bad", map[string]any{"Tags": many})), 400, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
}

func TestTheEnvironmentIsMeasuredAsItsJSON(t *testing.T) {
	p := newPort(t)
	length := func(n int) map[string]any { // {"KEY":"…"} has 10 bytes around the value
		return map[string]any{"Environment": map[string]any{"Variables": map[string]string{"KEY": strings.Repeat("<", n-10)}}}
	}
	wants(t, "4096 bytes", p.do("POST", "/2015-03-31/functions", request(t, "fits", length(4096))), 201)
	wants(t, "4097 bytes", p.do("POST", "/2015-03-31/functions", request(t, "large", length(4097))), 400)
}
