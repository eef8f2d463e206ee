package api_test

import (
	"context"
	"testing"

	"kiln"
	"kiln/door/api"
)

// moving is a shelf whose runtimes are served by another release when a test says so.
type moving struct {
	shelf
	release *string
}

func (m moving) Release(context.Context, string, string) string { return *m.release }

func TestTheReleaseOfARuntimeIsKeptAsAskedFor(t *testing.T) {
	release := "0123abcd"
	p := newPort(t, func(o *api.Options) { o.Runtimes = moving{release: &release} })
	p.create("f", map[string]any{"Publish": true})
	p.create("i", map[string]any{"PackageType": "Image", "Runtime": nil, "Handler": nil, "Code": map[string]any{"ImageUri": "r.io/app:1"}})
	const path = "/2021-07-20/functions/f/runtime-management-config"
	runtime := func(release string) string { return "arn:aws:lambda:" + region + "::runtime:" + release }
	is := func(what string, got reply, mode string, runtimeARN any, qualifier string) {
		t.Helper()
		m := wants(t, what, got, 200).members(t)
		if m["UpdateRuntimeOn"] != mode || m["RuntimeVersionArn"] != runtimeARN || m["FunctionArn"] != arn("f")+":"+qualifier {
			t.Errorf("%s: got %v", what, m)
		}
	}
	is("at first", p.do("GET", path, ""), "Auto", nil, "$LATEST")
	manual := `{"UpdateRuntimeOn":"Manual","RuntimeVersionArn":"` + runtime("0123abcd") + `"}`
	is("manual", p.do("PUT", path, manual), "Manual", runtime("0123abcd"), "$LATEST")
	is("kept", p.do("GET", path+"?Qualifier=$LATEST", ""), "Manual", runtime("0123abcd"), "$LATEST")
	is("a version has its own", p.do("GET", path+"?Qualifier=1", ""), "Auto", nil, "1")
	is("set for it", p.do("PUT", path+"?Qualifier=1", `{"UpdateRuntimeOn":"FunctionUpdate"}`), "FunctionUpdate", nil, "1")
	if target, err := p.catalog.Resolve(kiln.FunctionID{Scope: kiln.Scope{Account: account, Region: region}, Name: "f"}, "1"); err != nil || target.Version.Updates.Release != "0123abcd" {
		t.Errorf("the version keeps %+v, %v", target.Version.Updates, err)
	}

	release = "4567cdef"
	config := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)["RuntimeVersionConfig"].(map[string]any)
	if config["RuntimeVersionArn"] != runtime("0123abcd") || config["Error"].(map[string]any)["ErrorCode"] != "InvalidRuntime" {
		t.Errorf("a release that is gone: %v", config)
	}
	refused(t, "a release that is gone", p.do("PUT", path, manual), 400, "InvalidParameterValueException",
		"The runtime version "+runtime("0123abcd")+" is not available for python3.12. The one that serves it is "+runtime("4567cdef")+".")
	is("auto", p.do("PUT", path, `{"UpdateRuntimeOn":"Auto"}`), "Auto", nil, "$LATEST")
	config = p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)["RuntimeVersionConfig"].(map[string]any)
	if config["RuntimeVersionArn"] != runtime("4567cdef") || config["Error"] != nil {
		t.Errorf("what serves: %v", config)
	}

	refused(t, "manual without a release", p.do("PUT", path, `{"UpdateRuntimeOn":"Manual"}`), 400, "InvalidParameterValueException", "RuntimeVersionArn must be specified when UpdateRuntimeOn is Manual.")
	refused(t, "auto with a release", p.do("PUT", path, `{"UpdateRuntimeOn":"Auto","RuntimeVersionArn":"`+runtime("4567cdef")+`"}`), 400, "InvalidParameterValueException",
		"RuntimeVersionArn can be specified only when UpdateRuntimeOn is Manual.")
	refused(t, "no mode", p.do("PUT", path, `{}`), 400, "ValidationException", "1 validation error detected: Value null at 'updateRuntimeOn' failed to satisfy constraint: Member must not be null")
	refused(t, "an alias", p.do("GET", path+"?Qualifier=live", ""), 400, "InvalidParameterValueException",
		"The runtime management configuration belongs to a version: the qualifier must be $LATEST or the number of a published version.")
	refused(t, "an image", p.do("PUT", "/2021-07-20/functions/i/runtime-management-config", `{"UpdateRuntimeOn":"Auto"}`), 400, "InvalidParameterValueException",
		"Runtime management configuration is not supported for functions with package type Image.")
	refused(t, "no such version", p.do("GET", path+"?Qualifier=9", ""), 404, "ResourceNotFoundException", "Function not found: "+arn("f")+":9")
}
