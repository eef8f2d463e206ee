package api_test

import (
	"bufio"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
)

// recordedRequest reads a request as the Go SDK sends it, with every member set.
func recordedRequest(t *testing.T, operation string) (method, target string, headers map[string]string, body string) {
	t.Helper()
	b, err := os.ReadFile("../lambda/testdata/wire/requests/" + operation + ".request.snap")
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(strings.NewReader(string(b)))
	s.Buffer(nil, 1<<20)
	headers = map[string]string{}
	for part := 0; s.Scan(); {
		line := s.Text()
		switch {
		case line == "":
			part++
		case part == 0:
			method, target, _ = strings.Cut(line, " ")
		case part == 1:
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				t.Fatalf("%s: header %q", operation, line)
			}
			headers[name] = value
		default:
			body = line
		}
	}
	if method == "" || target == "" {
		t.Fatalf("%s cannot be read", operation)
	}
	return method, target, headers, body
}

// TestRecordedRequestsAreUnderstood sends every operation of this step as the SDK
// sends it. The recordings set all members, also those that exclude each other or that
// kiln refuses: leave takes members away, and the placeholders get values.
func TestRecordedRequestsAreUnderstood(t *testing.T) {
	p := newPort(t, surrounded)
	const twice = `{"Arn":"__Arn__","LocalMountPath":"__LocalMountPath__","S3FilesConfig":{"DirectS3Read":"ENABLED"}}`
	p.create("f", map[string]any{"Publish": true})
	p.create("other", nil)
	p.create("apart", map[string]any{"TenancyConfig": map[string]any{"TenantIsolationMode": "PER_TENANT"}})
	p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Description":"changed"}`)
	p.settle()
	wants(t, "second version", p.do("POST", "/2015-03-31/functions/f/versions", ""), 201)
	revision := func() string {
		return p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)["RevisionId"].(string)
	}
	sha := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)["CodeSha256"].(string)
	served := map[string]bool{}
	for _, c := range []struct {
		operation string
		values    []string // instead of placeholders
		leave     string   // members and parameters that are taken away
		status    int
		member    string // that the answer has
	}{
		{"PublishLayerVersion", []string{"__LayerName__", "l", "YmxvYg==", code(t, "layer"), `"nodejs"`, `"nodejs22.x"`}, "S3Bucket S3Key S3ObjectVersion", 201, "LayerVersionArn"},
		{"PublishLayerVersion", []string{"__LayerName__", "m", "__S3Bucket__", "bucket", "__S3Key__", "key", "__S3ObjectVersion__", "2"}, "ZipFile", 201, "LayerVersionArn"},
		{"GetLayerVersion", []string{"__LayerName__", "l"}, "", 200, "Content"},
		{"GetLayerVersionByArn", []string{"__Arn__", url.QueryEscape(layerARN("l", 1))}, "", 200, "Content"},
		{"ListLayers", []string{"=nodejs&", "=nodejs22.x&"}, "Marker", 200, "Layers"},
		{"ListLayerVersions", []string{"__LayerName__", "l", "=nodejs&", "=nodejs22.x&"}, "Marker", 200, "LayerVersions"},
		{"AddLayerVersionPermission", []string{"__LayerName__", "l", "__Action__", "lambda:GetLayerVersion", "__Principal__", "*", "__OrganizationId__", "o-1234567890", "__StatementId__", "s"}, "RevisionId", 201, "Statement"},
		{"GetLayerVersionPolicy", []string{"__LayerName__", "l"}, "", 200, "Policy"},
		{"RemoveLayerVersionPermission", []string{"__LayerName__", "l", "__StatementId__", "s"}, "RevisionId", 204, ""},
		{"CreateFunction", []string{"__FunctionName__", "made", "__Role__", role, "__Handler__", "a.b", "key0", "KEY", `"nodejs"`, `"nodejs22.x"`, `"MemorySize":1,`, `"MemorySize":256,`, `"Size":1`, `"Size":512`, `["x86_64","x86_64"]`, `["arm64"]`,
			`"LogFormat":"JSON"`, `"LogFormat":"Text"`, "__LogGroup__", "group", "YmxvYg==", code(t, "made"), `"Mode":"Active"`, `"Mode":"PassThrough"`, `"ApplyOn":"PublishedVersions"`, `"ApplyOn":"None"`, "__KMSKeyArn__", "arn:aws:kms:eu-west-1:111111111111:key/1",
			`"Layers":["__Member__","__Member__"]`, `"Layers":["` + layerARN("l", 1) + `","` + layerARN("m", 1) + `"]`,
			`"SecurityGroupIds":["__Member__","__Member__"],"SubnetIds":["__Member__","__Member__"]`, `"SecurityGroupIds":["sg-1"],"SubnetIds":["subnet-1","subnet-2"]`,
			`"FileSystemConfigs":[` + twice + `,` + twice + `]`, `"FileSystemConfigs":[{"Arn":"` + accessPoint + `","LocalMountPath":"/mnt/a"}]`},
			"CapacityProviderConfig DurableConfig ImageConfig Ipv6AllowedForDualStack CodeSigningConfigArn DeadLetterConfig PublishTo ImageUri S3Bucket S3Key S3ObjectVersion SourceKMSKeyArn ApplicationLogLevel SystemLogLevel", 201, "FunctionArn"},
		{"GetFunction", []string{"__FunctionName__", "f", "__Qualifier__", "1"}, "", 200, "Configuration"},
		{"GetFunctionConfiguration", []string{"__FunctionName__", "f", "__Qualifier__", "$LATEST"}, "", 200, "Version"},
		{"ListFunctions", nil, "MasterRegion Marker", 200, "Functions"},
		{"UpdateFunctionConfiguration", []string{"__FunctionName__", "f", "__Role__", role, "__Handler__", "a.b", "key0", "KEY", `"nodejs"`, `"nodejs22.x"`, `"MemorySize":1,`, `"MemorySize":256,`, `"Size":1`, `"Size":512`,
			`"LogFormat":"JSON"`, `"LogFormat":"Text"`, "__LogGroup__", "group", `"Mode":"Active"`, `"Mode":"PassThrough"`, `"ApplyOn":"PublishedVersions"`, `"ApplyOn":"None"`, "__KMSKeyArn__", "arn:aws:kms:eu-west-1:111111111111:key/1",
			`"Layers":["__Member__","__Member__"]`, `"Layers":["` + layerARN("l", 1) + `","` + layerARN("m", 1) + `"]`,
			`"SecurityGroupIds":["__Member__","__Member__"],"SubnetIds":["__Member__","__Member__"]`, `"SecurityGroupIds":["sg-1"],"SubnetIds":["subnet-1","subnet-2"]`,
			`"FileSystemConfigs":[` + twice + `,` + twice + `]`, `"FileSystemConfigs":[{"Arn":"` + accessPoint + `","LocalMountPath":"/mnt/a"}]`},
			"CapacityProviderConfig DurableConfig ImageConfig Ipv6AllowedForDualStack DeadLetterConfig ApplicationLogLevel SystemLogLevel", 200, "LastUpdateStatus"},
		{"UpdateFunctionCode", []string{"__FunctionName__", "f", "YmxvYg==", code(t, "new"), `["x86_64","x86_64"]`, `["x86_64"]`}, "ImageUri PublishTo S3Bucket S3Key S3ObjectVersion SourceKMSKeyArn", 200, "CodeSha256"},
		{"UpdateFunctionCode", []string{"__FunctionName__", "f", "__S3Bucket__", "bucket", "__S3Key__", "key", "__S3ObjectVersion__", "2", `["x86_64","x86_64"]`, `["x86_64"]`}, "ImageUri PublishTo ZipFile SourceKMSKeyArn", 200, "CodeSha256"},
		{"PublishVersion", []string{"__FunctionName__", "f", "__CodeSha256__", sha}, "PublishTo", 201, "Version"},
		{"ListVersionsByFunction", []string{"__FunctionName__", "f"}, "Marker", 200, "Versions"},
		{"CreateAlias", []string{"__FunctionName__", "f", "__FunctionVersion__", "1", "__Name__", "live", "key0", "2"}, "", 201, "AliasArn"},
		{"GetAlias", []string{"__FunctionName__", "f", "__Name__", "live"}, "", 200, "RoutingConfig"},
		{"UpdateAlias", []string{"__FunctionName__", "f", "__Name__", "live", "__FunctionVersion__", "2", "key0", "1"}, "RevisionId", 200, "AliasArn"},
		{"ListAliases", []string{"__FunctionName__", "f", "__FunctionVersion__", "2"}, "Marker", 200, "Aliases"},
		{"PutFunctionConcurrency", []string{"__FunctionName__", "f"}, "", 200, "ReservedConcurrentExecutions"},
		{"GetFunctionConcurrency", []string{"__FunctionName__", "f"}, "", 200, "ReservedConcurrentExecutions"},
		{"Invoke", []string{"__FunctionName__", "f", "__Qualifier__", "live", ": Event", ": RequestResponse", "__ClientContext__", "e30=", "blob", `{"a":1}`}, "X-Amz-Tenant-Id X-Amz-Durable-Execution-Name", 200, "a"},
		{"Invoke", []string{"__FunctionName__", "apart", "__Qualifier__", "$LATEST", ": Event", ": RequestResponse", "__TenantId__", "blue", "__ClientContext__", "e30=", "blob", `{"a":1}`}, "X-Amz-Durable-Execution-Name", 200, "a"},
		{"CreateFunctionUrlConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live", `"AllowMethods":["__Member__","__Member__"]`, `"AllowMethods":["GET","*"]`}, "", 201, "FunctionUrl"},
		{"GetFunctionUrlConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 200, "LastModifiedTime"},
		{"UpdateFunctionUrlConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live", `"AllowMethods":["__Member__","__Member__"]`, `"AllowMethods":["GET","*"]`}, "", 200, "Cors"},
		{"ListFunctionUrlConfigs", []string{"__FunctionName__", "f"}, "Marker", 200, "FunctionUrlConfigs"},
		{"DeleteFunctionUrlConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 204, ""},
		{"DeleteFunctionConcurrency", []string{"__FunctionName__", "f"}, "", 204, ""},
		{"AddPermission", []string{"__FunctionName__", "f", "__Qualifier__", "live", "__StatementId__", "s1", "__Action__", "lambda:InvokeFunction", "__Principal__", "s3.amazonaws.com",
			"__SourceAccount__", account, "__SourceArn__", "arn:aws:s3:::b", "__EventSourceToken__", "token"}, "FunctionUrlAuthType PrincipalOrgID RevisionId", 201, "Statement"},
		{"GetPolicy", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 200, "Policy"},
		{"RemovePermission", []string{"__FunctionName__", "f", "__Qualifier__", "live", "__StatementId__", "s1"}, "RevisionId", 204, ""},
		{"PutResourcePolicy", []string{"__ResourceArn__", url.PathEscape(arn("f")), "__Policy__", quoted(resourcePolicy(arn("f")))}, "RevisionId", 200, "Policy"},
		{"GetResourcePolicy", []string{"__ResourceArn__", url.PathEscape(arn("f"))}, "", 200, "RevisionId"},
		{"DeleteResourcePolicy", []string{"__ResourceArn__", url.PathEscape(arn("f"))}, "RevisionId", 204, ""},
		{"PutFunctionEventInvokeConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live", `"MaximumEventAgeInSeconds":1`, `"MaximumEventAgeInSeconds":60`, "__Destination__", arn("other")}, "", 200, "DestinationConfig"},
		{"UpdateFunctionEventInvokeConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live", `"MaximumEventAgeInSeconds":1`, `"MaximumEventAgeInSeconds":61`, "__Destination__", arn("other")}, "", 200, "FunctionArn"},
		{"GetFunctionEventInvokeConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 200, "LastModified"},
		{"ListFunctionEventInvokeConfigs", []string{"__FunctionName__", "f"}, "Marker", 200, "FunctionEventInvokeConfigs"},
		{"DeleteFunctionEventInvokeConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 204, ""},
		{"PutProvisionedConcurrencyConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 202, "Status"},
		{"GetProvisionedConcurrencyConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 200, "RequestedProvisionedConcurrentExecutions"},
		{"ListProvisionedConcurrencyConfigs", []string{"__FunctionName__", "f"}, "Marker", 200, "ProvisionedConcurrencyConfigs"},
		{"DeleteProvisionedConcurrencyConfig", []string{"__FunctionName__", "f", "__Qualifier__", "live"}, "", 204, ""},
		{"GetFunctionCodeSigningConfig", []string{"__FunctionName__", "f"}, "", 200, "FunctionName"},
		{"InvokeAsync", []string{"__FunctionName__", "f", "__InvokeArgs__", "{}"}, "", 202, "Status"},
		{"PutFunctionRecursionConfig", []string{"__FunctionName__", "f"}, "", 200, "RecursiveLoop"},
		{"GetFunctionRecursionConfig", []string{"__FunctionName__", "f"}, "", 200, "RecursiveLoop"},
		{"TagResource", []string{"__Resource__", url.PathEscape(arn("f"))}, "", 204, ""},
		{"ListTags", []string{"__Resource__", url.PathEscape(arn("f"))}, "", 200, "Tags"},
		{"UntagResource", []string{"__Resource__", url.PathEscape(arn("f"))}, "", 204, ""},
		{"CreateEventSourceMapping", []string{"__EventSourceArn__", queueARN, "__FunctionName__", "f", `"BatchSize":1`, `"BatchSize":100`, "__Pattern__", `{\"body\":[1]}`, `"MaximumConcurrency":1`, `"MaximumConcurrency":2`,
			`["ReportBatchItemFailures","ReportBatchItemFailures"]`, `["ReportBatchItemFailures"]`},
			"AmazonManagedKafkaEventSourceConfig BisectBatchOnFunctionError DestinationConfig DocumentDBEventSourceConfig KMSKeyArn LoggingConfig MaximumRecordAgeInSeconds MaximumRetryAttempts MetricsConfig ParallelizationFactor ProvisionedPollerConfig Queues SelfManagedEventSource SelfManagedKafkaEventSourceConfig SourceAccessConfigurations StartingPosition StartingPositionTimestamp Topics TumblingWindowInSeconds", 202, "UUID"},
		{"UpdateEventSourceMapping", []string{"__FunctionName__", "f", "__Pattern__", `{\"body\":[1]}`, `"MaximumConcurrency":1`, `"MaximumConcurrency":2`, `["ReportBatchItemFailures","ReportBatchItemFailures"]`, `["ReportBatchItemFailures"]`},
			"AmazonManagedKafkaEventSourceConfig BisectBatchOnFunctionError DestinationConfig DocumentDBEventSourceConfig KMSKeyArn LoggingConfig MaximumRecordAgeInSeconds MaximumRetryAttempts MetricsConfig ParallelizationFactor ProvisionedPollerConfig SelfManagedKafkaEventSourceConfig SourceAccessConfigurations TumblingWindowInSeconds", 202, "ScalingConfig"},
		{"GetEventSourceMapping", nil, "", 200, "FilterCriteria"},
		{"ListEventSourceMappings", []string{"__EventSourceArn__", url.QueryEscape(queueARN), "__FunctionName__", "f"}, "Marker", 200, "EventSourceMappings"},
		{"DeleteEventSourceMapping", nil, "", 202, "State"},
		{"GetAccountSettings", nil, "", 200, "AccountLimit"},
		{"PutRuntimeManagementConfig", []string{"__FunctionName__", "f", "__Qualifier__", "1", `"UpdateRuntimeOn":"Auto"`, `"UpdateRuntimeOn":"FunctionUpdate"`}, "RuntimeVersionArn", 200, "FunctionArn"},
		{"GetRuntimeManagementConfig", []string{"__FunctionName__", "f", "__Qualifier__", "1"}, "", 200, "UpdateRuntimeOn"},
		{"DeleteAlias", []string{"__FunctionName__", "f", "__Name__", "live"}, "", 204, ""},
		{"DeleteFunction", []string{"__FunctionName__", "f", "__Qualifier__", "1"}, "", 204, ""},
		{"DeleteLayerVersion", []string{"__LayerName__", "l"}, "", 204, ""},
	} {
		method, target, headers, body := recordedRequest(t, c.operation)
		fill := strings.NewReplacer(append(c.values, "__RevisionId__", revision(), "__UUID__", p.mappingID())...)
		target = without(fill.Replace(target), c.leave)
		if strings.HasPrefix(body, "{") {
			body = lessMembers(t, fill.Replace(body), c.leave)
		} else {
			body = fill.Replace(body)
		}
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
		for name, value := range headers {
			if !strings.Contains(" "+c.leave+" ", " "+name+" ") {
				r.Header.Set(name, strings.TrimPrefix(fill.Replace(": "+value), ": "))
			}
		}
		got := p.send(r)
		p.settle()
		if got.status != c.status {
			t.Errorf("%s: got %d %s %s, want %d\n%s %s\n%s", c.operation, got.status, got.header.Get("X-Amzn-Errortype"), got.body, c.status, method, target, body)
			continue
		}
		if c.member == "" {
			if got.body != "" {
				t.Errorf("%s: body %s", c.operation, got.body)
			}
		} else if got.members(t)[c.member] == nil {
			t.Errorf("%s: no %s in %s", c.operation, c.member, got.body)
		}
		served[c.operation] = true
	}
	// Nobody has recorded this one, as its answer is a stream; the tests of the whole send it by two SDKs.
	got := p.do("POST", "/2021-11-15/functions/other/response-streaming-invocations?Qualifier=%24LATEST", `{"a":1}`, "X-Amz-Log-Type", "Tail", "X-Amz-Client-Context", "e30=", "X-Amz-Invocation-Type", "RequestResponse")
	if m := messages(t, strings.NewReader(got.body)); got.status != 200 || len(m) != 2 || !strings.HasPrefix(m[1], "InvokeComplete:") {
		t.Errorf("InvokeWithResponseStream: got %d %q", got.status, m)
	} else {
		served["InvokeWithResponseStream"] = true
	}
	compareTable(t, served)
	// As recorded, with everything set, the first thing that kiln cannot do is named.
	_, _, _, all := recordedRequest(t, "CreateFunction")
	if got := p.do("POST", "/2015-03-31/functions", all); got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ValidationException" {
		t.Errorf("placeholders are no values: %d %s", got.status, got.body)
	}
}

// without takes parameters out of a query.
func without(target, names string) string {
	path, query, _ := strings.Cut(target, "?")
	var keep []string
	for _, pair := range strings.Split(query, "&") {
		if name, _, _ := strings.Cut(pair, "="); pair != "" && !strings.Contains(" "+names+" ", " "+name+" ") {
			keep = append(keep, pair)
		}
	}
	if len(keep) == 0 {
		return path
	}
	return path + "?" + strings.Join(keep, "&")
}

// lessMembers takes members out of a JSON object, at every level.
func lessMembers(t *testing.T, body, names string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var walk func(map[string]any)
	walk = func(m map[string]any) {
		for name, v := range m {
			if strings.Contains(" "+names+" ", " "+name+" ") {
				delete(m, name)
			} else if inner, ok := v.(map[string]any); ok {
				walk(inner)
			}
		}
	}
	walk(m)
	return text(t, m)
}
