package e2e_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestAFunctionRunsOnTheReleaseThatItWasToldToKeep(t *testing.T) {
	s := start(t)
	c := s.Client()
	name := "kept"
	code := zipOf(t, file{Name: "app.py", Text: "def handler(event, context):\n    return 1\n"})
	create(t, c, name, needPython(t), "app.handler", code)
	release := func() *string {
		got, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil || got.RuntimeVersionConfig == nil || got.RuntimeVersionConfig.Error != nil {
			t.Fatalf("got %+v, %v", got, err)
		}
		return got.RuntimeVersionConfig.RuntimeVersionArn
	}
	serves := release()
	for _, mode := range []types.UpdateRuntimeOn{types.UpdateRuntimeOnManual, types.UpdateRuntimeOnFunctionUpdate, types.UpdateRuntimeOnAuto} {
		in := &lambda.PutRuntimeManagementConfigInput{FunctionName: &name, UpdateRuntimeOn: mode}
		if mode == types.UpdateRuntimeOnManual {
			in.RuntimeVersionArn = serves
		}
		if _, err := c.PutRuntimeManagementConfig(t.Context(), in); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if got, err := c.GetRuntimeManagementConfig(t.Context(), &lambda.GetRuntimeManagementConfigInput{FunctionName: &name}); err != nil || got.UpdateRuntimeOn != mode {
			t.Errorf("%s: got %+v, %v", mode, got, err)
		}
		if got := answer(t, c, name, "{}"); got != "1" {
			t.Errorf("%s: the function answers %s", mode, got)
		}
		if got := release(); *got != *serves {
			t.Errorf("%s: served by %s, want %s", mode, *got, *serves)
		}
	}
	other := strings.TrimRight(*serves, "0123456789abcdef") + strings.Repeat("0", 64)
	_, err := c.PutRuntimeManagementConfig(t.Context(), &lambda.PutRuntimeManagementConfigInput{FunctionName: &name, UpdateRuntimeOn: types.UpdateRuntimeOnManual, RuntimeVersionArn: &other})
	if exceptionOf(t, err) != "InvalidParameterValueException" || !strings.Contains(err.Error(), *serves) {
		t.Errorf("a release that is not here: %v", err)
	}
}
