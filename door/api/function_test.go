package api_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln/door/api"
)

func TestCreateFunctionAnswersExactlyWhatIsRecorded(t *testing.T) {
	recorded, err := os.ReadFile("testdata/create_function.json")
	if err != nil {
		t.Fatal(err)
	}
	p := newPort(t)
	got := wants(t, "create", p.do("POST", "/2015-03-31/functions", request(t, "recorded", map[string]any{
		"Runtime": "python3.12", "Handler": "handler.handler", "MemorySize": 1024, "Environment": map[string]any{"Variables": map[string]string{"TEST_KEY": "TEST_VAL"}},
	})), 201).members(t)
	// What the recording replaced by placeholders is put in; what differs by nature
	// is only looked at.
	want := strings.NewReplacer("<function-name:1>", "recorded", "<partition>", "aws", "<region>", region, "<resource:1>", "any", "<resource:2>", "0123abcd", "python3.8", "python3.12",
		`"<code-size>"`, fmt.Sprint(got["CodeSize"]), "<code-sha256>", got["CodeSha256"].(string), "<uuid:1>", got["RevisionId"].(string), `"date"`, `"`+got["LastModified"].(string)+`"`).Replace(string(recorded))
	var expected map[string]any
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, expected) {
		t.Errorf("got  %s\nwant %s", text(t, got), text(t, expected))
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`).MatchString(got["LastModified"].(string)) {
		t.Errorf("LastModified %s", got["LastModified"])
	}
	if sum, err := base64.StdEncoding.DecodeString(got["CodeSha256"].(string)); err != nil || len(sum) != 32 || !uuid.MatchString(got["RevisionId"].(string)) {
		t.Errorf("CodeSha256 %s, RevisionId %s", got["CodeSha256"], got["RevisionId"])
	}
}

// members of answers, as recorded: nothing else may be sent.
const (
	ofLists  = "Architectures CodeSha256 CodeSize Description EphemeralStorage FunctionArn FunctionName Handler LastModified LoggingConfig MemorySize PackageType RevisionId Role Runtime SnapStart Timeout TracingConfig Version"
	ofActive = ofLists + " RuntimeVersionConfig State LastUpdateStatus"
)

func same(t *testing.T, what string, got map[string]any, want string) {
	t.Helper()
	left := map[string]bool{}
	for _, name := range strings.Fields(want) {
		left[name] = true
	}
	for name := range got {
		if !left[name] {
			t.Errorf("%s has %s = %v, which AWS does not send", what, name, got[name])
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("%s lacks %s", what, name)
	}
}

func TestAFunctionConvergesAndItsDefaultsAreShown(t *testing.T) {
	p := newPort(t)
	created := p.create("f", nil)
	if created["State"] != "Pending" || created["StateReasonCode"] != "Creating" || created["LastUpdateStatus"] != nil || created["Environment"] != nil {
		t.Errorf("created as %v", created)
	}
	got := wants(t, "get", p.do("GET", "/2015-03-31/functions/f/configuration", ""), 200).members(t)
	same(t, "GetFunctionConfiguration", got, ofActive)
	for name, want := range map[string]any{
		"FunctionName": "f", "FunctionArn": arn("f"), "Version": "$LATEST", "State": "Active", "LastUpdateStatus": "Successful",
		"Timeout": 3.0, "MemorySize": 128.0, "Description": "", "PackageType": "Zip", "Role": role,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["RevisionId"] == created["RevisionId"] {
		t.Error("the revision id did not change with the state")
	}
	if s := text(t, got["EphemeralStorage"]) + text(t, got["LoggingConfig"]) + text(t, got["Architectures"]); s != `{"Size":512}{"LogFormat":"Text","LogGroup":"/aws/lambda/f"}["x86_64"]` {
		t.Errorf("got %s", s)
	}
	p.create("g", map[string]any{"Environment": map[string]any{}, "Architectures": []string{"arm64"}, "LoggingConfig": map[string]any{"LogGroup": "shared"}, "EphemeralStorage": map[string]any{"Size": 1024}})
	got = p.do("GET", "/2015-03-31/functions/g/configuration", "").members(t)
	if s := text(t, got["Environment"]) + text(t, got["Architectures"]) + text(t, got["LoggingConfig"]) + text(t, got["EphemeralStorage"]); s != `{"Variables":{}}["arm64"]{"LogFormat":"Text","LogGroup":"shared"}{"Size":1024}` {
		t.Errorf("got %s", s)
	}
	if again := p.do("POST", "/2015-03-31/functions", request(t, "f", nil)); true {
		refused(t, "the same name again", again, 409, "ResourceConflictException", "Function already exist: f")
	}
	p.create("ruby", map[string]any{"Runtime": "ruby3.3"}) // which nothing serves
	if got := p.do("GET", "/2015-03-31/functions/ruby/configuration", "").members(t); got["RuntimeVersionConfig"] != nil {
		t.Errorf("a release of nothing: %v", got["RuntimeVersionConfig"])
	}
}

func TestGetFunctionGivesAURLThatDownloadsTheCode(t *testing.T) {
	watch := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p := newPort(t, func(o *api.Options) { o.Now = watch.now })
	srv := httptest.NewServer(p)
	defer srv.Close()
	p.create("f", map[string]any{"Tags": map[string]string{"team": "a"}})
	get := func() (string, map[string]any) {
		r, err := http.NewRequest("GET", srv.URL+"/2015-03-31/functions/f", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var m map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
			t.Fatal(err)
		}
		c := m["Code"].(map[string]any)
		if c["RepositoryType"] != "S3" || len(c) != 2 {
			t.Errorf("Code is %v", c)
		}
		return c["Location"].(string), m
	}
	fetch := func(url string) (int, []byte, http.Header) {
		resp, err := srv.Client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.Bytes(), resp.Header
	}
	url, m := get()
	same(t, "GetFunction", m, "Configuration Code Tags")
	same(t, "its Configuration", m["Configuration"].(map[string]any), ofActive)
	if text(t, m["Tags"]) != `{"team":"a"}` {
		t.Errorf("Tags %v", m["Tags"])
	}
	status, body, header := fetch(url)
	if status != 200 || header.Get("Content-Type") != "application/zip" {
		t.Fatalf("download: %d %s", status, body)
	}
	if z, err := zip.NewReader(bytes.NewReader(body), int64(len(body))); err != nil || len(z.File) != 1 || z.File[0].Name != "bootstrap" {
		t.Errorf("what was downloaded is %v, %v", z, err)
	}
	digest := regexp.MustCompile(`[0-9a-f]{64}\?`).FindString(url)
	for what, bad := range map[string]string{
		"another package":   strings.Replace(url, digest, strings.Repeat("0", 64)+"?", 1),
		"a longer life":     strings.Replace(url, "expires=1", "expires=2", 1),
		"another token":     url[:len(url)-2] + "00",
		"no token":          url[:strings.Index(url, "?")],
		"a path":            srv.URL + "/_kiln/v1/packages/..%2f..%2fkiln.yaml" + url[strings.Index(url, "?"):],
		"a path in the way": strings.Replace(url, "/packages/", "/packages/../", 1),
	} {
		if status, body, _ := fetch(bad); status != 403 && status != 404 || bytes.HasPrefix(body, []byte("PK")) {
			t.Errorf("%s: got %d", what, status)
		}
	}
	watch.move(9*time.Minute + 59*time.Second)
	if status, _, _ := fetch(url); status != 200 {
		t.Errorf("within ten minutes: %d", status)
	}
	watch.move(time.Second)
	if status, _, _ := fetch(url); status != 403 {
		t.Errorf("after ten minutes: %d", status)
	}
	fresh, _ := get()
	wants(t, "the old server's ticket", newPort(t).do("GET", strings.TrimPrefix(fresh, srv.URL), ""), 403)
}

func TestTheLogFormatIsShownAsItWasAskedFor(t *testing.T) {
	p := newPort(t)
	const place = "/2015-03-31/functions/f/configuration"
	p.create("f", map[string]any{"LoggingConfig": map[string]any{"LogFormat": "JSON"}})
	p.settle()
	for _, c := range []struct{ change, want string }{
		{`{}`, `{"ApplicationLogLevel":"INFO","LogFormat":"JSON","LogGroup":"/aws/lambda/f","SystemLogLevel":"INFO"}`},
		{`{"LoggingConfig":{"ApplicationLogLevel":"WARN"}}`, `{"ApplicationLogLevel":"WARN","LogFormat":"JSON","LogGroup":"/aws/lambda/f","SystemLogLevel":"INFO"}`},
		{`{"LoggingConfig":{"LogFormat":"Text"}}`, `{"LogFormat":"Text","LogGroup":"/aws/lambda/f"}`},
	} {
		wants(t, c.change, p.do("PUT", place, c.change), 200)
		p.settle()
		if got := text(t, p.do("GET", place, "").members(t)["LoggingConfig"]); got != c.want {
			t.Errorf("after %s: got %s, want %s", c.change, got, c.want)
		}
	}
	refused(t, "levels of text", p.do("PUT", place, `{"LoggingConfig":{"SystemLogLevel":"WARN"}}`), 400, "InvalidParameterValueException",
		`LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`)
}

func TestConfigurationAndCodeChangeOnlyWhereAsked(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Description": "first", "MemorySize": 256, "Environment": map[string]any{"Variables": map[string]string{"KEY": "v"}}, "LoggingConfig": map[string]any{"LogGroup": "shared"}})
	before := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)
	got := wants(t, "update", p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":7,"VpcConfig":{"SubnetIds":[],"SecurityGroupIds":[]},"Layers":[],"DeadLetterConfig":{"TargetArn":""},"TracingConfig":{"Mode":"PassThrough"}}`), 200).members(t)
	same(t, "UpdateFunctionConfiguration", got, ofActive+" Environment LastUpdateStatusReason LastUpdateStatusReasonCode")
	if got["LastUpdateStatus"] != "InProgress" || got["LastUpdateStatusReason"] != "The function is being created." || got["LastUpdateStatusReasonCode"] != "Creating" || got["State"] != "Active" {
		t.Errorf("got %v", got)
	}
	p.settle()
	after := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)
	for name := range before {
		changes := name == "Timeout" || name == "RevisionId" || name == "LastModified"
		if equal := reflect.DeepEqual(before[name], after[name]); equal && name == "Timeout" || !equal && !changes {
			t.Errorf("%s: before %v, after %v", name, before[name], after[name])
		}
	}
	wants(t, "clear", p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Environment":{},"Description":""}`), 200)
	p.settle()
	after = p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t)
	if text(t, after["Environment"]) != `{"Variables":{}}` || after["Description"] != "" {
		t.Errorf("after clearing: %v %v", after["Environment"], after["Description"])
	}
	refused(t, "an old revision", p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":8,"RevisionId":"`+before["RevisionId"].(string)+`"}`), 412, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")

	new := `{"ZipFile":"` + code(t, "second") + `"`
	would := wants(t, "dry run", p.do("PUT", "/2015-03-31/functions/f/code", new+`,"DryRun":true}`), 200).members(t)
	if now := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t); now["CodeSha256"] != before["CodeSha256"] || would["CodeSha256"] == before["CodeSha256"] {
		t.Errorf("a dry run changed %v, and answered %v", now["CodeSha256"], would["CodeSha256"])
	}
	got = wants(t, "code", p.do("PUT", "/2015-03-31/functions/f/code", new+`,"Architectures":["arm64"]}`), 200).members(t)
	if got["LastUpdateStatus"] != "InProgress" || got["CodeSha256"] != would["CodeSha256"] || text(t, got["Architectures"]) != `["arm64"]` || got["FunctionArn"] != arn("f") {
		t.Errorf("got %v", got)
	}
	p.settle()
	got = wants(t, "publish with code", p.do("PUT", "/2015-03-31/functions/f/code", `{"ZipFile":"`+code(t, "third")+`","Publish":true}`), 200).members(t)
	if got["Version"] != "1" || got["FunctionArn"] != arn("f")+":1" || got["LastUpdateStatus"] != nil || got["State"] != "Pending" {
		t.Errorf("as recorded, the new version is pending without an update: %v", got)
	}
	refused(t, "no code", p.do("PUT", "/2015-03-31/functions/f/code", `{}`), 400, "InvalidParameterValueException", "Please provide a source for function code.")
}

