package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// wheels installs packages for a version of Python into a folder.
func wheels(t testing.TB, dir, py string, packages ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	install(t, dir, pythonAbs(t), append([]string{"-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--python-version", strings.TrimPrefix(py, "python"),
		"--implementation", "cp", "--target", dir}, packages...)...)
}

const withPowertools = `
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="shop")
metrics = Metrics(namespace="Shop", service="shop")

@logger.inject_lambda_context(log_event=True)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    logger.info("sold", extra={"items": 2})
    metrics.add_metric(name="Sold", unit=MetricUnit.Count, value=2)
    return {"module": logger.__class__.__module__}
`

// The library that AWS publishes as a layer runs from one, as it is in the registry.
func TestAPublishedLibraryRunsFromALayer(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	dir := t.TempDir()
	wheels(t, filepath.Join(dir, "python"), py, "aws-lambda-powertools==3.27.0", "jmespath==1.0.1", "typing-extensions==4.15.0")
	create(t, c, "shop", py, "app.handler", zipOf(t, file{Name: "app.py", Text: withPowertools}), layers(layer(t, c, "powertools", zipDir(t, dir))), memory(256), timeout(30))
	out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Payload: []byte(`{"order": 7}`), LogType: types.LogTypeTail})
	if err != nil || out.FunctionError != nil {
		t.Fatalf("%v, %s", err, payloadOf(out))
	}
	found := map[string]bool{}
	for _, line := range strings.Split(tail(out), "\n") {
		var record struct {
			Message           any    `json:"message"`
			RequestID         string `json:"function_request_id"`
			ColdStart         *bool  `json:"cold_start"`
			FunctionARN       string `json:"function_arn"`
			Sold              []float64
			FunctionName      string    `json:"function_name"`
			AWS               any       `json:"_aws"`
			ColdStartMeasured []float64 `json:"ColdStart"`
		}
		if json.Unmarshal([]byte(line), &record) != nil {
			continue
		}
		if record.Message == "sold" && record.ColdStart != nil && *record.ColdStart && record.FunctionARN == arnOf("shop") && len(record.RequestID) == 36 {
			found["a record with its context"] = true
		}
		if len(record.Sold) == 1 && record.Sold[0] == 2 && record.AWS != nil {
			found["a metric"] = true
		}
		if len(record.ColdStartMeasured) == 1 && record.FunctionName == "shop" {
			found["the cold start"] = true
		}
	}
	if len(found) != 3 {
		t.Errorf("found %v in\n%s", found, tail(out))
	}
}

// AWS's own client of the Runtime API, with its native part, runs functions here.
func TestTheClientThatAWSPublishesForPythonRunsFunctions(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	dir := t.TempDir()
	wheels(t, filepath.Join(dir, "python"), py, "awslambdaric==4.2.2", "simplejson==3.20.2", "snapshot-restore-py==1.0.0")
	create(t, c, "with-ric", py, "app.handler", zipOf(t,
		file{Name: "ric", Text: "#!/bin/sh\nexport PYTHONPATH=/opt/python\nexec \"$1\" -m awslambdaric \"$_HANDLER\"\n", Mode: 0o755},
		file{Name: "app.py", Text: `
import sys
def handler(event, context):
    if event.get("fail"):
        raise KeyError("as asked")
    print("hello")
    return {"client": "awslambdaric" in sys.modules, "name": context.function_name, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis() > 1000, "arn": context.invoked_function_arn}
`}), layers(layer(t, c, "ric", zipDir(t, dir))), variables(map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/ric"}), timeout(30), memory(256))
	for range 3 {
		var got struct {
			Client, Left  bool
			Name, ID, ARN string
		}
		text := answer(t, c, "with-ric", `{}`)
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Client || !got.Left || got.Name != "with-ric" || len(got.ID) != 36 || got.ARN != arnOf("with-ric") {
			t.Errorf("got %s, %v", text, err)
		}
	}
	if kind, message := failure(t, c, "with-ric", `{"fail": true}`); kind != "KeyError" || message != "'as asked'" {
		t.Errorf("got %s %s", kind, message)
	}
}
