package api_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type object = map[string]any

// written is one write of a resource and how it is read again, as tools do that compare
// what is with what they were told.
type written struct {
	name           string
	method, target string
	sent           object
	kept           []string // members of sent that no answer of the resource has: what they are for is read elsewhere
	read           string   // where it is read
	inside         string   // the member of what is read that the resource is in
	only           []string // members that the answer of reading has besides those that were sent; no others
	answerLess     []string // members that the answer of writing lacks
	answerMore     []string // members that it has alone
}

// TestWhatIsWrittenIsReadAgainAndNothingElse writes every resource with all members that
// kiln obeys, changes each of them, and reads it after every step: each member that was
// sent comes back as it was sent, in the answer and when it is read, and no member is
// there that AWS does not send.
func TestWhatIsWrittenIsReadAgainAndNothingElse(t *testing.T) {
	p := newPort(t, surrounded)
	p.create("target", nil)
	for _, l := range []string{"l", "m"} {
		wants(t, "layer", p.do("POST", "/2018-10-31/layers/"+l+"/versions", text(t, object{"Content": object{"ZipFile": code(t, l)}})), 201)
	}
	const fn = "/2015-03-31/functions/f"
	layers := func(arns ...string) []any {
		var out []any
		for _, a := range arns {
			out = append(out, a)
		}
		return out
	}
	function := []string{"CodeSha256", "CodeSize", "FunctionArn", "LastModified", "LastUpdateStatus", "PackageType", "RevisionId", "RuntimeVersionConfig", "SnapStart", "State", "TracingConfig", "Version"}
	pending := []string{"LastUpdateStatus"}
	creating := []string{"StateReason", "StateReasonCode"}
	updating := []string{"LastUpdateStatusReason", "LastUpdateStatusReasonCode"}
	first := object{
		"FunctionName": "f", "Role": role, "Runtime": "python3.12", "Handler": "app.handler", "Description": "one", "Timeout": 7., "MemorySize": 256.,
		"Environment": object{"Variables": object{"KEY": "v", "EMPTY": ""}}, "EphemeralStorage": object{"Size": 600.}, "Architectures": []any{"arm64"},
		"LoggingConfig": object{"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "DEBUG", "LogGroup": "/own/group"},
		"Layers":        layers(layerARN("m", 1), layerARN("l", 1)), "KMSKeyArn": "arn:aws:kms:eu-west-1:111111111111:key/1",
		"Code": object{"ZipFile": code(t, "one")}, "Tags": object{"a": "b"},
		"FileSystemConfigs": []any{object{"Arn": accessPoint, "LocalMountPath": "/mnt/a"}},
	}
	second := object{
		"Role": role + "2", "Handler": "b.c", "Description": "", "Timeout": 8., "MemorySize": 128.,
		"Environment": object{"Variables": object{}}, "EphemeralStorage": object{"Size": 512.}, "Layers": layers(layerARN("l", 1)),
		"FileSystemConfigs": []any{object{"Arn": accessPoint, "LocalMountPath": "/mnt/b"}},
		"LoggingConfig":     object{"LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": "WARN", "LogGroup": "/other/group"},
	}
	for _, w := range []written{
		{"function", "POST", "/2015-03-31/functions", first, []string{"Code", "Tags"}, fn + "/configuration", "", function, pending, creating},
		{"its description", "GET", fn, nil, nil, fn, "Configuration", nil, nil, nil},
		{"configuration", "PUT", fn + "/configuration", second, nil, fn + "/configuration", "", append(function, "FunctionName", "Runtime", "Architectures", "KMSKeyArn"), nil, updating},
		{"version", "POST", fn + "/versions", object{"Description": "first"}, nil, fn + "/configuration?Qualifier=1", "", append(function, "FunctionName", "Runtime", "Architectures", "KMSKeyArn", "Role", "Handler", "Timeout", "MemorySize", "Environment", "EphemeralStorage", "Layers", "LoggingConfig", "FileSystemConfigs"), nil, nil},
		{"alias", "POST", fn + "/aliases", object{"Name": "live", "FunctionVersion": "1", "Description": "d"}, nil, fn + "/aliases/live", "", []string{"AliasArn", "RevisionId"}, nil, nil},
		{"alias changed", "PUT", fn + "/aliases/live", object{"FunctionVersion": "$LATEST", "Description": ""}, nil, fn + "/aliases/live", "", []string{"AliasArn", "RevisionId", "Name"}, nil, nil},
		{"alias back", "PUT", fn + "/aliases/live", object{"FunctionVersion": "1"}, nil, fn + "/aliases/live", "", []string{"AliasArn", "RevisionId", "Name", "Description"}, nil, nil},
		{"URL", "POST", "/2021-10-31/functions/f/url?Qualifier=live", object{"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM",
			"Cors": object{"AllowCredentials": true, "AllowHeaders": []any{"x"}, "AllowMethods": []any{"GET"}, "AllowOrigins": []any{"https://a.b"}, "ExposeHeaders": []any{"y"}, "MaxAge": 0.}},
			nil, "/2021-10-31/functions/f/url?Qualifier=live", "", []string{"CreationTime", "FunctionArn", "FunctionUrl", "LastModifiedTime"}, []string{"LastModifiedTime"}, nil},
		{"URL changed", "PUT", "/2021-10-31/functions/f/url?Qualifier=live", object{"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED", "Cors": object{"AllowOrigins": []any{"*"}}},
			nil, "/2021-10-31/functions/f/url?Qualifier=live", "", []string{"CreationTime", "FunctionArn", "FunctionUrl", "LastModifiedTime"}, nil, nil},
		{"events", "PUT", "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", object{"MaximumRetryAttempts": 0., "MaximumEventAgeInSeconds": 60.,
			"DestinationConfig": object{"OnSuccess": object{"Destination": arn("target")}, "OnFailure": object{"Destination": arn("target") + ":$LATEST"}}},
			nil, "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", "", []string{"FunctionArn", "LastModified"}, nil, nil},
		{"events changed", "POST", "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", object{"MaximumRetryAttempts": 2.},
			nil, "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", "", []string{"FunctionArn", "LastModified", "MaximumEventAgeInSeconds", "DestinationConfig"}, nil, nil},
		{"events anew", "PUT", "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", object{"MaximumEventAgeInSeconds": 21600.},
			nil, "/2019-09-25/functions/f/event-invoke-config?Qualifier=live", "", []string{"FunctionArn", "LastModified", "DestinationConfig"}, nil, nil},
		{"provisioned", "PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=live", object{"ProvisionedConcurrentExecutions": 3.}, []string{"ProvisionedConcurrentExecutions"},
			"/2019-09-30/functions/f/provisioned-concurrency?Qualifier=live", "", []string{"AllocatedProvisionedConcurrentExecutions", "AvailableProvisionedConcurrentExecutions", "LastModified", "RequestedProvisionedConcurrentExecutions", "Status"}, nil, nil},
		{"reserved", "PUT", "/2017-10-31/functions/f/concurrency", object{"ReservedConcurrentExecutions": 5.}, nil, "/2019-09-30/functions/f/concurrency", "", nil, nil, nil},
		{"recursion", "PUT", "/2024-08-31/functions/f/recursion-config", object{"RecursiveLoop": "Allow"}, nil, "/2024-08-31/functions/f/recursion-config", "", nil, nil, nil},
		{"layer", "POST", "/2018-10-31/layers/n/versions", object{"Content": object{"ZipFile": code(t, "n")}, "Description": "d", "CompatibleRuntimes": []any{"python3.12", "nodejs22.x"}, "CompatibleArchitectures": []any{"arm64", "x86_64"}, "LicenseInfo": "MIT"},
			[]string{"Content"}, "/2018-10-31/layers/n/versions/1", "", []string{"Content", "CreatedDate", "LayerArn", "LayerVersionArn", "Version"}, nil, nil},
		{"bare layer", "POST", "/2018-10-31/layers/o/versions", object{"Content": object{"ZipFile": code(t, "o")}},
			[]string{"Content"}, "/2018-10-31/layers/o/versions/1", "", []string{"Content", "CreatedDate", "Description", "LayerArn", "LayerVersionArn", "Version"}, nil, nil},
	} {
		body := ""
		if w.sent != nil {
			body = text(t, w.sent)
		}
		answer := p.do(w.method, w.target, body)
		if answer.status >= 300 {
			t.Errorf("%s: %d %s", w.name, answer.status, answer.body)
			continue
		}
		p.settle()
		got := wants(t, w.name, p.do("GET", w.read, ""), 200).members(t)
		if w.inside != "" {
			if whole := p.do("GET", fn+"/configuration", "").members(t); !reflect.DeepEqual(got[w.inside], any(whole)) {
				t.Errorf("%s: got %v, want %v", w.name, got[w.inside], whole)
			}
			continue
		}
		want := object{}
		for k, v := range w.sent {
			if !slices.Contains(w.kept, k) {
				want[k] = v
			}
		}
		sameMembers(t, w.name+", read", got, want, w.only)
		more := slices.DeleteFunc(append(slices.Clone(w.only), w.answerMore...), func(k string) bool { return slices.Contains(w.answerLess, k) })
		sameMembers(t, w.name+", answered", answer.members(t), want, more)
	}
	tags := p.do("GET", "/2017-03-31/tags/"+arn("f"), "").members(t)
	if !reflect.DeepEqual(tags["Tags"], first["Tags"]) {
		t.Errorf("tags: %v", tags)
	}
	if got := p.do("GET", fn, "").members(t); !reflect.DeepEqual(got["Tags"], first["Tags"]) || !reflect.DeepEqual(got["Concurrency"], any(object{"ReservedConcurrentExecutions": 5.})) || got["Code"] == nil || len(got) != 4 {
		t.Errorf("the function whole: %v", slices.Sorted(maps.Keys(got)))
	}
}

// sameMembers compares an answer with what was sent. Layers come back as structures.
func sameMembers(t *testing.T, what string, got, want object, more []string) {
	t.Helper()
	for k, v := range want {
		have := got[k]
		if list, ok := have.([]any); ok && k == "Layers" {
			arns := []any{}
			for _, l := range list {
				if m := l.(object); len(m) != 2 || m["CodeSize"] == nil {
					t.Errorf("%s: layer %v", what, l)
				} else {
					arns = append(arns, m["Arn"])
				}
			}
			have = arns
		}
		if !reflect.DeepEqual(have, v) {
			t.Errorf("%s: %s is %v, want %v", what, k, have, v)
		}
	}
	members := slices.Sorted(maps.Keys(got))
	wanted := append(slices.Collect(maps.Keys(want)), more...)
	slices.Sort(wanted)
	if !slices.Equal(members, wanted) {
		t.Errorf("%s: members\ngot  %s\nwant %s", what, strings.Join(members, " "), strings.Join(wanted, " "))
	}
}
