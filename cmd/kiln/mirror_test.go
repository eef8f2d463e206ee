package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestAMirrorIsTheServersOwnSettingWhereThereIsOne(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{"GET /_kiln/v1/version": says(200, "", `{}`)})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	got := runKiln(t, env, "", "runtime", "add", "python3.13", "--debian-mirror", "http://mirror.example/debian")
	if got.code != exitUsage || !strings.Contains(got.talk, "--debian-mirror: a server runs and fetches by its own configuration: set debian-mirror there") {
		t.Errorf("got %d %s", got.code, got.talk)
	}
	if got := runKiln(t, env, "", "runtime", "rm", "python3.13", "--debian-mirror", "http://mirror.example/debian"); got.code != exitUsage {
		t.Errorf("a flag that would change nothing: got %d %s", got.code, got.talk)
	}
}

func TestAMirrorIsAnAddressThatCanBeSpokenTo(t *testing.T) {
	w := fakeWorld()
	for value, ok := range map[string]bool{
		"": true, "http://m/debian": true, "https://m:3142/debian/": true, "file:///srv/debian": true,
		"ftp://m/debian": false, "m/debian": false, "http://": false, "file:debian": false, "http://[": false,
	} {
		c, _, err := load(w, layers{flags: map[string]string{"debian-mirror": value, "debian-keyring": "/k"}})
		if (err == nil) != ok || ok && (c.DebianMirror != value || c.DebianKeyring != "/k") {
			t.Errorf("%q: got %+v %v", value, c, err)
		}
	}
}
