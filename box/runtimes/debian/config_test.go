package debian_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"kiln"
	"kiln/box/runtimes/debian"
)

// TestTheMirrorIsTheMachinesOwn looks at which sources lead to Debian, without asking
// one.
func TestTheMirrorIsTheMachinesOwn(t *testing.T) {
	const list, more = "etc/apt/sources.list", "etc/apt/sources.list.d/more"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "" is a mirror that can be used
	}{
		"one line":         {map[string]string{list: "# of course\ndeb-src http://m/debian trixie main\ndeb http://m/debian trixie main contrib\n"}, ""},
		"another suite":    {map[string]string{list: "deb http://m/debian bookworm main\n"}, ""},
		"by its role":      {map[string]string{list: "deb [arch=amd64,arm64] https://m/debian stable main\n"}, ""},
		"a paragraph":      {map[string]string{more + ".sources": "# one\nEnabled: yes\nTypes: deb deb-src\nURIs: http://m/debian\n http://n/debian\nSuites: sid\nComponents: main\n"}, ""},
		"a directory":      {map[string]string{list: "deb file:/srv/debian trixie main\n"}, ""},
		"copied from one":  {map[string]string{list: "deb copy:///srv/debian trixie main\n"}, ""},
		"nothing":          {map[string]string{}, "this machine's apt has no source of Debian: name one with --debian-mirror URL, or debian-mirror in kiln.yaml"},
		"only sources":     {map[string]string{list: "deb-src http://m/debian trixie main\n"}, "has no source of Debian"},
		"switched off":     {map[string]string{more + ".sources": "Enabled: no\nTypes: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main\n"}, "has no source of Debian"},
		"not read by apt":  {map[string]string{more + ".list.off": "deb http://m/debian trixie main\n", more + "~.list": "deb http://m/debian trixie main\n"}, "has no source of Debian"},
		"somebody else's":  {map[string]string{list: "deb http://m/node nodistro main\ndeb http://m/docker bookworm stable\ndeb http://m/pg bookworm-pgdg main\ndeb http://m/u noble main\n"}, "has no source of Debian"},
		"without main":     {map[string]string{list: "deb http://m/debian trixie contrib\n"}, "has no source of Debian"},
		"another machine":  {map[string]string{list: "deb [arch=sparc64] http://m/debian trixie main\n", more + ".sources": "Types: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main\nArchitectures: sparc64\n"}, "has no source of Debian"},
		"a disc":           {map[string]string{list: "deb cdrom:[Debian]/ trixie main\n"}, "cannot be used: cdrom:"},
		"a hidden service": {map[string]string{list: "deb tor+http://user:secret@m/debian trixie main\n"}, "tor+http://user:xxxxx@m/debian: kiln speaks http, https and file"},
		"a disc and more":  {map[string]string{list: "deb cdrom:[Debian]/ trixie main\ndeb http://m/debian bookworm main\n"}, ""},
		"a lost list":      {map[string]string{list: "deb mirror+file:/etc/apt/mirrors.list trixie main\n"}, "mirrors.list: no such file"},
	} {
		c.files["usr/share/keyrings/debian-archive-keyring.gpg"] = keyText(t, false, newMirror(t).key)
		err := open(t, debian.Options{Host: host(t, c.files)}).Reaches("trixie")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || kiln.CodeOf(err) != kiln.Unsupported) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	for _, mirror := range []string{"ftp://m/debian", "m/debian", "http://", "file:debian", "://"} {
		err := open(t, debian.Options{Host: t.TempDir(), Mirror: mirror}).Reaches("trixie")
		if kiln.CodeOf(err) != kiln.Invalid || !strings.Contains(err.Error(), "the Debian mirror") {
			t.Errorf("%s: got %v", mirror, err)
		}
	}
}

func TestAConfigurationThatCannotBeReadIsSaid(t *testing.T) {
	for file, text := range map[string]string{
		"etc/apt/sources.list": "deb [arch=amd64 http://m trixie main\n", "etc/apt/sources.list.d/x.list": "deb http://m\n",
		"etc/apt/sources.list.d/x.sources": "Types deb\n", "etc/apt/apt.conf.d/x": "A {", "etc/apt/apt.conf": `A "`,
	} {
		_, err := debian.Open(debian.Options{Host: host(t, map[string]string{file: text}), Getenv: func(string) string { return "" }})
		if err == nil || !strings.Contains(err.Error(), file+": ") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestTheProxyIsTheOneThatAptGoesThrough(t *testing.T) {
	m := newMirror(t)
	m.simple("")
	var through atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through.Add(1)
		r.RequestURI = ""
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		if _, err := io.Copy(w, response.Body); err != nil {
			t.Error(err)
		}
	}))
	defer proxy.Close()
	for name, c := range map[string]struct {
		conf string
		want bool
	}{
		"none":              {"", false},
		"one for all":       {`Acquire::http::Proxy "` + proxy.URL + `";`, true},
		"not for this host": {`Acquire::http { Proxy "` + proxy.URL + `"; Proxy::127.0.0.1 "DIRECT"; };`, false},
		"for this host":     {`Acquire::http::Proxy::127.0.0.1 "` + proxy.URL + `";`, true},
		"for another":       {`Acquire::http::Proxy::m.example "` + proxy.URL + `";`, false},
	} {
		through.Store(0)
		machine := host(t, map[string]string{
			"etc/apt/sources.list": "deb " + m.url + " trixie main\n", "etc/apt/apt.conf.d/50proxy": c.conf,
			"usr/share/keyrings/debian-archive-keyring.gpg": keyText(t, false, m.key),
		})
		if _, err := build(t, m.open(debian.Options{Host: machine}), "a"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := through.Load() > 0; got != c.want {
			t.Errorf("%s: through the proxy: %v, want %v", name, got, c.want)
		}
	}
}

func TestAuthoritiesOfAptCountForItsServers(t *testing.T) {
	m := newMirror(t)
	m.simple("")
	server := httptest.NewTLSServer(m)
	defer server.Close()
	files := map[string]string{
		"etc/apt/sources.list":                          "deb " + server.URL + "/debian trixie main\n",
		"usr/share/keyrings/debian-archive-keyring.gpg": keyText(t, false, m.key),
	}
	if _, err := build(t, m.open(debian.Options{Host: host(t, files)}), "a"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: got %v", err)
	}
	files["own/ca.pem"] = pemOf(server.Certificate().Raw)
	files["etc/apt/apt.conf"] = `Acquire::https::CAInfo "/own/ca.pem";`
	if _, err := build(t, m.open(debian.Options{Host: host(t, files)}), "a"); err != nil {
		t.Error(err)
	}
	files["own/ca.pem"] = "nothing"
	if _, err := debian.Open(debian.Options{Host: host(t, files)}); err == nil || !strings.Contains(err.Error(), "has no certificates") {
		t.Errorf("got %v", err)
	}
}

func TestTheVariableOfAptNamesOneMoreConfiguration(t *testing.T) {
	m := newMirror(t)
	m.simple("Valid-Until: Sat, 07 Nov 2015 08:00:00 UTC\n")
	file := t.TempDir() + "/extra.conf"
	if err := os.WriteFile(file, []byte(`Acquire::Check-Valid-Until "no";`), 0o644); err != nil {
		t.Fatal(err)
	}
	named := func(name string) string { return map[string]string{"APT_CONFIG": file}[name] }
	if _, err := build(t, m.open(debian.Options{Getenv: named}), "a"); err != nil {
		t.Error(err)
	}
}
