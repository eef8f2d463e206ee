package debian_test

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/box/runtimes/debian"
)

func TestVersionsAreOrderedAsDebianOrdersThem(t *testing.T) {
	rising := []string{
		"~~", "~~a", "~", "", "0.1~rc1-1", "0.1", "0.1a", "0.1+b", "0.1.1", "0.9-1", "0.10-1", "0.10-1+b1", "0.10-1+deb12u1",
		"1.0~beta", "1.0-1~bpo", "1.0-1", "1.0-1.1", "1.0-10", "1.2.3-a-1", "1.2.3-a-2", "2024a", "2026b-0+deb12u1", "1:0.1", "2:0",
	}
	for i, a := range rising {
		for j, b := range rising {
			got := debian.CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q against %q: got %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "0:1.0"}, {"1.00", "1.0"}, {"1.0-0", "1.0-"}, {"1.0-0", "1.0"}} {
		if got := debian.CompareVersions(same[0], same[1]); got != 0 {
			t.Errorf("%q against %q: got %d, want 0", same[0], same[1], got)
		}
	}
}

func TestACertificateIsFoundByTheHashThatOpenSSLGivesIt(t *testing.T) {
	for file, want := range map[string]string{"spaces.crt": "7921756b", "several.crt": "0324ca33"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		hash, err := debian.SubjectHash(block.Bytes)
		if got := fmt.Sprintf("%08x", hash); err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", file, got, err, want)
		}
	}
	if _, err := debian.SubjectHash([]byte("not at all")); err == nil {
		t.Error("garbage has a hash")
	}
}

func TestAuthoritiesAreFoundUnderAllNames(t *testing.T) {
	m := newMirror(t)
	p := &pack{name: "ca-certificates", version: "1"}
	for _, name := range []string{"spaces", "several"} {
		text, err := os.ReadFile("testdata/" + name + ".crt")
		if err != nil {
			t.Fatal(err)
		}
		p.file("./usr/share/ca-certificates/mozilla/"+name+".crt", string(text), 0o644)
		p.file("./usr/share/ca-certificates/mozilla/z-again-"+name+".crt", string(text), 0o644)
	}
	m.publish(suite{name: "trixie", packages: []*pack{p}})
	dir, err := build(t, m.open(debian.Options{}), "ca-certificates")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dir + "/etc/ssl/certs/ca-certificates.crt")
	if err != nil || strings.Count(string(text), "-----BEGIN CERTIFICATE-----\n") != 4 {
		t.Errorf("the bundle: %v\n%s", err, text)
	}
	for name, want := range map[string]string{
		"etc/ssl/certs/7921756b.0": "spaces.pem", "etc/ssl/certs/7921756b.1": "z-again-spaces.pem", "etc/ssl/certs/0324ca33.0": "several.pem",
		"etc/ssl/certs/several.pem":       "/usr/share/ca-certificates/mozilla/several.crt",
		"etc/pki/tls/certs/ca-bundle.crt": "../../../ssl/certs/ca-certificates.crt",
		"usr/lib/ssl/cert.pem":            "/etc/ssl/certs/ca-certificates.crt",
	} {
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", name, got, err, want)
		}
	}
	if through, err := os.ReadFile(dir + "/etc/pki/tls/certs/ca-bundle.crt"); err != nil || string(through) != string(text) {
		t.Errorf("Amazon's name for it: %v", err)
	}
	p.file("./usr/share/ca-certificates/mozilla/odd.crt", "no certificate", 0o644)
	m.publish(suite{name: "trixie", packages: []*pack{p}})
	if _, err := build(t, m.open(debian.Options{}), "ca-certificates"); err == nil || !strings.Contains(err.Error(), "odd.crt is no certificate") {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationOfAptIsReadAsAptReadsIt(t *testing.T) {
	const text = `
# a comment
// another
/* and "one" { of several
lines */
Acquire::Retries "3";
Acquire { http { Proxy "http://proxy:3128/"; Proxy::direct.example "DIRECT"; }; HTTPS::Timeout "7" ; };
ACQUIRE::http::timeout "12"; Acquire::Retries "5";
APT { NeverAutoRemove { "^linux-.*"; "^x" ; }; };
DPkg::Post-Invoke { "rm -f /x/*.deb || true"; };
Dir::Cache ""; Plain value;
Last::One "without a semicolon"`
	for name, want := range map[string]string{
		"Acquire::Retries": "5", "acquire::http::proxy": "http://proxy:3128/", "Acquire::http::Proxy::direct.example": "DIRECT",
		"Acquire::https::timeout": "7", "Acquire::http::Timeout": "12", "Dir::Cache": "", "Plain": "value", "Last::One": "without a semicolon", "Not::Set": "",
	} {
		if got, err := debian.Setting(text, name); err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", name, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`A { B "c";`: "does not end", `A "b`: "a quotation does not end", `/* x`: "a comment does not end", `}`: "did not begin", `{ "x"; };`: "has no name",
	} {
		if _, err := debian.Setting(text, "A"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