func TestVersionsAndAliasesLiveAsRecorded(t *testing.T) {
	p := newPort(t)
	created := p.create("f", map[string]any{"Publish": true})
	if created["Version"] != "1" || created["FunctionArn"] != arn("f") || created["State"] != "Pending" {
		t.Errorf("created and published: %v", created)
	}
	again := wants(t, "nothing changed", p.do("POST", "/2015-03-31/functions/f/versions", `{"Description":"ignored"}`), 201).members(t)
	same(t, "PublishVersion", again, ofActive)
	if again["Version"] != "1" || again["FunctionArn"] != arn("f")+":1" || again["State"] != "Active" || again["LastUpdateStatus"] != "Successful" {
		t.Errorf("got %v", again)
	}
	p.do("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":9}`)
	p.settle()
	refused(t, "another digest", p.do("POST", "/2015-03-31/functions/f/versions", `{"CodeSha256":"somenonexistentsha256"}`), 400, "InvalidParameterValueException",
		"CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST ("+created["CodeSha256"].(string)+"). Please try again with the CodeSHA256 in $LATEST.")
	if v := wants(t, "second", p.do("POST", "/2015-03-31/functions/f/versions", `{"Description":"two"}`), 201).members(t); v["Version"] != "2" || v["Description"] != "two" {
		t.Errorf("got %v", v)
	}
	list := wants(t, "versions", p.do("GET", "/2015-03-31/functions/f/versions", ""), 200).members(t)["Versions"].([]any)
	for i, want := range []string{"$LATEST", "1", "2"} {
		v := list[i].(map[string]any)
		same(t, "a listed version", v, ofLists)
		if v["Version"] != want || v["FunctionArn"] != arn("f")+":"+want {
			t.Errorf("version %d is %v %v", i, v["Version"], v["FunctionArn"])
		}
	}

	a := wants(t, "alias", p.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"live","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.2}}}`), 201).members(t)
	revision := a["RevisionId"].(string)
	delete(a, "RevisionId")
	if got, want := text(t, a), `{"AliasArn":"`+arn("f")+`:live","Description":"","FunctionVersion":"1","Name":"live","RoutingConfig":{"AdditionalVersionWeights":{"2":0.2}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if v := p.do("GET", "/2015-03-31/functions/f?Qualifier=live", "").members(t)["Configuration"].(map[string]any); v["FunctionArn"] != arn("f")+":live" || v["Version"] != "1" {
		t.Errorf("by alias: %v %v", v["FunctionArn"], v["Version"])
	}
	if v := p.do("GET", "/2015-03-31/functions/f:2/configuration", "").members(t); v["FunctionArn"] != arn("f")+":2" || v["Version"] != "2" {
		t.Errorf("by number: %v %v", v["FunctionArn"], v["Version"])
	}
	a = wants(t, "update", p.do("PUT", "/2015-03-31/functions/f/aliases/live", `{"Description":"d","RoutingConfig":{},"RevisionId":"`+revision+`"}`), 200).members(t)
	same(t, "an alias without weights", a, "AliasArn Description FunctionVersion Name RevisionId")
	if a["Description"] != "d" || a["FunctionVersion"] != "1" || a["RevisionId"] == revision {
		t.Errorf("got %v", a)
	}
	if got := p.do("PUT", "/2015-03-31/functions/f/aliases/live", `{"RevisionId":"`+revision+`"}`); got.status != 412 {
		t.Errorf("an old revision: %d", got.status)
	}
	wants(t, "second alias", p.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"beta","FunctionVersion":"2"}`), 201)
	names := func(target string) (out []string) {
		for _, a := range p.do("GET", target, "").members(t)["Aliases"].([]any) {
			out = append(out, a.(map[string]any)["Name"].(string))
		}
		return out
	}
	if got := fmt.Sprint(names("/2015-03-31/functions/f/aliases"), names("/2015-03-31/functions/f/aliases?FunctionVersion=2")); got != "[beta live] [beta]" {
		t.Errorf("got %s", got)
	}
	wants(t, "a version in use", p.do("DELETE", "/2015-03-31/functions/f?Qualifier=1", ""), 409)
	wants(t, "delete the alias", p.do("DELETE", "/2015-03-31/functions/f/aliases/live", ""), 204)
	wants(t, "delete the version", p.do("DELETE", "/2015-03-31/functions/f?Qualifier=1", ""), 204)
	wants(t, "gone", p.do("GET", "/2015-03-31/functions/f?Qualifier=1", ""), 404)
	if got := wants(t, "delete", p.do("DELETE", "/2015-03-31/functions/f", ""), 204); got.body != "" {
		t.Errorf("body %q", got.body)
	}
	wants(t, "gone", p.do("GET", "/2015-03-31/functions/f", ""), 404)
}

