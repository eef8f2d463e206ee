package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const stranger = "222222222222"

// layerARN is the ARN of a layer version of the account.
func layerARN(name string, number int) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:layer:%s:%d", region, account, name, number)
}

// as gives the headers of a request of another account.
func as(account, region string) []string {
	return []string{"Authorization", "AWS4-HMAC-SHA256 Credential=" + account + "/20260101/" + region + "/lambda/aws4_request, SignedHeaders=host, Signature=0"}
}

// publishLayer adds a version to a layer and gives the answer.
func (p *port) publishLayer(name, content string, members map[string]any) map[string]any {
	p.t.Helper()
	m := map[string]any{"Content": map[string]any{"ZipFile": code(p.t, content)}}
	for k, v := range members {
		m[k] = v
	}
	return wants(p.t, "publish "+name, p.do("POST", "/2018-10-31/layers/"+name+"/versions", text(p.t, m)), 201).members(p.t)
}

func TestALayerVersionIsShownAsAWSShowsIt(t *testing.T) {
	p := newPort(t)
	made := p.publishLayer("l", "one", map[string]any{"Description": "d", "LicenseInfo": "MIT", "CompatibleRuntimes": []string{"python3.12"}, "CompatibleArchitectures": []string{"arm64"}})
	same(t, "PublishLayerVersion", made, "CompatibleArchitectures CompatibleRuntimes Content CreatedDate Description LayerArn LayerVersionArn LicenseInfo Version")
	content := made["Content"].(map[string]any)
	same(t, "Content", content, "CodeSha256 CodeSize Location")
	if sum, err := base64.StdEncoding.DecodeString(content["CodeSha256"].(string)); err != nil || len(sum) != 32 || content["CodeSize"].(float64) < 100 {
		t.Errorf("Content is %v", content)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`).MatchString(made["CreatedDate"].(string)) {
		t.Errorf("CreatedDate %s", made["CreatedDate"])
	}
	want := map[string]any{"Version": 1.0, "LayerVersionArn": layerARN("l", 1), "LayerArn": strings.TrimSuffix(layerARN("l", 1), ":1"), "Description": "d", "LicenseInfo": "MIT"}
	for name, value := range want {
		if made[name] != value {
			t.Errorf("%s is %v, want %v", name, made[name], value)
		}
	}
	for _, path := range []string{
		"/2018-10-31/layers/l/versions/1",
		"/2018-10-31/layers/" + url.PathEscape(strings.TrimSuffix(layerARN("l", 1), ":1")) + "/versions/1",
		"/2018-10-31/layers?find=LayerVersion&Arn=" + url.QueryEscape(layerARN("l", 1)),
	} {
		got := wants(t, path, p.do("GET", path, ""), 200).members(t)
		got["Content"].(map[string]any)["Location"] = content["Location"] // which is another one each time
		if !reflect.DeepEqual(got, made) {
			t.Errorf("%s\ngot  %v\nwant %v", path, got, made)
		}
	}
	plain := p.publishLayer("l", "two", nil)
	same(t, "a layer version without anything", plain, "Content CreatedDate Description LayerArn LayerVersionArn Version")
	if plain["Version"] != 2.0 || plain["Description"] != "" {
		t.Errorf("got %v", plain)
	}
}

func TestALayerCanBeDownloadedFromItsLocation(t *testing.T) {
	p := newPort(t)
	srv := httptest.NewServer(p)
	defer srv.Close()
	p.publishLayer("l", "one", nil)
	r, err := http.NewRequest("GET", srv.URL+"/2018-10-31/layers/l/versions/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", as(account, region)[1])
	fetch := func(r *http.Request) []byte {
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d %s, %v", resp.StatusCode, body, err)
		}
		return body
	}
	var m struct{ Content struct{ Location string } }
	if err := json.Unmarshal(fetch(r), &m); err != nil {
		t.Fatal(err)
	}
	if r, err = http.NewRequest("GET", m.Content.Location, nil); err != nil {
		t.Fatal(err)
	}
	if got := base64.StdEncoding.EncodeToString(fetch(r)); got != code(t, "one") {
		t.Errorf("downloaded %s", got)
	}
}

func TestLayersAreListedByWhatTheyAreFor(t *testing.T) {
	p := newPort(t)
	only := func(runtime, architecture string) map[string]any {
		m := map[string]any{}
		if runtime != "" {
			m["CompatibleRuntimes"] = []string{runtime}
		}
		if architecture != "" {
			m["CompatibleArchitectures"] = []string{architecture}
		}
		return m
	}
	p.publishLayer("b", "1", only("python3.12", "x86_64"))
	p.publishLayer("b", "2", only("nodejs22.x", "arm64"))
	p.publishLayer("a", "1", only("", ""))
	p.publishLayer("c", "1", only("python3.12", "arm64"))
	list := func(query string) string {
		var out []string
		for _, l := range wants(t, query, p.do("GET", "/2018-10-31/layers"+query, ""), 200).members(t)["Layers"].([]any) {
			m := l.(map[string]any)
			same(t, "a layer of the list", m, "LayerName LayerArn LatestMatchingVersion")
			out = append(out, fmt.Sprint(m["LayerName"], ":", m["LatestMatchingVersion"].(map[string]any)["Version"]))
		}
		return strings.Join(out, " ")
	}
	versions := func(query string) string {
		var out []string
		for _, v := range wants(t, query, p.do("GET", "/2018-10-31/layers/b/versions"+query, ""), 200).members(t)["LayerVersions"].([]any) {
			out = append(out, fmt.Sprint(v.(map[string]any)["Version"]))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ got, want string }{
		{list(""), "a:1 b:2 c:1"},
		{list("?CompatibleRuntime=python3.12"), "b:1 c:1"},
		{list("?CompatibleArchitecture=arm64"), "b:2 c:1"},
		{list("?CompatibleRuntime=python3.12&CompatibleArchitecture=arm64"), "c:1"},
		{list("?CompatibleRuntime=java21"), ""},
		{versions(""), "2 1"},
		{versions("?CompatibleRuntime=nodejs22.x"), "2"},
		{versions("?CompatibleArchitecture=x86_64"), "1"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if got := wants(t, "no layer", p.do("GET", "/2018-10-31/layers/nothing/versions", ""), 200).body; got != `{"LayerVersions":[]}` {
		t.Errorf("a layer that is not there: %s", got)
	}
	if got := wants(t, "another account", p.do("GET", "/2018-10-31/layers", "", as(stranger, region)...), 200).body; got != `{"Layers":[]}` {
		t.Errorf("another account: %s", got)
	}
}

func TestListsOfLayersComeInPages(t *testing.T) {
	p := newPort(t)
	for n := range 5 {
		p.publishLayer(fmt.Sprint("l", n), "x", nil)
		p.publishLayer("many", fmt.Sprint(n), nil)
	}
	for _, c := range []struct{ path, list, member, want string }{
		{"/2018-10-31/layers?MaxItems=2", "Layers", "LayerName", "l0 l1|l2 l3|l4 many"},
		{"/2018-10-31/layers/many/versions?MaxItems=2", "LayerVersions", "Version", "5 4|3 2|1"},
	} {
		var pages []string
		for marker := ""; ; {
			m := wants(t, c.path, p.do("GET", c.path+"&Marker="+marker, ""), 200).members(t)
			var items []string
			for _, i := range m[c.list].([]any) {
				items = append(items, fmt.Sprint(i.(map[string]any)[c.member]))
			}
			pages = append(pages, strings.Join(items, " "))
			if m["NextMarker"] == nil {
				break
			}
			marker = m["NextMarker"].(string)
			if len(pages) == 1 && c.list == "LayerVersions" { // what comes meanwhile moves nothing
				p.publishLayer("many", "meanwhile", nil)
			}
		}
		if got := strings.Join(pages, "|"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
	}
	refused(t, "a page of 51", p.do("GET", "/2018-10-31/layers?MaxItems=51", ""), 400, "ValidationException",
		"1 validation error detected: Value '51' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 50")
}

func TestRefusalsOfLayers(t *testing.T) {
	p := newPort(t)
	p.publishLayer("l", "x", nil)
	const base = "/2018-10-31/layers/"
	const gone = "The resource you requested does not exist."
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		exception, text          string
	}{
		{"no such version", "GET", base + "l/versions/2", "", 404, "ResourceNotFoundException", gone},
		{"no such layer", "GET", base + "x/versions/1", "", 404, "ResourceNotFoundException", gone},
		{"a number that no version has", "GET", base + "l/versions/99999999999", "", 404, "ResourceNotFoundException", gone},
		{"version zero", "GET", base + "l/versions/0", "", 400, "InvalidParameterValueException", "Layer Version Cannot be less than 1"},
		{"a negative version", "DELETE", base + "l/versions/-1", "", 400, "InvalidParameterValueException", "Layer Version Cannot be less than 1"},
		{"an ARN of nothing", "GET", "/2018-10-31/layers?find=LayerVersion&Arn=" + url.QueryEscape(layerARN("x", 1)), "", 404, "ResourceNotFoundException", gone},
		{"another region", "GET", base + url.PathEscape("arn:aws:lambda:us-west-2:"+account+":layer:l") + "/versions/1", "", 404, "ResourceNotFoundException", gone},
		{"no content", "POST", base + "l/versions", `{"Content":{}}`, 400, "InvalidParameterValueException", "Please provide a source for function code."},
		{"not a zip", "POST", base + "l/versions", `{"Content":{"ZipFile":"eHh4"}}`, 400, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."},
		{"no such object", "POST", base + "l/versions", `{"Content":{"S3Bucket":"bucket","S3Key":"nothing"}}`, 400, "InvalidParameterValueException", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."},
		{"a foreign layer", "POST", base + url.PathEscape("arn:aws:lambda:"+region+":"+stranger+":layer:l") + "/versions", `{"Content":{"ZipFile":"eHh4"}}`, 403, "AccessDeniedException",
			"User: arn:aws:iam::" + account + ":root is not authorized to perform: lambda:PublishLayerVersion on resource: arn:aws:lambda:" + region + ":" + stranger + ":layer:l because no resource-based policy allows the lambda:PublishLayerVersion action"},
		{"no policy", "GET", base + "l/versions/1/policy", "", 404, "ResourceNotFoundException", "No policy is associated with the given resource."},
		{"no such statement", "DELETE", base + "l/versions/1/policy/s", "", 404, "ResourceNotFoundException", "Statement s is not found in resource policy."},
		{"a policy of nothing", "POST", base + "l/versions/2/policy", `{"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"*"}`, 404, "ResourceNotFoundException", "Layer version " + layerARN("l", 2) + " does not exist."},
		{"another action", "POST", base + "l/versions/1/policy", `{"StatementId":"s","Action":"*","Principal":"*"}`, 400, "ValidationException", "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion"},
		{"C15 a path for a name", "GET", base + "..%2f..%2fetc/versions/1", "", 400, "ValidationException", ""},
		{"C15 an escaped path for a name", "POST", base + "%252e%252e/versions", `{"Content":{"ZipFile":"eHh4"}}`, 400, "ValidationException", ""},
		{"C15 a long name", "GET", base + strings.Repeat("a", 10_000) + "/versions/1", "", 400, "ValidationException", ""},
		{"C15 not ASCII", "GET", base + "%C3%BC/versions/1", "", 400, "ValidationException", ""},
	} {
		got := p.do(c.method, c.path, c.body)
		if c.text == "" {
			if got.status != c.status || got.header.Get("X-Amzn-Errortype") != c.exception {
				t.Errorf("%s: %d %s %s", c.name, got.status, got.header.Get("X-Amzn-Errortype"), got.body)
			}
			continue
		}
		refused(t, c.name, got, c.status, c.exception, c.text)
	}
}

func TestALayerIsUsedByAnotherAccountOnlyWithPermission(t *testing.T) {
	p := newPort(t)
	p.publishLayer("l", "x", nil)
	arn := layerARN("l", 1)
	path := "/2018-10-31/layers?find=LayerVersion&Arn=" + url.QueryEscape(arn)
	denied := "User: arn:aws:iam::" + stranger + ":root is not authorized to perform: lambda:GetLayerVersion on resource: " + arn + " because no resource-based policy allows the lambda:GetLayerVersion action"
	use := func(name string) reply {
		return p.do("POST", "/2015-03-31/functions", request(t, name, map[string]any{"Layers": []string{arn}, "Role": strings.ReplaceAll(role, account, stranger)}), as(stranger, region)...)
	}
	refused(t, "read", p.do("GET", path, "", as(stranger, region)...), 403, "AccessDeniedException", denied)
	refused(t, "use", use("f"), 403, "AccessDeniedException", denied)
	refused(t, "read what is not there", p.do("GET", "/2018-10-31/layers?find=LayerVersion&Arn="+url.QueryEscape(layerARN("l", 2)), "", as(stranger, region)...), 403, "AccessDeniedException", strings.Replace(denied, arn, layerARN("l", 2), 1))

	const policy = "/2018-10-31/layers/l/versions/1/policy"
	add := func(id, principal, more string) reply {
		return p.do("POST", policy+more, text(t, map[string]any{"StatementId": id, "Action": "lambda:GetLayerVersion", "Principal": principal}))
	}
	first := wants(t, "add", add("one", stranger, ""), 201).members(t)
	if want := `{"Sid":"one","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + stranger + `:root"},"Action":"lambda:GetLayerVersion","Resource":"` + arn + `"}`; first["Statement"] != want {
		t.Errorf("got  %s\nwant %s", first["Statement"], want)
	}
	got := wants(t, "get", p.do("GET", policy, ""), 200).members(t)
	if got["RevisionId"] != first["RevisionId"] || got["Policy"] != `{"Version":"2012-10-17","Id":"default","Statement":[`+first["Statement"].(string)+`]}` {
		t.Errorf("got %v", got)
	}
	refused(t, "again", add("one", "*", ""), 409, "ResourceConflictException", "The statement id (one) provided already exists. Please provide a new statement id, or remove the existing statement.")
	refused(t, "an old revision", add("two", "*", "?RevisionId=wrong"), 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id")
	wants(t, "read", p.do("GET", path, "", as(stranger, region)...), 200)
	wants(t, "use", use("f"), 201)
	p.settle()
	refused(t, "somebody else", p.do("GET", path, "", as("333333333333", region)...), 403, "AccessDeniedException", strings.ReplaceAll(denied, stranger, "333333333333"))

	wants(t, "remove", p.do("DELETE", policy+"/one?RevisionId="+first["RevisionId"].(string), ""), 204)
	refused(t, "no policy", p.do("GET", policy, ""), 404, "ResourceNotFoundException", "No policy is associated with the given resource.")
	refused(t, "use", use("g"), 403, "AccessDeniedException", denied)
	// the function that has it keeps it
	m := wants(t, "change", p.do("PUT", "/2015-03-31/functions/f/configuration", text(t, map[string]any{"Layers": []string{arn}, "Timeout": 5}), as(stranger, region)...), 200).members(t)
	if text(t, m["Layers"]) == "null" {
		t.Errorf("got %v", m)
	}
}

func TestAFunctionShowsItsLayersInTheirOrder(t *testing.T) {
	p := newPort(t)
	size := p.publishLayer("a", "1", nil)["Content"].(map[string]any)["CodeSize"]
	p.publishLayer("b", "22", nil)
	p.publishLayer("a", "333", nil)
	want := []string{layerARN("b", 1), layerARN("a", 1)}
	layers := func(m map[string]any) string {
		var out []string
		for _, l := range m["Layers"].([]any) {
			same(t, "a layer of a function", l.(map[string]any), "Arn CodeSize")
			out = append(out, l.(map[string]any)["Arn"].(string))
		}
		return strings.Join(out, " ")
	}
	created := p.create("f", map[string]any{"Layers": want, "Publish": true})
	if got := layers(created); got != strings.Join(want, " ") || created["Layers"].([]any)[1].(map[string]any)["CodeSize"] != size {
		t.Errorf("created with %v", created["Layers"])
	}
	const path = "/2015-03-31/functions/f/configuration"
	put := func(body string) map[string]any {
		m := wants(t, body, p.do("PUT", path, body), 200).members(t)
		p.settle()
		return m
	}
	if got := layers(put(`{"Timeout":9}`)); got != strings.Join(want, " ") {
		t.Errorf("a change of something else leaves %s", got)
	}
	if got := layers(put(text(t, map[string]any{"Layers": []string{layerARN("a", 2)}}))); got != layerARN("a", 2) {
		t.Errorf("replaced by %s", got)
	}
	wants(t, "delete", p.do("DELETE", "/2018-10-31/layers/a/versions/1", ""), 204)
	wants(t, "delete again", p.do("DELETE", "/2018-10-31/layers/a/versions/1", ""), 204)
	if got := layers(p.do("GET", path+"?Qualifier=1", "").members(t)); got != strings.Join(want, " ") {
		t.Errorf("the published version has %s", got)
	}
	if m := put(`{"Layers":[]}`); m["Layers"] != nil {
		t.Errorf("without layers there is %v", m["Layers"])
	}
	refused(t, "a deleted version", p.do("PUT", path, text(t, map[string]any{"Layers": []string{layerARN("a", 1)}})), 400, "InvalidParameterValueException", "Layer version "+layerARN("a", 1)+" does not exist.")
	if v := p.publishLayer("a", "4", nil); v["Version"] != 3.0 {
		t.Errorf("the next version is %v", v["Version"])
	}
}

func TestRefusalsOfLayersOfAFunction(t *testing.T) {
	p := newPort(t)
	p.publishLayer("l", "1", nil)
	p.publishLayer("l", "2", nil)
	p.create("f", nil)
	elsewhere := "arn:aws:lambda:us-west-2:" + account + ":layer:l:1"
	one, two := layerARN("l", 1), layerARN("l", 2)
	for _, c := range []struct {
		name   string
		layers []string
		text   string
	}{
		{"six", []string{one, one, one, one, one, one}, "Cannot reference more than 5 layers."},
		{"not there", []string{layerARN("doesnotexist", 1)}, "Layer version " + layerARN("doesnotexist", 1) + " does not exist."},
		{"no such version", []string{layerARN("l", 9)}, "Layer version " + layerARN("l", 9) + " does not exist."},
		{"version zero", []string{layerARN("l", 0)}, "Layer version " + layerARN("l", 0) + " does not exist."},
		{"AWS's own", []string{"arn:aws:lambda:::awslayer:AmazonLinux1803"}, "Layer version arn:aws:lambda:::awslayer:AmazonLinux1803 does not exist."},
		{"another region", []string{elsewhere}, "Layers are not in the same region as the function. Layers are expected to be in region " + region + "."},
		{"two versions", []string{one, two}, "Two different versions of the same layer are not allowed to be referenced in the same function. " + one + " and " + two + " are versions of the same layer."},
		{"one twice", []string{one, one}, "Two different versions of the same layer are not allowed to be referenced in the same function. " + one + " and " + one + " are versions of the same layer."},
	} {
		refused(t, "create: "+c.name, p.do("POST", "/2015-03-31/functions", request(t, "bad", map[string]any{"Layers": c.layers})), 400, "InvalidParameterValueException", c.text)
		refused(t, "update: "+c.name, p.do("PUT", "/2015-03-31/functions/f/configuration", text(t, map[string]any{"Layers": c.layers})), 400, "InvalidParameterValueException", c.text)
	}
	bare := "arn:aws:lambda:" + region + ":" + account + ":layer:l"
	got := p.do("POST", "/2015-03-31/functions", request(t, "bad", map[string]any{"Layers": []string{bare}}))
	if got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ValidationException" || !strings.HasPrefix(got.message(), "1 validation error detected: Value '["+bare+"]' at 'layers'") {
		t.Errorf("an ARN without version: %d %s", got.status, got.body)
	}
}

