package api_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/door/api"
	"kiln/engine/catalog"
	"kiln/engine/mapping"
)

// silent is a source whose queues have no messages. Those named none are not there.
type silent struct{}

func (silent) Check(_ context.Context, m *kiln.Mapping, _ time.Duration) error {
	if strings.HasSuffix(m.Source, ":none") {
		return kiln.Errorf(kiln.Invalid, "The specified queue does not exist.")
	}
	return nil
}

func (silent) Open(context.Context, *kiln.Mapping) ([]mapping.Lane, error) {
	return []mapping.Lane{silence{}}, nil
}

// silence is a lane that never has anything.
type silence struct{}

func (silence) Read(ctx context.Context, _ int, _ time.Duration) ([]mapping.Record, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silence) Commit(context.Context, []mapping.Record, []mapping.Record) error { return nil }

func (silence) Terms() mapping.Terms { return mapping.Terms{Hold: time.Minute} }

// newMappings gives the mappings of a port.
func newMappings(t testing.TB, c *catalog.Catalog, i *invoker) *mapping.Manager {
	t.Helper()
	m := mapping.New(mapping.Options{Book: c, Invoker: i, Sources: map[string]mapping.Source{"sqs": silent{}}})
	m.Start()
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

var home = kiln.Scope{Account: account, Region: region}

// mappingID gives the UUID of the only mapping, "" when there is none.
func (p *port) mappingID() string {
	for _, m := range p.mappings.Mappings(home) {
		return m.ID
	}
	return ""
}

// settled reports whether no mapping is between two states.
func (p *port) settled() bool {
	for _, m := range p.mappings.Mappings(home) {
		if m.State != kiln.MappingEnabled && m.State != kiln.MappingDisabled {
			return false
		}
	}
	return true
}

const queueARN = "arn:aws:sqs:" + region + ":" + account + ":work"

func TestMappingsAreMadeChangedAndDeleted(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	p.create("g", nil)
	const all = "/2015-03-31/event-source-mappings"
	made := wants(t, "create", p.do("POST", all, `{"FunctionName":"f","EventSourceArn":"`+queueARN+`","Tags":{"a":"b"}}`), 202).members(t)
	id := made["UUID"].(string)
	for name, want := range map[string]any{
		"BatchSize": 10.0, "EventSourceArn": queueARN, "EventSourceMappingArn": "arn:aws:lambda:" + region + ":" + account + ":event-source-mapping:" + id,
		"FunctionArn": arn("f"), "MaximumBatchingWindowInSeconds": 0.0, "State": "Creating", "StateTransitionReason": "USER_INITIATED",
	} {
		if made[name] != want {
			t.Errorf("%s is %v, want %v", name, made[name], want)
		}
	}
	if types, ok := made["FunctionResponseTypes"].([]any); !ok || len(types) != 0 || made["FilterCriteria"] != nil || made["ScalingConfig"] != nil || made["LastModified"].(float64) < 1e9 {
		t.Errorf("got %v", made)
	}
	p.settle()
	refused(t, "the same again", p.do("POST", all, `{"FunctionName":"`+arn("f")+`","EventSourceArn":"`+queueARN+`"}`), 409, "ResourceConflictException",
		`An event source mapping with SQS arn (" `+queueARN+` ") and function (" f ") already exists. Please update or delete the existing mapping with UUID `+id)
	for body, want := range map[string]string{
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","BatchSize":11}`:                                 "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","FilterCriteria":{"Filters":[{"Pattern":"x"}]}}`: "Invalid filter pattern definition.",
		`{"FunctionName":"f","EventSourceArn":"arn:aws:sqs:` + region + `:` + account + `:none"}`:                  "The specified queue does not exist.",
		`{"FunctionName":"f","EventSourceArn":"arn:aws:sns:` + region + `:` + account + `:topic"}`:                 "Unrecognized event source.",
		`{"FunctionName":"f"}`: "Unrecognized event source.",
		`{"FunctionName":"f","EventSourceArn":"arn:aws:kinesis:` + region + `:` + account + `:stream/s"}`:                                                    "kiln does not support kinesis as the source of a mapping yet; it reads from SQS.",
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","BisectBatchOnFunctionError":true}`:                                                        "Unsupported BisectBatchOnFunctionError parameter for given event source mapping type.",
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","KMSKeyArn":"arn:aws:kms:eu-west-1:111111111111:key/1"}`:                                   "kiln does not support KMSKeyArn yet.",
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","ProvisionedPollerConfig":{"MinimumPollers":2}}`:                                           "kiln does not support ProvisionedPollerConfig yet.",
		`{"FunctionName":"f","EventSourceArn":"` + queueARN + `2","DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sqs:eu-west-1:111111111111:x"}}}`: "Unsupported DestinationConfig parameter for given event source mapping type.",
	} {
		refused(t, body, p.do("POST", all, body), 400, "InvalidParameterValueException", want)
	}
	refused(t, "no function", p.do("POST", all, `{"FunctionName":"no","EventSourceArn":"`+queueARN+`"}`), 400, "InvalidParameterValueException", "Function does not exist")
	refused(t, "no mapping", p.do("GET", all+"/0a0a0a0a-1b1b-4c4c-8d8d-0e0e0e0e0e0e", ""), 404, "ResourceNotFoundException", "The resource you requested does not exist.")

	changed := wants(t, "update", p.do("PUT", all+"/"+id, `{"BatchSize":100,"MaximumBatchingWindowInSeconds":5,"FilterCriteria":{"Filters":[{"Pattern":"{\"body\":[1]}"}]},
		"FunctionResponseTypes":["ReportBatchItemFailures"],"ScalingConfig":{"MaximumConcurrency":2},"FunctionName":"g"}`), 202).members(t)
	if changed["State"] != "Updating" || changed["BatchSize"] != 100.0 || changed["FunctionArn"] != arn("g") || changed["FilterCriteria"] == nil || changed["ScalingConfig"] == nil || len(changed["FunctionResponseTypes"].([]any)) != 1 {
		t.Errorf("got %v", changed)
	}
	p.settle()
	refused(t, "no window", p.do("PUT", all+"/"+id, `{"MaximumBatchingWindowInSeconds":0}`), 400, "InvalidParameterValueException",
		"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	off := wants(t, "off", p.do("PUT", all+"/"+id, `{"Enabled":false,"ScalingConfig":{},"FunctionResponseTypes":[],"FilterCriteria":{}}`), 202).members(t)
	if off["State"] != "Disabling" || off["ScalingConfig"] != nil || off["FilterCriteria"] != nil || len(off["FunctionResponseTypes"].([]any)) != 0 {
		t.Errorf("got %v", off)
	}
	p.settle()

	mappingARN := made["EventSourceMappingArn"].(string)
	wants(t, "tag", p.do("POST", "/2017-03-31/tags/"+url.PathEscape(mappingARN), `{"Tags":{"c":"d"}}`), 204)
	wants(t, "untag", p.do("DELETE", "/2017-03-31/tags/"+url.PathEscape(mappingARN)+"?tagKeys=a", ""), 204)
	if got := p.do("GET", "/2017-03-31/tags/"+url.PathEscape(mappingARN), ""); got.body != `{"Tags":{"c":"d"}}` {
		t.Errorf("tags: %s", got.body)
	}
	p.settle()

	for query, want := range map[string]int{"": 1, "?FunctionName=g": 1, "?FunctionName=f": 0, "?EventSourceArn=" + url.QueryEscape(queueARN): 1, "?EventSourceArn=" + url.QueryEscape(queueARN+"2"): 0} {
		if list := wants(t, query, p.do("GET", all+query, ""), 200).members(t)["EventSourceMappings"].([]any); len(list) != want {
			t.Errorf("%s: %d mappings, want %d", query, len(list), want)
		}
	}
	if got := p.do("DELETE", all+"/"+id, ""); got.status != 202 || got.members(t)["State"] != "Deleting" {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	if got := p.do("DELETE", all+"/"+id, ""); got.status != 404 && (got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ResourceInUseException") {
		t.Errorf("delete again: %d %s", got.status, got.body)
	}
	p.settle()
	if got := p.mappingID(); got != "" {
		t.Errorf("%s is still there", got)
	}
}

func TestAServerWithoutMappingsSaysSo(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Mappings = nil })
	for _, c := range [][3]string{{"POST", "", `{"FunctionName":"f","EventSourceArn":"` + queueARN + `"}`}, {"GET", "", ""}, {"GET", "/0a0a0a0a-1b1b-4c4c-8d8d-0e0e0e0e0e0e", ""}, {"DELETE", "/0a0a0a0a-1b1b-4c4c-8d8d-0e0e0e0e0e0e", ""}, {"PUT", "/0a0a0a0a-1b1b-4c4c-8d8d-0e0e0e0e0e0e", "{}"}} {
		refused(t, c[0], p.do(c[0], "/2015-03-31/event-source-mappings"+c[1], c[2]), 501, "NotImplementedException", "This server has no event source mappings.")
	}
}
