package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// evented is a function that says what it does with each event in its log.
const evented = `
import json, os, time, urllib.request

def handler(event, context):
    print("EVENT", json.dumps(event), flush=True)
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("fail"):
        raise ValueError("as asked")
    if event.get("again"):  # one more event for itself, as an SDK would send it
        url = os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/" + context.function_name + "/invocations"
        body = json.dumps(dict(event, again=event["again"] - 1)).encode()
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST", headers={
            "X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"], "X-Amz-Invocation-Type": "Event",
            "X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"]}))
    return {"did": event}
`

// send hands over an event.
func send(t testing.TB, c *lambda.Client, name, payload string) {
	t.Helper()
	out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(name), InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != 202 || len(out.Payload) != 0 || out.ExecutedVersion != nil || out.FunctionError != nil {
		t.Errorf("got %d %q %+v", out.StatusCode, out.Payload, out)
	}
}

// events gives what a function said of its events, from its log.
func events(t testing.TB, s *server, name string) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/_kiln/v1/logs?limit=100000&function="+url.QueryEscape(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	credentials := aws.Credentials{AccessKeyID: "111111111111", SecretAccessKey: "x"}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, request, empty, "lambda", "eu-west-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var all []string
	for d := json.NewDecoder(r.Body); ; {
		var line struct{ Text string }
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := strings.CutPrefix(line.Text, "EVENT "); ok {
			all = append(all, text)
		}
	}
}

