package rapi_test

import (
	"fmt"
	"strings"
	"testing"

	"kiln/box/rapi"
)

// put writes a subscription.
func put(path, headers, body string) string {
	return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
}

func TestASubscriptionReachesTheGuestAsItWasSent(t *testing.T) {
	const id = "Lambda-Extension-Identifier: 0f0e\r\n"
	for _, c := range []struct{ path, headers, body, told string }{
		{"/2022-07-01/telemetry", id, `{"a":1}`, `subscribe Telemetry "0f0e"`},
		{"/2022-07-01/telemetry/", strings.ToLower(id), `{}`, `subscribe Telemetry "0f0e"`},
		{"/2020-08-15/logs", id, `not JSON`, `subscribe Logs "0f0e"`},
		{"/2020-08-15/logs", "", ``, `subscribe Logs ""`},
	} {
		g := newGuest()
		p := serve(t, g, rapi.Options{}).dial()
		resp, text := p.send(put(c.path, c.headers, c.body)).answer("PUT")
		if resp.StatusCode != 200 || text != `"OK"` || resp.Header.Get("Content-Type") != "application/json" || resp.Close {
			t.Errorf("%s: got %d %s", c.path, resp.StatusCode, text)
		}
		if told, body := g.told(); told != c.told || body != c.body {
			t.Errorf("%s: the guest was told %s with %q", c.path, told, body)
		}
	}
}

func TestASubscriptionThatIsRefusedSaysWhy(t *testing.T) {
	g := newGuest()
	g.refuse = &rapi.Refusal{Status: 403, Type: "Telemetry.SubscriptionClosed", Message: "Telemetry API subscription is closed already"}
	p := serve(t, g, rapi.Options{}).dial()
	resp, text := p.send(put("/2022-07-01/telemetry", "", "{}")).answer("PUT")
	if want := `{"errorMessage":"Telemetry API subscription is closed already","errorType":"Telemetry.SubscriptionClosed"}`; resp.StatusCode != 403 || text != want || resp.Close {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
}

func TestASubscriptionOfTooManyBytesIsNotRead(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	resp, text := p.send(put("/2020-08-15/logs", "", strings.Repeat("x", 65<<10))).answer("PUT")
	if resp.StatusCode != 413 || !strings.Contains(text, "Logs.ValidationError") {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
	if told, _ := g.told(); told != "" {
		t.Errorf("the guest was told %s", told)
	}
}
