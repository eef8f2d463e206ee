package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestRefusalsThatAreNotRecorded holds answers that no recording has or that one has cut.
func TestRefusalsThatAreNotRecorded(t *testing.T) {
	p := newPort(t)
	p.create("fn", map[string]any{"Publish": true})
	p.do("PUT", "/2015-03-31/functions/fn/configuration", `{"Timeout":9}`)
	p.settle()
	wants(t, "publish", p.do("POST", "/2015-03-31/functions/fn/versions", ""), 201)
	wants(t, "alias", p.do("POST", "/2015-03-31/functions/fn/aliases", `{"Name":"custom","FunctionVersion":"1"}`), 201)
	big := map[string]string{"LARGE_VAR": strings.Repeat("x", 4096)}

	const fn = "/2015-03-31/functions/fn"
	put := func(target, body string) func() reply { return func() reply { return p.do("PUT", target, body) } }
	post := func(target, body string) func() reply { return func() reply { return p.do("POST", target, body) } }
	get := func(target string) func() reply { return func() reply { return p.do("GET", target, "") } }
	del := func(target string) func() reply { return func() reply { return p.do("DELETE", target, "") } }
	then := func(first, second func() reply) func() reply { return func() reply { first(); return second() } }
	with := func(name string, members map[string]any) func() reply {
		return post("/2015-03-31/functions", request(t, name, members))
	}
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
		{"no tags", post("/2017-03-31/tags/"+arn("fn"), `{"Tags":{}}`), 400, "InvalidParameterValueException", "An error occurred and the request cannot be processed."},
		{"no tag keys", del("/2017-03-31/tags/" + arn("fn")), 400, "ValidationException", "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"},
		{"a service that is none", post(fn+"/policy", `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"invalid.nonaws.com"}`), 400, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."},
		{"the policy of no function", del("/2015-03-31/functions/doesnotexist/policy/s"), 404, "ResourceNotFoundException", "No policy found for: " + arn("doesnotexist")},
		{"the policy of no statement", then(post(fn+"/policy", `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com"}`), del(fn+"/policy/zz")), 404, "ResourceNotFoundException", "Statement zz is not found in resource policy."},
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