func TestListsComeInPagesThatMeetWithoutGapOrRepeat(t *testing.T) {
	p := newPort(t)
	for i := range 60 {
		p.create(fmt.Sprintf("f-%02d", i), nil)
	}
	read := func(target string) (names []string, pages int) {
		next := ""
		for {
			m := wants(t, target, p.do("GET", target+next, ""), 200).members(t)
			for _, f := range m["Functions"].([]any) {
				v := f.(map[string]any)
				names = append(names, v["FunctionName"].(string)+":"+v["Version"].(string))
			}
			pages++
			marker, more := m["NextMarker"].(string)
			if pages > 60 {
				t.Fatalf("%s does not end", target)
			}
			if !more {
				return names, pages
			}
			next = "&Marker=" + marker
		}
	}
	for target, want := range map[string]int{
		"/2015-03-31/functions?MaxItems=10000":      2, // never more than 50
		"/2015-03-31/functions/?MaxItems=7":         9,
		"/2015-03-31/functions?FunctionVersion=ALL": 2,
	} {
		names, pages := read(target)
		if len(names) != 60 || pages != want || names[0] != "f-00:$LATEST" || names[59] != "f-59:$LATEST" {
			t.Errorf("%s: %d names in %d pages, want 60 in %d: %v", target, len(names), pages, want, names)
		}
	}
	// A function that goes between two pages takes nothing else with it.
	first := p.do("GET", "/2015-03-31/functions?MaxItems=2", "").members(t)
	p.do("DELETE", "/2015-03-31/functions/f-01", "")
	second := p.do("GET", "/2015-03-31/functions?MaxItems=1&Marker="+first["NextMarker"].(string), "").members(t)
	if f := second["Functions"].([]any)[0].(map[string]any); f["FunctionName"] != "f-02" {
		t.Errorf("after f-01 comes %v", f["FunctionName"])
	}
	item := second["Functions"].([]any)[0].(map[string]any)
	same(t, "a listed function", item, ofLists)
	if item["FunctionArn"] != arn("f-02") {
		t.Errorf("ARN %v", item["FunctionArn"])
	}
	for _, marker := range []string{"x", "MTpmLTAx!", base64.RawURLEncoding.EncodeToString([]byte("9:f-01"))} {
		if got := p.do("GET", "/2015-03-31/functions?Marker="+marker, ""); got.status != 400 {
			t.Errorf("marker %s: %d", marker, got.status)
		}
	}
	wants(t, "an empty marker is none", p.do("GET", "/2015-03-31/functions?Marker=", ""), 200)
	wants(t, "too few", p.do("GET", "/2015-03-31/functions?MaxItems=0", ""), 400)
	all := p.do("GET", "/2015-03-31/functions?FunctionVersion=ALL&MaxItems=1", "").members(t)["Functions"].([]any)[0].(map[string]any)
	if all["FunctionArn"] != arn("f-00")+":$LATEST" {
		t.Errorf("of all versions each has its qualified ARN, not %v", all["FunctionArn"])
	}
}

