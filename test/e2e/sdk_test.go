package e2e_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestTheGoSDKRunsAFunctionThroughItsWholeLife(t *testing.T) {
	s := start(t)
	c, ctx := s.client(), within(t, 4*time.Minute)
	py := needPython(t)
	name := aws.String("life")
	first := zipOf(t, file{Name: "app.py", Text: "def handler(event, context):\n    print('hello from the log')\n    return {'got': event, 'v': 1, 'arn': context.invoked_function_arn}\n"})
	create(t, c, "life", py, "app.handler", first)

	out := invoke(t, c, "life", `{"k":"ü"}`)
	// AWS's Python client escapes what is not ASCII up to Python 3.11.
	if got, want := strings.ReplaceAll(string(out.Payload), `\u00fc`, "ü"), `{"got": {"k": "ü"}, "v": 1, "arn": "arn:aws:lambda:eu-west-1:111111111111:function:life"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	log := tail(out)
	for _, want := range []string{"START RequestId: ", "Version: $LATEST", "hello from the log\n", "END RequestId: ", "REPORT RequestId: ", "\tInit Duration: ", "Memory Size: 128 MB"} {
		if !strings.Contains(log, want) {
			t.Errorf("the tail lacks %q:\n%s", want, log)
		}
	}
	if aws.ToString(out.ExecutedVersion) != "$LATEST" {
		t.Errorf("executed version %q", aws.ToString(out.ExecutedVersion))
	}

	fn, err := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Get(aws.ToString(fn.Code.Location))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, first) {
		t.Errorf("the download URL gave %d bytes (status %s, %v), want the %d that were uploaded", len(got), r.Status, err, len(first))
	}

	v1, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: aws.String("prod"), FunctionVersion: v1.Version}); err != nil {
		t.Fatal(err)
	}
	second := zipOf(t, file{Name: "app.py", Text: "def handler(event, context):\n    return {'v': 2, 'arn': context.invoked_function_arn, 'version': context.function_version}\n"})
	if _, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: second}); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, c, "life", `{}`); got != `{"v": 2, "arn": "arn:aws:lambda:eu-west-1:111111111111:function:life", "version": "$LATEST"}` {
		t.Errorf("after the update: %s", got)
	}
	if got := answer(t, c, "life:prod", `{}`); !strings.Contains(got, `"v": 1`) || !strings.Contains(got, ":function:life:prod") {
		t.Errorf("the alias ran %s, want version 1 with the alias's ARN", got)
	}
	if _, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, MemorySize: aws.Int32(256), Environment: &types.Environment{Variables: map[string]string{"KEY": "value"}}}); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if log := tail(invoke(t, c, "life", `{}`)); !strings.Contains(log, "Memory Size: 256 MB") {
		t.Errorf("the new memory size is not in the report:\n%s", log)
	}
	if _, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, InvocationType: types.InvocationTypeDryRun}); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if _, err := c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name}); err != nil {
		t.Fatal(err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: name}); !errors.As(err, &missing) || missing.ErrorMessage() != "Function not found: arn:aws:lambda:eu-west-1:111111111111:function:life" {
		t.Errorf("after deletion: %v", err)
	}
}

func TestReservedConcurrencyIsEnforced(t *testing.T) {
	s := start(t)
	c, ctx := s.client(), within(t, 2*time.Minute)
	create(t, c, "limited", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    return 1\n"}))
	if _, err := c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("limited"), ReservedConcurrentExecutions: aws.Int32(0)}); err != nil {
		t.Fatal(err)
	}
	once := func(o *lambda.Options) { o.RetryMaxAttempts = 1 }
	var slow *types.TooManyRequestsException
	_, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("limited")}, once)
	if !errors.As(err, &slow) || slow.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded || slow.ErrorMessage() != "Rate Exceeded." {
		t.Errorf("with a reserved concurrency of 0: %v", err)
	}
	if _, err := c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("limited")}); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, c, "limited", `{}`); got != "1" {
		t.Errorf("without the limit: %s", got)
	}
}

func TestBoto3RunsAFunctionThroughItsWholeLife(t *testing.T) {
	s := start(t)
	client(t, s, pythonClient(t), "testdata/boto_life.py", needPython(t))
}

func TestTheAWSCommandLineRunsAFunction(t *testing.T) {
	s := start(t)
	pythonClient(t)
	client(t, s, "bash", "testdata/aws_cli.sh", needPython(t))
}

// pythonClient is the interpreter that has boto3 and the aws command beside it.
func pythonClient(t testing.TB) string {
	t.Helper()
	p := "../../.cache/venv/bin/python"
	if _, err := os.Stat(p); err != nil {
		t.Fatal("run test/setup.sh first: it installs boto3 and the aws command")
	}
	return p
}

// client runs a client program of testdata against the server.
func client(t testing.TB, s *server, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(within(t, 4*time.Minute), program, args...)
	cmd.Env = s.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
