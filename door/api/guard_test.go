package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"kiln"
	"kiln/door/api"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func TestOnlyHostsOfTheListAreAnswered(t *testing.T) {
	for _, c := range []struct {
		listen string
		host   string
		want   int
	}{
		{"127.0.0.1:4566", "localhost", 200},
		{"127.0.0.1:4566", "LOCALHOST.:4566", 200},
		{"127.0.0.1:4566", "kiln.localhost:4566", 200},
		{"127.0.0.1:4566", "127.0.0.1:4566", 200},
		{"127.0.0.1:4566", "127.8.9.1", 200},
		{"127.0.0.1:4566", "[::1]:4566", 200},
		{"127.0.0.1:4566", "[::1]", 200},
		{"127.0.0.1:4566", "kiln.example.com:4566", 200}, // configured
		{"127.0.0.1:4566", "a.b.apps.example.org", 200},  // configured with *.
		{"127.0.0.1:4566", "apps.example.org", 403},      // which is not itself
		{"127.0.0.1:4566", "evil.example.com", 403},      // rebound to this machine
		{"127.0.0.1:4566", "localhost.evil.com", 403},
		{"127.0.0.1:4566", "evillocalhost", 403},
		{"127.0.0.1:4566", "127.0.0.1.evil.com", 403},
		{"127.0.0.1:4566", "169.254.169.254", 403}, // an address that is not ours
		{"127.0.0.1:4566", "", 403},
		{"127.0.0.1:4566", "localhost@evil.com", 403},
		{"192.168.7.3:4566", "192.168.7.3:4566", 200}, // what it listens on
		{"192.168.7.3:4566", "192.168.7.4:4566", 403},
		{"kiln.internal:4566", "kiln.internal:4566", 200},
		{":4566", "10.1.2.3:4566", 200},           // every address, but
		{"0.0.0.0:4566", "[fd00::7]:4566", 200},   // no name that was not configured:
		{"0.0.0.0:4566", "evil.example.com", 403}, // names can be rebound
		{"[::]:4566", "10.1.2.3", 200},
	} {
		p := newPort(t, func(o *api.Options) {
			o.Listen, o.Hosts = c.listen, []string{"kiln.example.com", "*.apps.example.org"}
		})
		for _, path := range []string{"/healthz", "/_kiln/v1/version", "/2015-03-31/functions"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = c.host
			if got := p.send(r); got.status != c.want {
				t.Errorf("listening on %s, Host %q, %s: got %d %s, want %d", c.listen, c.host, path, got.status, got.body, c.want)
			}
		}
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	p := newPort(t)
	for _, c := range []struct {
		name, value string
		want        int
	}{
		{"Origin", "https://example.com", 403},
		{"Origin", "null", 403},
		{"Origin", "http://localhost:3000", 403}, // another port is another origin
		{"Origin", "http://localhost:4566", 200},
		{"Origin", "http://LOCALHOST:4566", 200},
		{"Origin", "::", 403},
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Sec-Fetch-Site", "none", 200}, // typed into the address bar
	} {
		for _, path := range []string{"/2015-03-31/functions", "/_kiln/v1/version", "/readyz"} {
			got := p.do("GET", path, "", c.name, c.value)
			if got.status != c.want {
				t.Errorf("%s: %s, %s: got %d, want %d", c.name, c.value, path, got.status, c.want)
			}
			if c.want == 403 && got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %s: the page may read the answer", c.name, c.value)
			}
		}
	}
	ran := false
	p.create("f", nil)
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		ran = true
		return &kiln.Outcome{}, nil
	}
	wants(t, "form of another site", p.do("POST", "/2015-03-31/functions/f/invocations", "{}", "Origin", "https://example.com", "Content-Type", "text/plain"), 403)
	wants(t, "preflight", p.do("OPTIONS", "/2015-03-31/functions/f/invocations", "", "Origin", "https://example.com"), 403)
	if ran {
		t.Error("a page of another site has run a function")
	}
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	p := newPort(t)
	for _, path := range []string{"/healthz", "/2015-03-31/functions", "/2015-03-31/functions/absent", "/nothing", "/_kiln/v1/nothing"} {
		if id := p.do("GET", path, "").header.Get("X-Amzn-RequestId"); !uuid.MatchString(id) {
			t.Errorf("%s: request id %q", path, id)
		}
	}
	sent := "0A1B2C3D-0000-4000-8000-00000000000F"
	if got := p.do("GET", "/2015-03-31/functions", "", "x-amzn-RequestId", sent).header.Get("X-Amzn-RequestId"); got != strings.ToLower(sent) {
		t.Errorf("the caller's id: got %q", got)
	}
	for _, bad := range []string{"1", strings.Repeat("a", 36), "0a1b2c3d-0000-4000-8000-00000000000g", "0a1b2c3d00004000800000000000000f"} {
		got := p.do("GET", "/2015-03-31/functions", "", "x-amzn-RequestId", bad)
		if got.status != 400 || !uuid.MatchString(got.header.Get("X-Amzn-RequestId")) {
			t.Errorf("id %q: got %d with id %q", bad, got.status, got.header.Get("X-Amzn-RequestId"))
		}
	}
}

