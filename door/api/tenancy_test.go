package api_test

import (
	"context"
	"strings"
	"testing"

	"kiln"
)

func TestTenantsAreNamedWhereTheyAreKeptApartAndNowhereElse(t *testing.T) {
	p := newPort(t)
	made := p.create("f", map[string]any{"TenancyConfig": map[string]any{"TenantIsolationMode": "PER_TENANT"}, "Publish": true})
	p.create("g", nil)
	if mode := made["TenancyConfig"].(map[string]any)["TenantIsolationMode"]; mode != "PER_TENANT" {
		t.Errorf("created with %v", mode)
	}
	for _, target := range []string{"f/configuration", "f/configuration?Qualifier=1"} {
		if m := p.do("GET", "/2015-03-31/functions/"+target, "").members(t); m["TenancyConfig"] == nil {
			t.Errorf("%s: %v", target, m)
		}
	}
	if m := p.do("GET", "/2015-03-31/functions/g/configuration", "").members(t); m["TenancyConfig"] != nil {
		t.Errorf("another function: %v", m)
	}
	// An update does not take it away, and cannot set it.
	if m := p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Description":"changed"}`).members(t); m["TenancyConfig"] == nil {
		t.Errorf("updated: %v", m)
	}
	p.settle()

	var tenants []string
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		tenants = append(tenants, inv.Tenant)
		return &kiln.Outcome{Payload: []byte("1"), Version: "$LATEST"}, nil
	}
	const missing = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
	const surplus = "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
	f, g := "/2015-03-31/functions/f/invocations", "/2015-03-31/functions/g/invocations"
	stream := "/2021-11-15/functions/f/response-streaming-invocations"
	for _, kind := range []string{"RequestResponse", "Event", "DryRun"} {
		refused(t, "without a tenant", p.do("POST", f, "{}", "X-Amz-Invocation-Type", kind), 400, "InvalidParameterValueException", missing)
		refused(t, "with one too many", p.do("POST", g, "{}", "X-Amz-Invocation-Type", kind, "X-Amz-Tenant-Id", "blue"), 400, "InvalidParameterValueException", surplus)
	}
	refused(t, "a stream without a tenant", p.do("POST", stream, "{}"), 400, "InvalidParameterValueException", missing)
	for _, tenant := range []string{"blue", "a.b:c/d=e+f-g@h i_9", strings.Repeat("x", 256)} {
		wants(t, tenant, p.do("POST", f, "{}", "X-Amz-Tenant-Id", tenant), 200)
		wants(t, tenant, p.do("POST", stream, "{}", "X-Amz-Tenant-Id", tenant), 200)
		if len(tenants) != 2 || tenants[0] != tenant || tenants[1] != tenant {
			t.Errorf("ran for %q, want %q", tenants, tenant)
		}
		tenants = nil
		wants(t, tenant, p.do("POST", f, "{}", "X-Amz-Tenant-Id", tenant, "X-Amz-Invocation-Type", "DryRun"), 204)
		wants(t, tenant, p.do("POST", f, "{}", "X-Amz-Tenant-Id", tenant, "X-Amz-Invocation-Type", "Event"), 202)
	}
	for _, tenant := range []string{strings.Repeat("x", 257), "a,b", "é", "a\tb", "a|b"} {
		if got := p.do("POST", f, "{}", "X-Amz-Tenant-Id", tenant); got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ValidationException" {
			t.Errorf("tenant %q: %d %s", tenant, got.status, got.body)
		}
	}
	refused(t, "a URL", p.do("POST", "/2021-10-31/functions/f/url", `{"AuthType":"NONE"}`), 400, "InvalidParameterValueException", "Function URLs are not supported for functions enabled with tenancy configuration.")
	refused(t, "provisioned", p.do("PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1", `{"ProvisionedConcurrentExecutions":1}`), 400, "InvalidParameterValueException",
		"Provisioned Concurrency is not supported for functions enabled with tenancy configuration.")
	if got := p.do("POST", "/2015-03-31/functions", request(t, "h", map[string]any{"TenancyConfig": map[string]any{"TenantIsolationMode": "SHARED"}})); got.status != 400 {
		t.Errorf("another mode: %d %s", got.status, got.body)
	}
	if got := p.do("POST", "/2015-03-31/functions", request(t, "h", map[string]any{"TenancyConfig": map[string]any{}})); got.status != 400 {
		t.Errorf("no mode: %d %s", got.status, got.body)
	}
}