func TestReservedConcurrencyIsKeptShownAndTakenAway(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	for _, n := range []string{"0", "1"} {
		if got := wants(t, "put", p.do("PUT", "/2017-10-31/functions/f/concurrency", `{"ReservedConcurrentExecutions":`+n+`}`), 200).body; got != `{"ReservedConcurrentExecutions":`+n+`}` {
			t.Errorf("put answers %s", got)
		}
		if got := p.do("GET", "/2019-09-30/functions/f/concurrency", "").body; got != `{"ReservedConcurrentExecutions":`+n+`}` {
			t.Errorf("get answers %s", got)
		}
		if got := text(t, p.do("GET", "/2015-03-31/functions/f", "").members(t)["Concurrency"]); got != `{"ReservedConcurrentExecutions":`+n+`}` {
			t.Errorf("GetFunction has %s", got)
		}
	}
	wants(t, "delete", p.do("DELETE", "/2017-10-31/functions/f/concurrency", ""), 204)
	if got := p.do("GET", "/2019-09-30/functions/f/concurrency", "").body; got != `{}` {
		t.Errorf("afterwards %s", got)
	}
}

func TestAFullDiskIsSaidAndNothingIsLost(t *testing.T) {
	p := newPort(t)
	before := p.create("f", nil)
	p.blobs.mu.Lock()
	p.blobs.full = true
	p.blobs.mu.Unlock()
	for what, got := range map[string]reply{
		"create": p.do("POST", "/2015-03-31/functions", request(t, "g", nil)),
		"update": p.do("PUT", "/2015-03-31/functions/f/code", `{"ZipFile":"`+code(t, "other")+`"}`),
	} {
		refused(t, what, got, 503, "ServiceUnavailableException", "The function's package could not be stored.")
	}
	wants(t, "no half function", p.do("GET", "/2015-03-31/functions/g", ""), 404)
	if got := p.do("GET", "/2015-03-31/functions/f/configuration", "").members(t); got["CodeSha256"] != before["CodeSha256"] || got["LastUpdateStatus"] != "Successful" {
		t.Errorf("the old function is %v", got)
	}
}

func TestAnUploadCutHalfWayMakesNothing(t *testing.T) {
	p := newPort(t)
	srv := httptest.NewServer(p)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := request(t, "half", nil)
	fmt.Fprintf(conn, "POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body)+1, body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(conn); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(answer.String(), "HTTP/1.1 400") {
		t.Errorf("got %s", answer.String())
	}
	wants(t, "it", p.do("GET", "/2015-03-31/functions/half", "", "Authorization", ""), 404)
	if len(p.blobs.m) != 0 {
		t.Errorf("%d packages are left", len(p.blobs.m))
	}
}
