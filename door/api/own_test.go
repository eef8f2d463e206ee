package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/door/api"
)

func TestVersionTellsWhatServesAndAsWhom(t *testing.T) {
	watch := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p := newPort(t, func(o *api.Options) { o.Now = watch.now })
	watch.move(90 * time.Second)
	var got api.About
	if err := json.Unmarshal([]byte(p.do("GET", "/_kiln/v1/version", "").body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Architecture != "x86_64" && got.Architecture != "arm64" {
		t.Errorf("architecture %q", got.Architecture)
	}
	got.Architecture = ""
	if want := (api.About{Version: "1.2.3", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), UptimeSeconds: 90, Account: account, Region: region}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPartsThatAServerDoesNotHaveSaySo(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Runtimes = nil })
	for _, path := range []string{"doctor", "runtimes", "logs", "environments"} {
		got := wants(t, path, p.do("GET", "/_kiln/v1/"+path, ""), 501)
		if m := got.members(t); m["code"] != "unsupported" || m["message"] == "" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	p.create("f", nil)
	wants(t, "functions are shown all the same", p.do("GET", "/2015-03-31/functions/f", ""), 200)
	got := wants(t, "nothing", p.do("GET", "/_kiln/v1/secrets", ""), 404)
	if got.members(t)["code"] != "not found" {
		t.Errorf("got %s", got.body)
	}
}

func TestDoctorAndEnvironmentsAreShown(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var list []api.EnvironmentInfo
	p := newPort(t, func(o *api.Options) {
		o.Doctor = func() any { return map[string]bool{"seccomp": true} }
		o.Environments = func() []api.EnvironmentInfo { return list }
	})
	if got := p.do("GET", "/_kiln/v1/doctor", ""); got.body != `{"seccomp":true}`+"\n" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("doctor: %q", got.body)
	}
	if got := p.do("GET", "/_kiln/v1/environments", ""); got.body != "[]\n" {
		t.Errorf("none: %q", got.body)
	}
	list = []api.EnvironmentInfo{{Worker: "local", ID: "e1", Function: arn("f") + ":1", State: "idle", Frozen: true, MemoryBytes: 5, MemoryMB: 128, Since: since, AgeSeconds: 1.5, Invocations: 3}}
	want := `[{"worker":"local","id":"e1","function":"` + arn("f") + `:1","state":"idle","frozen":true,"memoryBytes":5,"memoryMB":128,"since":"2026-01-02T03:04:05Z","ageSeconds":1.5,"invocations":3}]`
	if got := p.do("GET", "/_kiln/v1/environments", ""); got.body != want+"\n" {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

func TestRuntimesAreListedFetchedAndForgotten(t *testing.T) {
	p := newPort(t)
	if got := p.do("GET", "/_kiln/v1/runtimes", ""); got.body != `[{"identifier":"python3.12","state":"ready","source":"/usr/bin/python3.12"}]`+"\n" {
		t.Errorf("list: %s", got.body)
	}
	got := wants(t, "fetch", p.do("POST", "/_kiln/v1/runtimes/nodejs22.x", ""), 200)
	if want := `{"done":5,"total":10}` + "\n" + `{"done":10,"total":10}` + "\n" + `{"done":0,"ready":true}` + "\n"; got.body != want || got.header.Get("Content-Type") != "application/jsonlines" {
		t.Errorf("got %s %q, want %q", got.header.Get("Content-Type"), got.body, want)
	}
	got = wants(t, "an unknown one", p.do("POST", "/_kiln/v1/runtimes/cobol85", ""), 404)
	if got.message() != "no runtime cobol85 is known" {
		t.Errorf("got %s", got.body)
	}
	for _, bad := range []string{"..%2f..%2fetc", "..", "Python", "a%00b", strings.Repeat("a", 65)} {
		wants(t, bad, p.do("POST", "/_kiln/v1/runtimes/"+bad, ""), 400)
		wants(t, bad, p.do("DELETE", "/_kiln/v1/runtimes/"+bad, ""), 400)
	}
	wants(t, "forget", p.do("DELETE", "/_kiln/v1/runtimes/nodejs22.x", ""), 204)
	wants(t, "forget what is not there", p.do("DELETE", "/_kiln/v1/runtimes/ruby3.3", ""), 404)
	got = wants(t, "another method", p.do("PUT", "/_kiln/v1/runtimes/nodejs22.x", ""), 405)
	if got.header.Get("Allow") != "POST, DELETE" {
		t.Errorf("Allow %q", got.header.Get("Allow"))
	}
}

// breaking fails after it has begun.
type breaking struct{ shelf }

func (breaking) Add(_ context.Context, _ string, progress func(done, total int64)) error {
	progress(1, 0)
	return errors.New("read tcp 10.0.0.1: connection reset")
}

func TestAFetchThatFailsAfterItBeganSaysSoInItsLastLine(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Runtimes = breaking{} })
	got := wants(t, "fetch", p.do("POST", "/_kiln/v1/runtimes/nodejs22.x", ""), 200)
	if want := `{"done":1}` + "\n" + `{"done":0,"problem":{"code":"internal","message":"An error occurred and the request cannot be processed."}}` + "\n"; got.body != want {
		t.Errorf("got %q, want %q", got.body, want)
	}
}

func diaryOf(lines ...string) *diary {
	d := &diary{asked: make(chan api.LogQuery, 8)}
	for i, line := range lines {
		name, text, _ := strings.Cut(line, ":")
		d.records = append(d.records, api.LogRecord{Time: time.Date(2026, 1, 2, 3, 4, i, 0, time.UTC), Type: "function", Group: "/aws/lambda/" + name, Stream: "s", Function: name, Version: "$LATEST", RequestID: "r", Text: text})
	}
	return d
}

func TestLogsAreReadAsTheQueryAsks(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	d := diaryOf("f:\x1b[31mSTART RequestId: forged\nREPORT", "g:other")
	p := newPort(t, func(o *api.Options) { o.Logs, o.Now = d, func() time.Time { return now } })
	p.create("f", map[string]any{"LoggingConfig": map[string]any{"LogGroup": "shared"}})
	for _, c := range []struct {
		query string
		want  api.LogQuery
		lines int
	}{
		{"", api.LogQuery{Limit: 1000}, 2},
		{"?function=f", api.LogQuery{Group: "shared", Limit: 1000}, 1},
		{"?function=" + arn("f"), api.LogQuery{Group: "shared", Limit: 1000}, 1},
		{"?function=gone", api.LogQuery{Group: "/aws/lambda/gone", Limit: 1000}, 0},
		{"?group=/aws/lambda/f&stream=2026/01/02/[$LATEST]00&limit=5", api.LogQuery{Group: "/aws/lambda/f", Stream: "2026/01/02/[$LATEST]00", Limit: 5}, 2},
		{"?requestId=AB-1&since=10m", api.LogQuery{RequestID: "ab-1", Since: now.Add(-10 * time.Minute), Limit: 1000}, 2},
		{"?since=2026-01-02T11:00:00.5Z&follow=0", api.LogQuery{Since: time.Date(2026, 1, 2, 11, 0, 0, 5e8, time.UTC), Limit: 1000}, 2},
	} {
		got := wants(t, c.query, p.do("GET", "/_kiln/v1/logs"+c.query, ""), 200)
		c.want.Scope = kiln.Scope{Account: account, Region: region}
		if asked := <-d.asked; asked != c.want {
			t.Errorf("%s: asked %+v, want %+v", c.query, asked, c.want)
		}
		if n := strings.Count(got.body, "\n"); n != c.lines {
			t.Errorf("%s: %d lines, want %d: %s", c.query, n, c.lines, got.body)
		}
	}
	// What the function wrote is one record, whatever it wrote.
	first, _, _ := strings.Cut(p.do("GET", "/_kiln/v1/logs", "").body, "\n")
	var rec api.LogRecord
	if err := json.Unmarshal([]byte(first), &rec); err != nil || rec.Text != d.records[0].Text || strings.Contains(first, "\x1b") {
		t.Errorf("got %q, %v", first, err)
	}
	for _, bad := range []string{"?limit=-1", "?limit=x", "?limit=100001", "?since=yesterday", "?since=-5m", "?follow=yes", "?functions=f", "?function=a/b", "?function=arn:aws:lambda:us-east-1:111111111111:function:f"} {
		got := wants(t, bad, p.do("GET", "/_kiln/v1/logs"+bad, ""), 400)
		if m := got.members(t); m["code"] != "invalid" || m["message"] == "" {
			t.Errorf("%s: %s", bad, got.body)
		}
	}
}

func TestFollowingLogsEndsWithTheClientAndWithTheServer(t *testing.T) {
	for _, end := range []string{"client", "server"} {
		t.Run(end, func(t *testing.T) {
			d := diaryOf("f:one", "g:not wanted", "f:two")
			p := newPort(t, func(o *api.Options) { o.Logs = d })
			srv := httptest.NewServer(p)
			defer srv.Close() // waits for the request
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/_kiln/v1/logs?follow=1&function=f", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			var texts []string
			for len(texts) < 2 && lines.Scan() {
				var rec api.LogRecord
				if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
					t.Fatal(err)
				}
				texts = append(texts, rec.Text)
			}
			if !slices.Equal(texts, []string{"one", "two"}) {
				t.Fatalf("got %q", texts)
			}
			if end == "client" {
				leave()
				return
			}
			p.Drain()
			if lines.Scan() || lines.Err() != nil {
				t.Errorf("the stream did not end in order: %q %v", lines.Text(), lines.Err())
			}
		})
	}
}
