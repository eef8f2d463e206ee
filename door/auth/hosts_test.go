package auth_test

import (
	"net/http/httptest"
	"testing"

	"kiln/door/auth"
)

func TestAPortAnswersToItsOwnNamesOnly(t *testing.T) {
	own := auth.NewHosts("192.168.7.3:4566", []string{"Kiln.Example.com.", "*.apps.example.org", "*", ""})
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.:80": true, "a.localhost": true, "127.0.0.1:1": true, "[::1]:1": true, "[::1]": true,
		"192.168.7.3": true, "192.168.7.3:9": true, "kiln.example.com:4566": true, "x.apps.example.org": true,
		"192.168.7.4": false, "evil.example.com": false, "apps.example.org": false, ".apps.example.org": false, "localhost.evil.com": false,
		"": false, ":4566": false, "[": false, "::ffff:8.8.8.8": false, "0.0.0.0": false,
	} {
		if got := own.Allow(host); got != want {
			t.Errorf("Allow(%q) = %v, want %v", host, got, want)
		}
	}
	for _, listen := range []string{":4566", "0.0.0.0:4566", "[::]:4566"} {
		every := auth.NewHosts(listen, nil)
		if !every.Allow("10.1.2.3:4566") || !every.Allow("[fd00::1]") || every.Allow("evil.example.com") {
			t.Errorf("listening on %s answers to addresses and to no name", listen)
		}
	}
}

func TestAPageOfAnotherOriginIsForeign(t *testing.T) {
	for _, c := range []struct {
		name, value string
		foreign     bool
	}{
		{"", "", false},
		{"Origin", "http://localhost:4566", false},
		{"Origin", "https://LocalHost:4566", false},
		{"Origin", "http://localhost", true},
		{"Origin", "http://localhost:4567", true},
		{"Origin", "null", true},
		{"Origin", "", true},
		{"Sec-Fetch-Site", "cross-site", true},
		{"Sec-Fetch-Site", "same-site", false}, // then Origin decides, where it matters
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = "localhost:4566"
		if c.name != "" {
			r.Header.Set(c.name, c.value)
		}
		if why := auth.Foreign(r); (why != "") != c.foreign {
			t.Errorf("%s: %q: got %q", c.name, c.value, why)
		}
	}
	two := httptest.NewRequest("POST", "/", nil)
	two.Host = "localhost:4566"
	two.Header["Origin"] = []string{"http://localhost:4566", "https://example.com"}
	if auth.Foreign(two) == "" {
		t.Error("the second of two origins is not looked at")
	}
}
