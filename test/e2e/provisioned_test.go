package e2e_test

import (
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// slowStart takes its time to start and tells how it was started.
const slowStart = `
import os, time
if os.environ.get("BROKEN"):
    raise RuntimeError("as asked")
time.sleep(1)
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
`

func TestProvisionedConcurrencyIsInitialisedAheadAndSpillsOver(t *testing.T) {
	python := needPython(t)
	s := start(t)
	c := s.client()
	ctx, f := t.Context(), aws.String("slow")
	create(t, c, "slow", python, "app.handler", zipOf(t, file{Name: "app.py", Text: slowStart}), timeout(30))
	if _, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: f}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: f, Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	put := func(qualifier string, n int32) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
		return c.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n})
	}
	for qualifier, text := range map[string]string{
		"$LATEST": "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
	} {
		_, err := put(qualifier, 1)
		if kind, message := apiError(t, err); kind != "InvalidParameterValueException" || message != text {
			t.Errorf("%s: got %s %s", qualifier, kind, message)
		}
	}
	status := func() *lambda.GetProvisionedConcurrencyConfigOutput {
		t.Helper()
		out, err := c.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: aws.String("live")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out, err := put("live", 2)
	if err != nil || out.Status != types.ProvisionedConcurrencyStatusEnumInProgress || *out.RequestedProvisionedConcurrentExecutions != 2 || *out.AllocatedProvisionedConcurrentExecutions != 0 {
		t.Fatalf("got %+v, %v", out, err)
	}
	eventually(t, time.Minute, "both environments are ready", func() bool { return status().Status == types.ProvisionedConcurrencyStatusEnumReady })
	if got := status(); *got.AllocatedProvisionedConcurrentExecutions != 2 || *got.AvailableProvisionedConcurrentExecutions != 2 {
		t.Errorf("got %+v", got)
	}
	call := func(name, event string) string {
		out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(event)})
		if err != nil {
			t.Error(err)
			return ""
		}
		return string(out.Payload)
	}
	if got := call("slow:live", `{}`); got != `"provisioned-concurrency"` {
		t.Errorf("got %s", got)
	}
	if got := call("slow:1", `{}`); got != `"on-demand"` {
		t.Errorf("by the number of the version: got %s", got)
	}

	// Three at once: one more than there are.
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := map[string]int{}
	for range 3 {
		wg.Go(func() {
			kind := call("slow:live", `{"sleep": 2}`)
			mu.Lock()
			kinds[kind]++
			mu.Unlock()
		})
	}
	eventually(t, 20*time.Second, "both are in use", func() bool { return *status().AvailableProvisionedConcurrentExecutions == 0 })
	wg.Wait()
	if kinds[`"provisioned-concurrency"`] != 2 || kinds[`"on-demand"`] != 1 {
		t.Errorf("got %v", kinds)
	}

	// The alias moves to a version that cannot start, and back.
	if _, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: f, Environment: &types.Environment{Variables: map[string]string{"BROKEN": "1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: f}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: f}); err != nil {
		t.Fatal(err)
	}
	move := func(version string) {
		t.Helper()
		if _, err := c.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: f, Name: aws.String("live"), FunctionVersion: &version}); err != nil {
			t.Fatal(err)
		}
	}
	move("2")
	eventually(t, time.Minute, "it is said to fail", func() bool {
		got := status()
		return got.Status == types.ProvisionedConcurrencyStatusEnumFailed && aws.ToString(got.StatusReason) == "FUNCTION_ERROR_INIT_FAILURE"
	})
	move("1")
	eventually(t, time.Minute, "it is ready again", func() bool { return status().Status == types.ProvisionedConcurrencyStatusEnumReady })

	// What is provisioned is taken off the account's rest, and comes back.
	account := func() int32 {
		out, err := c.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
		if err != nil {
			t.Fatal(err)
		}
		return *out.AccountLimit.UnreservedConcurrentExecutions
	}
	if got := account(); got != 998 {
		t.Errorf("%d are left, want 998", got)
	}
	if _, err := put("live", 901); err == nil {
		t.Error("more was provisioned than the account can spare")
	}
	if _, err := c.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: aws.String("live")}); err != nil {
		t.Fatal(err)
	}
	if got := account(); got != 1000 {
		t.Errorf("%d are left, want 1000", got)
	}
	_, err = c.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: f, Qualifier: aws.String("live")})
	if kind, message := apiError(t, err); kind != "ProvisionedConcurrencyConfigNotFoundException" || message != "No Provisioned Concurrency Config found for this function" {
		t.Errorf("got %s %s", kind, message)
	}
	if got := call("slow:live", `{}`); got != `"on-demand"` {
		t.Errorf("in the end: got %s", got)
	}
}