func TestAnEventRunsAndItsDestinationIsTold(t *testing.T) {
	python := needPython(t)
	s := start(t)
	c := s.client()
	code := zipOf(t, file{Name: "app.py", Text: evented})
	create(t, c, "worker", python, "app.handler", code)
	create(t, c, "told", python, "app.handler", code)
	zero := int32(0)
	_, err := c.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: aws.String("worker"), MaximumRetryAttempts: &zero, DestinationConfig: &types.DestinationConfig{
			OnSuccess: &types.OnSuccess{Destination: aws.String(arnOf("told"))}, OnFailure: &types.OnFailure{Destination: aws.String(arnOf("told"))},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, "worker", `{"n": 1}`)
	send(t, c, "worker", `{"n": 2, "fail": true}`)
	var records []string
	eventually(t, time.Minute, "both records are there", func() bool { records = events(t, s, "told"); return len(records) == 2 })
	all := strings.Join(records, "\n")
	for _, want := range []string{
		`"condition": "Success", "approximateInvokeCount": 1}, "requestPayload": {"n": 1}`, `"responsePayload": {"did": {"n": 1}}`,
		`"condition": "RetriesExhausted", "approximateInvokeCount": 1}, "requestPayload": {"n": 2, "fail": true}`, `"functionError": "Unhandled"`, `"errorType": "ValueError"`,
		`"functionArn": "` + arnOf("worker") + `:$LATEST"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
	if got := events(t, s, "worker"); len(got) != 2 {
		t.Errorf("called with %v", got)
	}

	var refused *types.ResourceNotFoundException
	if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("nobody"), InvocationType: types.InvocationTypeEvent}); !errors.As(err, &refused) {
		t.Errorf("an event for nobody: %v", err)
	}
	if kind, message := apiError(t, second(c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker"), InvocationType: types.InvocationTypeEvent,
		Payload: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}))); kind != "RequestEntityTooLargeException" || !strings.Contains(message, "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)") {
		t.Errorf("got %s %s", kind, message)
	}
}

// second gives the error of a call whose answer does not matter.
func second[T any](_ T, err error) error { return err }

func TestEventsThatWereAcceptedSurviveKillsOfTheServer(t *testing.T) {
	python := needPython(t)
	data := t.TempDir()
	s := startIn(t, data)
	create(t, s.client(), "worker", python, "app.handler", zipOf(t, file{Name: "app.py", Text: evented}), timeout(60))
	two := int32(2)
	if _, err := s.client().PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("worker"), ReservedConcurrentExecutions: &two}); err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	const rounds, each = 3, 15
	for round := range rounds {
		for n := range each {
			event := fmt.Sprintf(`{"id": "%d-%d", "sleep": 0.1}`, round, n)
			send(t, s.client(), "worker", event)
			accepted[event] = true
		}
		eventually(t, time.Minute, "some have run", func() bool { return len(events(t, s, "worker")) > round*each })
		if left := len(accepted) - len(events(t, s, "worker")); left < each/2 {
			t.Errorf("round %d: only %d events were left when the server was killed", round, left)
		}
		s.kill(t)
		s = startIn(t, data)
	}
	eventually(t, 2*time.Minute, "every event has run", func() bool {
		ran := map[string]bool{}
		for _, e := range events(t, s, "worker") {
			ran[e] = true
		}
		return len(ran) == len(accepted)
	})
}

func TestALoopOfEventsEndsUnlessItIsAllowed(t *testing.T) {
	python := needPython(t)
	s := start(t)
	c := s.client()
	code := zipOf(t, file{Name: "app.py", Text: evented})
	for _, name := range []string{"looping", "allowed"} {
		create(t, c, name, python, "app.handler", code)
	}
	out, err := c.PutFunctionRecursionConfig(t.Context(), &lambda.PutFunctionRecursionConfigInput{FunctionName: aws.String("allowed"), RecursiveLoop: types.RecursiveLoopAllow})
	if err != nil || out.RecursiveLoop != types.RecursiveLoopAllow {
		t.Fatalf("got %+v, %v", out, err)
	}
	send(t, c, "looping", `{"again": 30}`)
	send(t, c, "allowed", `{"again": 30}`)
	eventually(t, time.Minute, "the loop that is allowed is over", func() bool { return len(events(t, s, "allowed")) == 31 })
	eventually(t, time.Minute, "the other one was ended", func() bool { return len(events(t, s, "looping")) >= 16 })
	time.Sleep(time.Second) // for what must not come any more
	if n := len(events(t, s, "looping")); n != 16 {
		t.Errorf("it was called %d times, want 16", n)
	}
}

func TestEventPoliciesTagsAndTheAccountByTheSDK(t *testing.T) {
	s := start(t)
	c := s.client()
	create(t, c, "f", "provided.al2023", "bootstrap", goFunction(t, "gofn"), func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"a": "1"} })
	ctx, f := t.Context(), aws.String("f")
	get := func() (*lambda.GetFunctionEventInvokeConfigOutput, error) {
		return c.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: f})
	}
	if kind, message := apiError(t, second(get())); kind != "ResourceNotFoundException" || message != "The function "+arnOf("f")+":$LATEST doesn't have an EventInvokeConfig" {
		t.Errorf("got %s %s", kind, message)
	}
	one, age := int32(1), int32(60)
	if _, err := c.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: f, MaximumRetryAttempts: &one}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateFunctionEventInvokeConfig(ctx, &lambda.UpdateFunctionEventInvokeConfigInput{FunctionName: f, MaximumEventAgeInSeconds: &age}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(); err != nil || *got.MaximumRetryAttempts != 1 || *got.MaximumEventAgeInSeconds != 60 || *got.FunctionArn != arnOf("f")+":$LATEST" {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, to := range map[string]string{
		"You can't specify the function as a destination for itself.":                                                                                      arnOf("f"),
		"The destination ARN " + arnOf("nobody") + " is invalid.":                                                                                          arnOf("nobody"),
		"The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:iam::111111111111:role/x), onFailure=null) is invalid.": "arn:aws:iam::111111111111:role/x",
	} {
		_, err := c.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: f, DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &to}}})
		if kind, message := apiError(t, err); kind != "InvalidParameterValueException" || message != text {
			t.Errorf("got %s %s, want %s", kind, message, text)
		}
	}
	list, err := c.ListFunctionEventInvokeConfigs(ctx, &lambda.ListFunctionEventInvokeConfigsInput{FunctionName: f})
	if err != nil || len(list.FunctionEventInvokeConfigs) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := c.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: f}); err != nil {
		t.Error(err)
	}
	if _, err := get(); err == nil {
		t.Error("it is still there")
	}

	arn := aws.String(arnOf("f"))
	if _, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: arn, Tags: map[string]string{"b": "2", "kiln:network": "none"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: arn, TagKeys: []string{"a", "not there"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ListTags(ctx, &lambda.ListTagsInput{Resource: arn}); err != nil || len(got.Tags) != 2 || got.Tags["b"] != "2" {
		t.Errorf("got %+v, %v", got, err)
	}
	account, err := c.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil || account.AccountUsage.FunctionCount != 1 || account.AccountUsage.TotalCodeSize == 0 || account.AccountLimit.ConcurrentExecutions != 1000 || *account.AccountLimit.UnreservedConcurrentExecutions != 1000 {
		t.Errorf("got %+v %+v, %v", account.AccountLimit, account.AccountUsage, err)
	}
}
