package telemetry_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/telemetry"
)

var (
	moment = time.Date(2022, 10, 12, 0, 0, 15, 64_400_000, time.UTC)
	source = &telemetry.Source{
		Function: kiln.FunctionID{Scope: kiln.Scope{Account: "1", Region: "r"}, Name: "billing"}, Version: "$LATEST",
		Stream: "2022/10/12/[$LATEST]0123", InitType: kiln.OnDemand, MemoryMB: 128,
		Logging: kiln.Logging{Format: kiln.FormatJSON, ApplicationLevel: kiln.LevelInfo, SystemLevel: kiln.LevelInfo},
	}
)

const trace = "Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1"

// recordOf gives the record of an event in a schema, and fails where its frame is wrong.
func recordOf(t *testing.T, e telemetry.Event, s telemetry.Schema) string {
	t.Helper()
	e.Time, e.Source = moment, source
	text := string(e.AppendJSON(nil, s))
	head := `{"time":"2022-10-12T00:00:15.064Z","type":"` + string(e.Type) + `","record":`
	record, ok := strings.CutPrefix(text, head)
	if !ok || !json.Valid([]byte(text)) {
		t.Fatalf("got %s", text)
	}
	return strings.TrimSuffix(record, "}")
}

func TestEventsAreTheObjectsOfAWS(t *testing.T) {
	const id = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	report := kiln.Report{Duration: 693919600 * time.Nanosecond, Billed: 694 * time.Millisecond, MemoryMB: 128, MaxMemoryMB: 84, Status: kiln.StatusSuccess}
	cold, late, dead := report, report, report
	cold.Init = 397680 * time.Microsecond
	late.Status, late.ErrorType = kiln.StatusTimeout, "Sandbox.Timedout"
	dead.Status, dead.ErrorType = kiln.StatusFailure, "Runtime.ExitError"
	spans := []telemetry.Span{{Name: telemetry.ResponseLatency, Start: moment, Duration: 23020 * time.Microsecond}}
	const (
		metrics = `"metrics":{"durationMs":693.92,"billedDurationMs":694,"memorySizeMB":128,"maxMemoryUsedMB":84`
		span    = `"spans":[{"name":"responseLatency","start":"2022-10-12T00:00:15.064Z","durationMs":23.02}]`
		traced  = `,"tracing":{"type":"X-Amzn-Trace-Id","value":"` + trace + `"}`
	)
	for _, c := range []struct {
		name   string
		event  telemetry.Event
		schema telemetry.Schema
		want   string
	}{
		{"initStart", telemetry.Event{Type: telemetry.InitStart, Phase: "init", Runtime: "nodejs:14.v3", ARN: "arn"}, telemetry.Newest,
			`{"initializationType":"on-demand","phase":"init","runtimeVersion":"nodejs:14.v3","runtimeVersionArn":"arn","functionName":"billing","functionVersion":"$LATEST","instanceId":"2022/10/12/[$LATEST]0123","instanceMaxMemory":134217728}`},
		{"initRuntimeDone", telemetry.Event{Type: telemetry.InitRuntimeDone, Phase: "init", Report: kiln.Report{Status: kiln.StatusError, ErrorType: "Runtime.ImportModuleError"}}, telemetry.Newest,
			`{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.ImportModuleError"}`},
		{"initReport", telemetry.Event{Type: telemetry.InitReport, Phase: "invoke", Report: kiln.Report{Init: 125330 * time.Microsecond, Status: kiln.StatusSuccess}}, telemetry.Newest,
			`{"initializationType":"on-demand","phase":"invoke","status":"success","metrics":{"durationMs":125.33}}`},
		{"start", telemetry.Event{Type: telemetry.Start, RequestID: id, ARN: "arn:f", Trace: trace, Tenant: "blue"}, telemetry.Newest,
			`{"requestId":"` + id + `","functionArn":"arn:f","version":"$LATEST"` + traced + `,"tenantId":"blue"}`},
		{"start of the Logs API", telemetry.Event{Type: telemetry.Start, RequestID: id, ARN: "arn:f", Trace: trace}, telemetry.Schema2020, `{"requestId":"` + id + `","version":"$LATEST"}`},
		{"runtimeDone", telemetry.Event{Type: telemetry.RuntimeDone, RequestID: id, Report: kiln.Report{Status: kiln.StatusSuccess, Duration: 140 * time.Millisecond}, Bytes: 16, Spans: spans, Trace: trace}, telemetry.Newest,
			`{"requestId":"` + id + `","status":"success",` + span + `,"metrics":{"durationMs":140,"producedBytes":16}` + traced + `}`},
		{"runtimeDone of the Logs API", telemetry.Event{Type: telemetry.RuntimeDone, RequestID: id, Report: late, Spans: spans}, telemetry.Schema2021, `{"requestId":"` + id + `","status":"timeout"}`},
		{"report", telemetry.Event{Type: telemetry.Report, RequestID: id, Report: report}, telemetry.Newest, `{"requestId":"` + id + `",` + metrics + `},"status":"success"}`},
		{"report of a cold start", telemetry.Event{Type: telemetry.Report, RequestID: id, Report: cold, Spans: spans}, telemetry.Newest,
			`{"requestId":"` + id + `",` + metrics + `,"initDurationMs":397.68},` + span + `,"status":"success"}`},
		{"report of a timeout", telemetry.Event{Type: telemetry.Report, RequestID: id, Report: late}, telemetry.Newest, `{"requestId":"` + id + `",` + metrics + `},"status":"timeout"}`},
		{"report of an exit", telemetry.Event{Type: telemetry.Report, RequestID: id, Report: dead}, telemetry.Newest, `{"requestId":"` + id + `",` + metrics + `},"status":"failure","errorType":"Runtime.ExitError"}`},
		{"report of the Logs API", telemetry.Event{Type: telemetry.Report, RequestID: id, Report: dead}, telemetry.Schema2021, `{"requestId":"` + id + `",` + metrics + `}}`},
		{"end", telemetry.Event{Type: telemetry.End, RequestID: id}, telemetry.Schema2020, `{"requestId":"` + id + `"}`},
		{"fault", telemetry.Event{Type: telemetry.Fault, Line: []byte("RequestId: x\nRuntime.ExitError")}, telemetry.Schema2020, `"RequestId: x\nRuntime.ExitError"`},
		{"extension", telemetry.Event{Type: telemetry.Extension, Name: "x", State: "Ready", Names: []string{"INVOKE", "SHUTDOWN"}}, telemetry.Newest, `{"name":"x","state":"Ready","events":["INVOKE","SHUTDOWN"]}`},
		{"extension without events", telemetry.Event{Type: telemetry.Extension, Name: "x", State: "Registered"}, telemetry.Newest, `{"name":"x","state":"Registered","events":[]}`},
		{"subscription", telemetry.Event{Type: telemetry.Subscription, Name: "x", State: "Subscribed", Names: []string{"platform"}}, telemetry.Newest, `{"name":"x","state":"Subscribed","types":["platform"]}`},
		{"dropped", telemetry.Event{Type: telemetry.Dropped, Count: 123, Bytes: 12345, Reason: "slow"}, telemetry.Newest, `{"reason":"slow","droppedRecords":123,"droppedBytes":12345}`},
		{"a line of text", telemetry.Event{Type: telemetry.Line, Line: []byte("a \"b\"\n\x1b[31m\xff")}, telemetry.Newest, `"a \"b\"\n\u001b[31m` + "\ufffd" + `"`},
		{"a line of JSON", telemetry.Event{Type: telemetry.Line, Line: []byte(`{"level":"INFO"}`)}, telemetry.Schema2212, `{"level":"INFO"}`},
		{"a line of JSON in an old schema", telemetry.Event{Type: telemetry.Line, Line: []byte(`{"level":"INFO"}`)}, telemetry.Schema2022, `"{\"level\":\"INFO\"}"`},
		{"half a line of JSON", telemetry.Event{Type: telemetry.ExtensionLine, Line: []byte(`{"level":"INFO"},{}`)}, telemetry.Newest, `"{\"level\":\"INFO\"},{}"`},
	} {
		if got := recordOf(t, c.event, c.schema); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestALineOfAFunctionWithoutJSONStaysTextInEverySchema(t *testing.T) {
	e := telemetry.Event{Time: moment, Type: telemetry.Line, Source: &telemetry.Source{}, Line: []byte(`{"a":1}`)}
	if got, want := string(e.AppendJSON(nil, telemetry.Newest)), `{"time":"2022-10-12T00:00:15.064Z","type":"function","record":"{\"a\":1}"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheLogHasTheEventsOfItsFormatAndLevel(t *testing.T) {
	good, bad := kiln.Report{Status: kiln.StatusSuccess}, kiln.Report{Status: kiln.StatusTimeout}
	events := []telemetry.Event{
		{Type: telemetry.InitStart, Runtime: "x", Phase: "invoke"}, {Type: telemetry.InitStart, Runtime: "x"}, {Type: telemetry.InitRuntimeDone, Report: good}, {Type: telemetry.InitRuntimeDone, Report: bad},
		{Type: telemetry.InitReport, Report: good}, {Type: telemetry.InitReport, Report: bad}, {Type: telemetry.Start},
		{Type: telemetry.RuntimeDone, Report: good}, {Type: telemetry.RuntimeDone, Report: bad}, {Type: telemetry.End},
		{Type: telemetry.Report, Report: good}, {Type: telemetry.Report, Report: bad}, {Type: telemetry.Fault}, {Type: telemetry.Extension},
		{Type: telemetry.Subscription}, {Type: telemetry.LogsSubscribed}, {Type: telemetry.Dropped},
		{Type: telemetry.Line, Level: "DEBUG"}, {Type: telemetry.Line}, {Type: telemetry.ExtensionLine, Level: "WARN"}, {Type: telemetry.Line, Level: "FATAL"},
	}
	for _, c := range []struct {
		name    string
		logging kiln.Logging
		init    kiln.InitType
		want    string // one character an event
	}{
		{"text", kiln.Logging{}, kiln.OnDemand, "-x---xx--xxxxxxxxxxxx"},
		{"text, provisioned", kiln.Logging{}, kiln.Provisioned, "-x--xxx--xxxxxxxxxxxx"},
		{"DEBUG", kiln.Logging{Format: "JSON", ApplicationLevel: "TRACE", SystemLevel: "DEBUG"}, kiln.OnDemand, "-xxxxxxxx-xxxxxxxxxxx"},
		{"INFO", kiln.Logging{Format: "JSON", ApplicationLevel: "INFO", SystemLevel: "INFO"}, kiln.OnDemand, "-x-x-xx-x-xxxxxxx-xxx"},
		{"INFO, provisioned", kiln.Logging{Format: "JSON", ApplicationLevel: "INFO", SystemLevel: "INFO"}, kiln.Provisioned, "-x-xxxx-x-xxxxxxx-xxx"},
		{"WARN", kiln.Logging{Format: "JSON", ApplicationLevel: "WARN", SystemLevel: "WARN"}, kiln.OnDemand, "---x-x--x--xx---x--xx"},
		{"FATAL", kiln.Logging{Format: "JSON", ApplicationLevel: "FATAL", SystemLevel: "WARN"}, kiln.OnDemand, "---x-x--x--xx---x---x"},
	} {
		got := ""
		for _, e := range events {
			e.Source = &telemetry.Source{Logging: c.logging, InitType: c.init}
			if e.Logged() {
				got += "x"
			} else {
				got += "-"
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheLevelOfALineIsWhatAWSFindsInIt(t *testing.T) {
	const at = `"timestamp":"2024-11-02T16:51:31.587199Z"`
	for line, want := range map[string]string{
		`{"level":"debug","msg":"x",` + at + `}`:                  "DEBUG",
		`{"level":"TRACE",` + at + `}`:                            "TRACE",
		` {"level":"Warning","time":"2024-11-02T16:51:31+01:00"}`: "WARN",
		`{"log_level":"critical",` + at + `}`:                     "FATAL",
		`{"level":"ERROR","timestamp":"2024-11-02 16:51"}`:        "INFO", // no time of RFC 3339
		`{"level":"ERROR"}`:                                       "INFO",
		`{"level":17,` + at + `}`:                                 "INFO",
		`{"level":"loud",` + at + `}`:                             "INFO",
		`{"level":"ERROR",` + at + `} x`:                          "INFO",
		`["level"]`:                                               "INFO", `plain ERROR`: "INFO", ``: "INFO",
	} {
		if got := telemetry.LevelOf([]byte(line)); got != want {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}

func TestASchemaShowsTheTypesThatItHas(t *testing.T) {
	all := []telemetry.Type{telemetry.InitStart, telemetry.InitRuntimeDone, telemetry.InitReport, telemetry.Start, telemetry.RuntimeDone, telemetry.End, telemetry.Report,
		telemetry.Fault, telemetry.Extension, telemetry.Subscription, telemetry.LogsSubscribed, telemetry.Dropped, telemetry.Line, telemetry.ExtensionLine}
	for schema, want := range map[telemetry.Schema]string{
		telemetry.Schema2020: "---x-xxxx-xxxx", telemetry.Schema2021: "---xxxxxx-xxxx",
		telemetry.Schema2022: "xxxxx-x-xx-xxx", telemetry.Schema2212: "xxxxx-x-xx-xxx", telemetry.Schema2025: "xxxxx-x-xx-xxx",
	} {
		got := ""
		for _, typ := range all {
			if schema.Shows(typ) {
				got += "x"
			} else {
				got += "-"
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", schema, got, want)
		}
	}
}
