package query_test

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"kiln/door/auth"
	"kiln/door/services/query"
)

func service() *query.Service {
	return &query.Service{
		Namespace: "urn:x", Version: "1", Log: slog.New(slog.DiscardHandler), Explain: func(error) *query.Error { return nil },
		Actions: map[string]func(*query.Call) (any, error){
			"Echo":  func(c *query.Call) (any, error) { return struct{ Text []string }{c.Members("Text", "")}, nil },
			"Fault": func(*query.Call) (any, error) { return nil, errors.New("disk /dev/sda1 is gone") },
			"None":  func(*query.Call) (any, error) { return nil, nil },
		},
	}
}

func ask(t *testing.T, method, target, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	service().ServeAWS(w, httptest.NewRequest(method, target, strings.NewReader(body)), auth.Identity{}, "id")
	if got := w.Header().Get("Content-Type"); got != "text/xml" {
		t.Errorf("content type %q", got)
	}
	return w.Code, w.Body.String()
}

func TestAFormIsAnsweredInXML(t *testing.T) {
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		want                       string
	}{
		{"in the body", "POST", "/", "Action=Echo&Version=1&Text.member.1=a%26%3C&Text.member.2=b&Text.member.4=d", 200,
			`<EchoResponse xmlns="urn:x"><EchoResult><Text>a&amp;&lt;</Text><Text>b</Text></EchoResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></EchoResponse>`},
		{"in the query", "GET", "/?Action=None", "", 200, `<NoneResponse xmlns="urn:x"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></NoneResponse>`},
		{"nothing", "POST", "/", "", 400, `<ErrorResponse xmlns="urn:x"><Error><Type>Sender</Type><Code>MissingAction</Code>`},
		{"no form", "POST", "/", "%zz", 400, "<Code>MalformedQueryString</Code>"},
		{"another version", "POST", "/", "Action=Echo&Version=2", 400, "<Code>InvalidAction</Code>"},
		{"an action of HTML", "POST", "/", "Action=" + url.QueryEscape("<script>"), 501, "kiln does not have the action &lt;script&gt; yet"},
		{"too long", "POST", "/", "Action=Echo&x=" + strings.Repeat("x", 600<<10), 413, "<Code>RequestEntityTooLarge</Code>"},
		{"a fault", "POST", "/", "Action=Fault", 500, "<Type>Receiver</Type><Code>ServiceFailure</Code>"},
	} {
		status, body := ask(t, c.method, c.target, c.body)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s, want %d …%s…", c.name, status, body, c.status, c.want)
		}
		if strings.Contains(body, "sda1") {
			t.Errorf("%s: a fault is told: %s", c.name, body)
		}
	}
}

func FuzzNoFormIsAFault(f *testing.F) {
	f.Add("Action=Echo&Text.member.1=a")
	f.Add("%")
	f.Add("Action=Echo;Version")
	f.Fuzz(func(t *testing.T, body string) {
		if status, text := ask(t, "POST", "/", body); status >= 500 && status != 501 && !strings.Contains(body, "Fault") {
			t.Errorf("%q: %d %s", body, status, text)
		}
	})
}