func TestCodeComesFromS3(t *testing.T) {
	p := newPort(t)
	made := p.create("f", map[string]any{"Code": map[string]any{"S3Bucket": "bucket", "S3Key": "key"}})
	updated := wants(t, "update", p.do("PUT", "/2015-03-31/functions/f/code", `{"S3Bucket":"bucket","S3Key":"key","S3ObjectVersion":"7"}`), 200).members(t)
	p.settle()
	if made["CodeSha256"] == updated["CodeSha256"] || updated["CodeSize"].(float64) < 100 {
		t.Errorf("created %v, updated %v", made, updated)
	}
	same := wants(t, "the same by hand", p.do("PUT", "/2015-03-31/functions/f/code", text(t, map[string]any{"ZipFile": code(t, "version 7")})), 200).members(t)
	if same["CodeSha256"] != updated["CodeSha256"] {
		t.Errorf("version 7 is %v, want %v", updated["CodeSha256"], same["CodeSha256"])
	}
	layer := wants(t, "layer", p.do("POST", "/2018-10-31/layers/l/versions", `{"Content":{"S3Bucket":"bucket","S3Key":"key","S3ObjectVersion":"7"}}`), 201).members(t)
	if layer["Content"].(map[string]any)["CodeSha256"] != updated["CodeSha256"] {
		t.Errorf("got %v", layer)
	}
}
