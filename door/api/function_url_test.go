package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"kiln/door/api"
)

const urlPath = "/2021-10-31/functions/f/url"

func TestAFunctionURLIsDescribedAsItWasAskedFor(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Publish": true})
	wants(t, "alias", p.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"live","FunctionVersion":"1"}`), 201)
	made := wants(t, "create", p.do("POST", urlPath, `{"AuthType":"NONE","Cors":{"AllowOrigins":["*"],"AllowCredentials":false,"MaxAge":0}}`), 201).members(t)
	address := regexp.MustCompile(`^http://([a-z2-7]{32})\.lambda-url\.` + region + `\.localhost:4566/$`)
	if !address.MatchString(made["FunctionUrl"].(string)) || made["FunctionArn"] != arn("f") || made["InvokeMode"] != "BUFFERED" || made["LastModifiedTime"] != nil ||
		!regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(made["CreationTime"].(string)) {
		t.Errorf("got %v", made)
	}
	if got := text(t, made["Cors"]); got != `{"AllowCredentials":false,"AllowOrigins":["*"],"MaxAge":0}` {
		t.Errorf("got %s", got)
	}
	refused(t, "again", p.do("POST", urlPath, `{"AuthType":"NONE"}`), 409, "ResourceConflictException",
		"Failed to create function url config for [functionArn = "+arn("f")+"]. Error message:  FunctionUrlConfig exists for this Lambda function")

	alias := wants(t, "create for the alias", p.do("POST", urlPath+"?Qualifier=live", `{"AuthType":"AWS_IAM","InvokeMode":"RESPONSE_STREAM"}`), 201).members(t)
	if alias["FunctionArn"] != arn("f")+":live" || alias["Cors"] != nil || alias["InvokeMode"] != "RESPONSE_STREAM" {
		t.Errorf("got %v", alias)
	}
	changed := wants(t, "update", p.do("PUT", urlPath, `{"Cors":{},"InvokeMode":"RESPONSE_STREAM"}`), 200).members(t)
	if changed["FunctionUrl"] != made["FunctionUrl"] || changed["Cors"] != nil || changed["AuthType"] != "NONE" || changed["InvokeMode"] != "RESPONSE_STREAM" || changed["LastModifiedTime"] == nil {
		t.Errorf("got %v", changed)
	}
	if got := wants(t, "get", p.do("GET", urlPath, ""), 200).members(t); text(t, got) != text(t, changed) {
		t.Errorf("got %v, want %v", got, changed)
	}
	first := wants(t, "list", p.do("GET", urlPath+"s?MaxItems=1", ""), 200).members(t)
	second := wants(t, "list on", p.do("GET", urlPath+"s?MaxItems=1&Marker="+first["NextMarker"].(string), ""), 200).members(t)
	for i, m := range []map[string]any{first, second} {
		if list := m["FunctionUrlConfigs"].([]any); len(list) != 1 || list[0].(map[string]any)["FunctionArn"] != []string{arn("f"), arn("f") + ":live"}[i] {
			t.Errorf("page %d: got %v", i, m)
		}
	}
	if second["NextMarker"] != nil {
		t.Errorf("got %v", second)
	}
	wants(t, "delete", p.do("DELETE", urlPath, ""), 204)
	for _, method := range []string{"GET", "DELETE"} {
		refused(t, method, p.do(method, urlPath, ""), 404, "ResourceNotFoundException", "The resource you requested does not exist.")
	}
	refused(t, "no such alias", p.do("POST", urlPath+"?Qualifier=none", `{"AuthType":"NONE"}`), 404, "ResourceNotFoundException", "Function does not exist")
	if got := p.do("POST", urlPath+"?Qualifier=1", `{"AuthType":"NONE"}`); got.status != 400 {
		t.Errorf("a version has no URL: got %d %s", got.status, got.body)
	}
}

// sites notes which requests reach it.
type sites struct{ seen []api.URLRequest }

func (s *sites) ServeURL(w http.ResponseWriter, _ *http.Request, to api.URLRequest) {
	s.seen = append(s.seen, to)
	w.WriteHeader(http.StatusTeapot)
}

func TestRequestsToFunctionURLsGoToTheirDoor(t *testing.T) {
	s := &sites{}
	p := newPort(t, func(o *api.Options) { o.URLs, o.URLDomain = s, "functions.example" })
	for _, c := range []struct {
		host, path string
		headers    []string
		want       api.URLRequest
	}{
		{"abc.lambda-url." + region + ".localhost:4566", "/2015-03-31/functions?x=1", nil, api.URLRequest{URL: "abc", Path: "/2015-03-31/functions"}},
		{"ABC.lambda-url." + region + ".functions.example", "/", []string{"Origin", "https://page.example", "Sec-Fetch-Site", "cross-site"}, api.URLRequest{URL: "abc", Path: "/"}},
		{"localhost:4566", "/_kiln/url/abc", []string{"Origin", "https://page.example"}, api.URLRequest{URL: "abc", Path: "/", Prefix: "/_kiln/url/abc"}},
		{"127.0.0.1:4566", "/_kiln/url/abc/a%2Fb", []string{"X-Amzn-RequestId", "no UUID"}, api.URLRequest{URL: "abc", Path: "/a%2Fb", Prefix: "/_kiln/url/abc"}},
	} {
		s.seen = nil
		got := p.do("POST", c.path, "", append([]string{"Host", c.host, "Authorization", "Bearer of the function's own"}, c.headers...)...)
		if got.status != http.StatusTeapot || len(s.seen) != 1 {
			t.Errorf("%s%s: got %d %s", c.host, c.path, got.status, got.body)
			continue
		}
		seen := s.seen[0]
		if !uuid.MatchString(seen.RequestID) || got.header.Get("X-Amzn-RequestId") != seen.RequestID || !strings.HasPrefix(seen.Trace, "Root=1-") {
			t.Errorf("got %+v", seen)
		}
		seen.RequestID, seen.Trace = "", ""
		if seen != c.want {
			t.Errorf("%s%s: got %+v, want %+v", c.host, c.path, seen, c.want)
		}
	}
	s.seen = nil
	if got := p.do("GET", "/", "", "Host", "abc.lambda-url."+region+".evil.example"); got.status != 403 || s.seen != nil {
		t.Errorf("a foreign host: got %d", got.status)
	}
	p.create("f", nil)
	if got := p.do("POST", urlPath, `{"AuthType":"NONE"}`).members(t)["FunctionUrl"].(string); !strings.HasSuffix(got, ".lambda-url."+region+".functions.example:4566/") {
		t.Errorf("got %s", got)
	}
	if got := newPort(t).do("GET", "/_kiln/url/abc/", ""); got.status != 501 {
		t.Errorf("without the door: got %d %s", got.status, got.body)
	}
}
