package telemetry_test

import (
	"testing"
	"time"

	"kiln"
	"kiln/telemetry"
)

func TestEventsReadAsTheLinesOfAWS(t *testing.T) {
	source := &telemetry.Source{Version: "$LATEST"}
	const id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	report := kiln.Report{Duration: 933590 * time.Microsecond, Billed: 934 * time.Millisecond, MemoryMB: 128, MaxMemoryMB: 9, Status: kiln.StatusSuccess}
	cold, late, dead, failed := report, report, report, report
	cold.Init = 111230 * time.Microsecond
	late.Status, late.ErrorType = kiln.StatusTimeout, "Sandbox.Timedout"
	dead.Status, dead.ErrorType = kiln.StatusFailure, "Runtime.ExitError"
	failed.Status, failed.ErrorType = kiln.StatusError, "KeyError"
	const measured = "REPORT RequestId: " + id + "\tDuration: 933.59 ms\tBilled Duration: 934 ms\tMemory Size: 128 MB\tMax Memory Used: 9 MB"
	for _, c := range []struct {
		event telemetry.Event
		want  string
	}{
		{telemetry.Event{Type: telemetry.InitStart, Runtime: "python:3.12.v18", ARN: "arn:aws:lambda:eu-west-1::runtime:abc"}, "INIT_START Runtime Version: python:3.12.v18\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:abc"},
		{telemetry.Event{Type: telemetry.InitStart, Runtime: "image:sha256:ab"}, "INIT_START Runtime Version: image:sha256:ab"},
		{telemetry.Event{Type: telemetry.InitReport, Phase: "init", Report: kiln.Report{Init: 1236040 * time.Microsecond, Status: kiln.StatusTimeout}}, "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout"},
		{telemetry.Event{Type: telemetry.InitReport, Phase: "invoke", Report: kiln.Report{Init: time.Millisecond, Status: kiln.StatusFailure, ErrorType: "Runtime.ExitError"}}, "INIT_REPORT Init Duration: 1.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError"},
		{telemetry.Event{Type: telemetry.Start, Source: source, RequestID: id}, "START RequestId: " + id + " Version: $LATEST"},
		{telemetry.Event{Type: telemetry.End, RequestID: id}, "END RequestId: " + id},
		{telemetry.Event{Type: telemetry.Report, RequestID: id, Report: report}, measured + "\t"},
		{telemetry.Event{Type: telemetry.Report, RequestID: id, Report: cold}, measured + "\tInit Duration: 111.23 ms\t"},
		{telemetry.Event{Type: telemetry.Report, RequestID: id, Report: late}, measured + "\tStatus: timeout"},
		{telemetry.Event{Type: telemetry.Report, RequestID: id, Report: dead}, measured + "\tStatus: error\tError Type: Runtime.ExitError"},
		{telemetry.Event{Type: telemetry.Report, RequestID: id, Report: failed}, measured + "\t"},
		{telemetry.Event{Type: telemetry.Line, Line: []byte("as written\ttabs and all")}, "as written\ttabs and all"},
		{telemetry.Event{Type: telemetry.Dropped, Count: 12}, "LOGS_DROPPED Records: 12"},
		{telemetry.Event{Type: telemetry.InitReport, Phase: "init", Report: kiln.Report{Init: time.Millisecond, Status: kiln.StatusSuccess}}, "INIT_REPORT Init Duration: 1.00 ms\tPhase: init"},
		{telemetry.Event{Type: telemetry.Extension, Name: "x", State: "Ready", Names: []string{"INVOKE", "SHUTDOWN"}}, "EXTENSION\tName: x\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"},
		{telemetry.Event{Type: telemetry.Subscription, Name: "x", State: "Subscribed", Names: []string{"platform", "function"}}, "TELEMETRY\tName: x\tState: Subscribed\tTypes: [Platform, Function]"},
		{telemetry.Event{Type: telemetry.LogsSubscribed, Name: "x", State: "Subscribed", Names: []string{"platform"}}, "LOGS\tName: x\tState: Subscribed\tTypes: [Platform]"},
	} {
		if got := c.event.Text(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