func TestABadSignatureIsRefusedWithTheServicesWords(t *testing.T) {
	p := newPort(t)
	for _, path := range []string{"/2015-03-31/functions", "/_kiln/v1/logs"} {
		got := p.do("GET", path, "", "Authorization", "AWS4-HMAC-SHA256 Credential=a/b")
		refused(t, path, got, 400, "IncompleteSignatureException", "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a/b")
	}
	wants(t, "health does not ask", p.do("GET", "/healthz", "", "Authorization", "x"), 200)
}

func TestAccountsAndRegionsAreSeparateNameSpaces(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	for what, scope := range map[string][2]string{"another account": {"222222222222", region}, "another region": {account, "us-east-1"}, "an ordinary key": {"AKIDEXAMPLE", region}} {
		sign := []string{"Authorization", "AWS4-HMAC-SHA256 Credential=" + scope[0] + "/20260101/" + scope[1] + "/lambda/aws4_request, SignedHeaders=host, Signature=0"}
		wants(t, what, p.do("GET", "/2015-03-31/functions/f", "", sign...), 404)
		if got := wants(t, what, p.do("GET", "/2015-03-31/functions", "", sign...), 200).body; got != `{"Functions":[]}` {
			t.Errorf("%s lists %s", what, got)
		}
		wants(t, what, p.do("POST", "/2015-03-31/functions", request(t, "f", nil), sign...), 201)
		p.settle()
		wants(t, what, p.do("DELETE", "/2015-03-31/functions/f", "", sign...), 204)
	}
	wants(t, "unsigned", p.do("GET", "/2015-03-31/functions/f", "", "Authorization", ""), 404)
	wants(t, "names differ by case", p.do("GET", "/2015-03-31/functions/F", ""), 404)
	wants(t, "its own", p.do("GET", "/2015-03-31/functions/f", ""), 200)
	refused(t, "an ARN of another region", p.do("GET", "/2015-03-31/functions/arn:aws:lambda:us-west-2:111111111111:function:f", ""),
		404, "ResourceNotFoundException", "Functions from 'us-west-2' are not reachable in this region ('eu-west-1')")
	got := p.do("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A222222222222%3Afunction%3Af/invocations", "{}")
	refused(t, "an ARN of another account", got, 403, "AccessDeniedException", "")
	if !strings.Contains(got.body, `"Message":null`) {
		t.Errorf("body %s", got.body)
	}
}

