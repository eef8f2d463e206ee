package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// perTenant keeps tenants apart, and logs objects.
func perTenant(in *lambda.CreateFunctionInput) {
	in.TenancyConfig = &types.TenancyConfig{TenantIsolationMode: types.TenantIsolationModePerTenant}
	in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson}
}

// tenantSeen is what a function of these tests tells: the tenant of the call, and all tenants
// that its environment has ever served.
type tenantSeen struct {
	Tenant string   `json:"tenant"`
	All    []string `json:"all"`
}

const tenantPython = `import json, logging, time
ALL = []
logging.getLogger().setLevel("INFO")
def handler(event, context):
    ALL.append(context.tenant_id)
    logging.info("served")
    time.sleep(event.get("sleep", 0))
    return {"tenant": context.tenant_id, "all": ALL}
`

const tenantNode = `const all = [];
exports.handler = async (event, context) => {
  all.push(context.tenantId);
  console.log('served');
  await new Promise((r) => setTimeout(r, 1000 * (event.sleep || 0)));
  return { tenant: context.tenantId, all };
};
`

func TestAnEnvironmentServesOneTenant(t *testing.T) {
	s := start(t)
	c := s.Client()
	for _, lang := range []struct {
		name, runtime, handler, file, code string
	}{
		{"py", needPython(t), "app.handler", "app.py", tenantPython},
		{"js", needNode(t), "index.handler", "index.js", tenantNode},
	} {
		create(t, c, lang.name, lang.runtime, lang.handler, zipOf(t, file{Name: lang.file, Text: lang.code}), perTenant)
		call := func(tenant, payload string) tenantSeen {
			out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &lang.name, TenantId: &tenant, Payload: []byte(payload), LogType: types.LogTypeTail})
			if err != nil || out.FunctionError != nil {
				t.Errorf("%s for %s: %v", lang.name, tenant, err)
				return tenantSeen{}
			}
			if tail := tail(out); !strings.Contains(tail, `"tenantId":"`+tenant+`"`) && !strings.Contains(tail, `"tenantId": "`+tenant+`"`) {
				t.Errorf("%s for %s: the log does not say so: %s", lang.name, tenant, tail)
			}
			var got tenantSeen
			if err := json.Unmarshal(out.Payload, &got); err != nil {
				t.Errorf("%s for %s: %v in %s", lang.name, tenant, err, out.Payload)
			}
			return got
		}
		check := func(tenant string, got tenantSeen) {
			t.Helper()
			for _, other := range got.All {
				if other != tenant {
					t.Errorf("%s: an environment of %q has served %q", lang.name, tenant, got.All)
				}
			}
			if got.Tenant != tenant {
				t.Errorf("%s: the function sees tenant %q, want %q", lang.name, got.Tenant, tenant)
			}
		}
		var wait sync.WaitGroup
		for i := range 12 {
			tenant := fmt.Sprint("tenant-", i%3)
			wait.Go(func() { check(tenant, call(tenant, `{"sleep":0.05}`)) })
		}
		wait.Wait()
		eventually(t, 30*time.Second, "a tenant finds its environment again", func() bool {
			got := call("tenant-0", "{}")
			check("tenant-0", got)
			return len(got.All) > 1
		})
		code, out, talk := kiln(t, append(s.environ(), "KILN_ACCOUNT="+harness.Account, "KILN_REGION="+harness.Region), "invoke", lang.name, "--tenant", "by hand")
		if code != 0 || !strings.Contains(strings.ReplaceAll(out, " ", ""), `"tenant":"byhand"`) {
			t.Errorf("%s by hand: %d %s%s", lang.name, code, out, talk)
		}
		_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &lang.name})
		if name := exceptionOf(t, err); name != "InvalidParameterValueException" {
			t.Errorf("%s without a tenant: %v", lang.name, err)
		}
		if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &lang.name, TenantId: aws.String("later"), InvocationType: types.InvocationTypeEvent}); err != nil {
			t.Errorf("%s, an event: %v", lang.name, err)
		}
		eventually(t, 30*time.Second, "the event ran for its tenant", func() bool {
			code, out, _ := kiln(t, append(s.environ(), "KILN_ACCOUNT="+harness.Account, "KILN_REGION="+harness.Region), "logs", lang.name)
			return code == 0 && strings.Contains(strings.ReplaceAll(out, ": ", ":"), `"tenantId":"later"`)
		})
	}
}
