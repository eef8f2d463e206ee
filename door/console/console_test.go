package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/door/console"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func status() console.Status {
	return console.Status{
		Version: "1.2.3", Started: start, API: "http://127.0.0.1:4566", DataDir: "/var/lib/kiln", Sandbox: "linux: full isolation", Functions: 3,
		Load: kiln.Load{MemoryBytes: 4 << 30, MemoryUsedBytes: 1 << 30, Running: 2, Waiting: 1},
		Environments: []console.Environment{
			{ID: "e1", Function: "hello", Version: "$LATEST", Account: "000000000000", Region: "us-east-1", State: "idle", Frozen: true, MemoryBytes: 9 << 20, MemoryMB: 128, Since: start.Add(3 * time.Minute), Invocations: 7},
			{ID: `"><script>alert(1)</script>`, Function: `<script>alert("x")</script>`, Version: "1", State: "busy", MemoryMB: 256, Since: start},
		},
	}
}

func get(t *testing.T, s func() console.Status, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	c := console.New(console.Options{Status: s, Listen: "127.0.0.1:4567", Hosts: []string{"kiln.example.com"}, Now: func() time.Time { return start.Add(26*time.Hour + 5*time.Minute) }})
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "localhost:4567"
	for i := 0; i < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			r.Host = headers[i+1]
		case "Method":
			r.Method = headers[i+1]
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestThePageShowsTheServer(t *testing.T) {
	w := get(t, status, "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	body := w.Body.String()
	for _, want := range []string{"1.2.3", "Ready", "<dd>3</dd>", "<dd>2</dd>", "1 d 2 h", "1.0 GiB", "25 % of 4.0 GiB", "hello", "$LATEST", "9 MiB", "of 128", "idle", "frozen",
		"aws --endpoint-url http://127.0.0.1:4566 lambda list-functions", `href="http://127.0.0.1:4566/_kiln/v1/doctor"`, "/var/lib/kiln", "linux: full isolation", "1 d 2 h"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, `title=""`) {
		t.Errorf("a name became markup:\n%s", body)
	}
}

func TestAServerThatIsNotReadySaysWhy(t *testing.T) {
	body := get(t, func() console.Status {
		return console.Status{Problem: "no sandbox <here>", Started: start}
	}, "/").Body.String()
	for _, want := range []string{"Not ready: no sandbox &lt;here&gt;", "None. The first call"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
}

func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	body := get(t, status, "/").Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "http://127.0.0.1:4566/") {
			t.Errorf("the page points to %s", m[1])
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "style=") {
		t.Error("the page has what its policy forbids")
	}
	css := get(t, status, "/style.css")
	if css.Code != 200 || css.Header().Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(css.Body.String(), "url(") || strings.Contains(css.Body.String(), "@import") {
		t.Errorf("style sheet: %d %s", css.Code, css.Header().Get("Content-Type"))
	}
}

func TestEveryAnswerHasItsPolicy(t *testing.T) {
	for _, path := range []string{"/", "/status.json", "/style.css", "/absent"} {
		h := get(t, status, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Frame-Options":         "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestTheFiguresAreTheSameAsJSON(t *testing.T) {
	var got console.Status
	if err := json.Unmarshal(get(t, status, "/status.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Functions != 3 || len(got.Environments) != 2 || got.Environments[0] != status().Environments[0] || got.Load != status().Load {
		t.Errorf("got %+v", got)
	}
	if body := get(t, status, "/status.json").Body.String(); !strings.Contains(body, `"load":{"memoryBytes":4294967296,"memoryUsedBytes":1073741824,"environments":0,"running":2,"waiting":1}`) {
		t.Errorf("got %s", body)
	}
	if body := get(t, func() console.Status { return console.Status{} }, "/status.json").Body.String(); !strings.Contains(body, `"environments":[]`) {
		t.Errorf("none: %s", body)
	}
}

func TestALongListIsCutOnThePageOnly(t *testing.T) {
	many := func() console.Status {
		s := status()
		s.Environments = make([]console.Environment, 1000)
		for i := range s.Environments {
			s.Environments[i] = console.Environment{Function: "many", Since: start}
		}
		return s
	}
	body := get(t, many, "/").Body.String()
	if n := strings.Count(body, ">many<"); n != 200 || !strings.Contains(body, "800 more are in") || !strings.Contains(body, "<dd>1000</dd>") {
		t.Errorf("%d rows", n)
	}
}

func TestOnlyItsOwnPageMayAsk(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        int
	}{
		{"Host", "127.0.0.1:4567", http.StatusOK},
		{"Host", "kiln.example.com", http.StatusOK},
		{"Host", "evil.example.com", http.StatusForbidden},
		{"Origin", "http://localhost:4567", http.StatusOK},
		{"Origin", "http://localhost:4566", http.StatusForbidden}, // what functions answer has that origin
		{"Origin", "null", http.StatusForbidden},
		{"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"Method", "POST", http.StatusMethodNotAllowed},
		{"Method", "OPTIONS", http.StatusMethodNotAllowed},
	} {
		for _, path := range []string{"/", "/status.json"} {
			if got := get(t, status, path, c.name, c.value).Code; got != c.want {
				t.Errorf("%s: %s, %s: got %d, want %d", c.name, c.value, path, got, c.want)
			}
		}
	}
	for _, path := range []string{"/page.html", "/../console.go", "/%2e%2e/console.go", "/static/"} {
		if got := get(t, status, path).Code; got != http.StatusNotFound {
			t.Errorf("%s: got %d", path, got)
		}
	}
}