func TestAPanicIsA500AndNeverABrokenConnection(t *testing.T) {
	var log bytes.Buffer
	p := newPort(t, func(o *api.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Doctor = func() any { panic("on purpose\nlevel=ERROR forged") }
	})
	srv := httptest.NewServer(p)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/_kiln/v1/doctor")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var m struct{ Message string }
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != 500 || strings.Contains(m.Message, "purpose") {
		t.Errorf("got %s %q, %v", resp.Status, m.Message, err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "on purpose") {
		t.Errorf("the log has %d lines:\n%s", n, log.String())
	}
	if _, err := http.Get(srv.URL + "/healthz"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTheAccessLogHasOneLineARequestAndNoneByDefault(t *testing.T) {
	var log bytes.Buffer
	with := func(level slog.Leveler) func(*api.Options) {
		return func(o *api.Options) {
			o.Logger, o.AccessLog = slog.New(slog.NewTextHandler(&log, nil)), level
		}
	}
	p := newPort(t, with(slog.LevelInfo))
	p.do("GET", "/2015-03-31/functions/a%0Alevel=ERROR", "")
	line := log.String()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("the log has more or less than a line:\n%s", line)
	}
	for _, want := range []string{"level=INFO", "method=GET", "path=", "status=400", "account=111111111111", "region=eu-west-1", "requestId=", "took="} {
		if !strings.Contains(line, want) {
			t.Errorf("the line lacks %s: %s", want, line)
		}
	}
	log.Reset()
	newPort(t, with(nil)).do("GET", "/healthz", "")
	if log.Len() != 0 {
		t.Errorf("by default there is %s", log.String())
	}
}

func TestHealthAndReadiness(t *testing.T) {
	var why error
	p := newPort(t, func(o *api.Options) { o.Ready = func() error { return why } })
	if got := wants(t, "ready", p.do("GET", "/readyz", ""), 200); got.body != "ok\n" {
		t.Errorf("body %q", got.body)
	}
	why = errors.New("no sandbox can be made")
	if got := wants(t, "not ready", p.do("GET", "/readyz", ""), 503); got.body != "no sandbox can be made\n" {
		t.Errorf("body %q", got.body)
	}
	wants(t, "healthy all the same", p.do("GET", "/healthz", ""), 200)
	got := wants(t, "another method", p.do("POST", "/healthz", ""), 405)
	if got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
}

func TestRequestsForOtherServicesNameTheService(t *testing.T) {
	p := newPort(t)
	sign := func(service string) []string {
		return []string{"Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"}
	}
	got := p.do("POST", "/", "{}", append(sign("dynamodb"), "X-Amz-Target", "DynamoDB_20120810.ListTables", "Content-Type", "application/x-amz-json-1.0")...)
	refused(t, "JSON", got, 501, "NotImplementedException", "kiln serves AWS Lambda only; this request is for the service dynamodb (DynamoDB_20120810.ListTables)")
	got = p.do("POST", "/", "{}", "Authorization", "", "X-Amz-Target", "AmazonSQS.SendMessage")
	refused(t, "unsigned", got, 501, "NotImplementedException", "kiln serves AWS Lambda only; this request is for the service AmazonSQS (AmazonSQS.SendMessage)")
	got = p.do("GET", "/bucket/key", "", sign("s3")...)
	if got.status != 501 || !strings.Contains(got.body, "<Message>kiln serves AWS Lambda only; this request is for the service s3</Message>") {
		t.Errorf("S3: %d %s", got.status, got.body)
	}
	got = p.do("POST", "/?Action=ListUsers%3C%2FMessage%3E", "", append(sign("iam"), "Content-Type", "application/x-www-form-urlencoded")...)
	if got.status != 501 || !strings.Contains(got.body, "the service iam (ListUsers&lt;/Message&gt;)") {
		t.Errorf("query protocol: %d %s", got.status, got.body)
	}
	got = p.do("GET", "/debug/pprof/", "", "Authorization", "")
	refused(t, "nothing", got, 404, "UnknownOperationException", "kiln serves the AWS Lambda API at this address; nothing is at /debug/pprof/")
	wants(t, "metrics", p.do("GET", "/metrics", "", "Authorization", ""), 404)
	wants(t, "a date and nothing", p.do("GET", "/2015-03-31/nothing", ""), 404)
}
