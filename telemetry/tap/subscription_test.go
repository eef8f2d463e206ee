package tap_test

import (
	"strings"
	"testing"
	"time"

	"kiln/telemetry"
	"kiln/telemetry/tap"
)

func TestASubscriptionIsReadWithTheDefaultsOfAWS(t *testing.T) {
	for _, c := range []struct {
		api  tap.API
		body string
		want tap.Subscription
	}{
		{tap.Telemetry, `{"schemaVersion":"2022-12-13","types":["extension","platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}}`,
			tap.Subscription{API: tap.Telemetry, Schema: telemetry.Schema2212, Types: "platform extension", MaxItems: 10000, MaxBytes: 262144, Timeout: time.Second,
				Port: 8080, Path: "/", Method: "POST", Host: "sandbox.localdomain:8080"}},
		{tap.Telemetry, `{"types":["function"],"buffering":{"maxItems":1000,"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox:1/a/b?c=d","method":"PUT","encoding":"JSON"}}`,
			tap.Subscription{API: tap.Telemetry, Schema: telemetry.Schema2022, Types: "function", MaxItems: 1000, MaxBytes: 262144, Timeout: 25 * time.Millisecond,
				Port: 1, Path: "/a/b?c=d", Method: "PUT", Host: "sandbox:1"}},
		{tap.Telemetry, `{"schemaVersion":"2025-01-29","types":["function","extension","platform"],"buffering":{"maxBytes":1048576,"timeoutMs":30000},"destination":{"protocol":"TCP","port":65535}}`,
			tap.Subscription{API: tap.Telemetry, Schema: telemetry.Schema2025, Types: "platform function extension", MaxItems: 10000, MaxBytes: 1048576, Timeout: 30 * time.Second, TCP: true, Port: 65535}},
		{tap.Logs, `{"types":["platform"],"destination":{"protocol":"TCP","URI":"tcp://sandbox.localdomain:99"}}`,
			tap.Subscription{API: tap.Logs, Schema: telemetry.Schema2020, Types: "platform", MaxItems: 10000, MaxBytes: 262144, Timeout: time.Second, TCP: true, Port: 99}},
	} {
		got, refusal := tap.Parse(c.api, []byte(c.body))
		if refusal != nil || *got != c.want {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", c.body, got, refusal, c.want)
		}
	}
}

func TestABadSubscriptionIsRefusedWithAllThatIsWrong(t *testing.T) {
	const good = `"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:80"}`
	to := func(destination string) string { return `{"types":["platform"],"destination":` + destination + `}` }
	for _, c := range []struct {
		api    tap.API
		body   string
		status int
		typ    string
		says   string
	}{
		{tap.Telemetry, ``, 400, "Telemetry.ValidationError", "invalid request"},
		{tap.Telemetry, `[]`, 400, "Telemetry.ValidationError", "invalid request"},
		{tap.Telemetry, `{` + good + `}{}`, 400, "Telemetry.ValidationError", "more than one object"},
		{tap.Logs, `{"types":[],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain"}}`, 400, "Logs.ValidationError", "types should not be empty; URI port is not provided"},
		{tap.Telemetry, `{"types":["platform","platform"],"destination":{"protocol":"TCP","port":1}}`, 400, "Telemetry.ValidationError", "types should be unique"},
		{tap.Telemetry, `{"types":["all"],"destination":{"protocol":"TCP","port":1}}`, 400, "Telemetry.ValidationError", `not "all"`},
		{tap.Telemetry, `{"schemaVersion":"2021-03-18",` + good + `}`, 400, "Telemetry.ValidationError", "TelemetryAPI only supports"},
		{tap.Logs, `{"schemaVersion":"2022-07-01",` + good + `}`, 400, "Logs.ValidationError", "LogsAPI only supports the following SchemaVersion: 2020-08-15, 2021-03-18"},
		{tap.Telemetry, `{"schemaVersion":"2030-01-01",` + good + `}`, 400, "Telemetry.ValidationError", "2025-01-29"},
		{tap.Telemetry, `{"buffering":{"maxItems":999,"maxBytes":1048577,"timeoutMs":24},` + good + `}`, 400, "Telemetry.ValidationError",
			"maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; timeoutMs should be between 25 and 30000"},
		{tap.Telemetry, `{"buffering":{"maxItems":"many"},` + good + `}`, 400, "Telemetry.ValidationError", "invalid request"},
		{tap.Telemetry, `{"types":["platform"]}`, 400, "Telemetry.ValidationError", "destination is not provided"},
		{tap.Telemetry, to(`{}`), 400, "Telemetry.ValidationError", "protocol should be HTTP or TCP"},
		{tap.Telemetry, to(`{"protocol":"HTTP"}`), 400, "Telemetry.ValidationError", "URI is not provided"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:80","method":"GET"}`), 400, "Telemetry.ValidationError", "method should be POST or PUT"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:0"}`), 400, "Telemetry.ValidationError", "URI port is invalid"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:99999"}`), 400, "Telemetry.ValidationError", "URI port is invalid"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:9001/"}`), 400, "Telemetry.ValidationError", "port 9001 is reserved"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://u:p@sandbox.localdomain:80/"}`), 400, "Telemetry.ValidationError", "URI is invalid"},
		{tap.Telemetry, to(`{"protocol":"TCP"}`), 400, "Telemetry.ValidationError", "port is not provided"},
		{tap.Telemetry, to(`{"protocol":"TCP","port":70000}`), 400, "Telemetry.ValidationError", "port should be between 1 and 65535"},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"https://sandbox.localdomain:80"}`), 403, "Telemetry.AccessDenied", "Only 'http' scheme is supported."},
		{tap.Logs, to(`{"protocol":"HTTP","URI":"http://example.com:80"}`), 403, "Logs.AccessDenied", "Only 'sandbox.localdomain' hostname is supported."},
		{tap.Telemetry, to(`{"protocol":"HTTP","URI":"http://127.0.0.1:80"}`), 403, "Telemetry.AccessDenied", "Only 'sandbox.localdomain' hostname is supported."},
		{tap.Telemetry, to(`{"protocol":"TCP","URI":"tcp://169.254.169.254:80"}`), 403, "Telemetry.AccessDenied", "Only 'sandbox.localdomain' hostname is supported."},
	} {
		got, refusal := tap.Parse(c.api, []byte(c.body))
		if got != nil || refusal == nil || refusal.Status != c.status || refusal.Type != c.typ || !strings.Contains(refusal.Message, c.says) {
			t.Errorf("%s: got %+v, %v", c.body, got, refusal)
		}
	}
}

func FuzzASubscriptionIsGoodOrRefusedAndNeverLeadsOutside(f *testing.F) {
	f.Add(`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:80/x"}}`)
	f.Add(`{"types":["function"],"destination":{"protocol":"TCP","port":80}}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, refusal := tap.Parse(tap.Telemetry, []byte(body))
		if (s == nil) == (refusal == nil) {
			t.Fatalf("got %v, %v", s, refusal)
		}
		if s != nil && (s.Port < 1 || s.Port > 65535 || s.Port == 9001 || s.Types == "" || s.MaxBytes > 1048576 || s.MaxItems > 10000 || !s.TCP && !strings.HasPrefix(s.Path, "/")) {
			t.Errorf("got %+v", s)
		}
	})
}
