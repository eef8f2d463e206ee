package debian_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/box/runtimes/debian"
)

// simple publishes a suite of one package.
func (m *mirror) simple(fields string) {
	m.publish(suite{name: "trixie", fields: fields, packages: []*pack{(&pack{name: "a", version: "1"}).file("./usr/share/a", "contents of a", 0o644)}})
}

const releaseName = "dists/trixie/InRelease"

func TestAnIndexIsBelievedForItsSignatureAlone(t *testing.T) {
	other := newKey(t, time.Now().Add(-time.Hour), 0)
	for name, c := range map[string]struct {
		change func(m *mirror)
		want   string
	}{
		"as it was signed": {func(*mirror) {}, ""},
		"changed": {func(m *mirror) {
			m.put(releaseName, bytes.Replace(m.get(releaseName), []byte("Origin: Debian"), []byte("Origin: debian"), 1))
		}, "its signature is not good"},
		"without a signature": {func(m *mirror) { m.put(releaseName, []byte("Suite: trixie\nSHA256:\n")) }, "it bears no signature"},
		"signed by another":   {func(m *mirror) { m.key = other; m.simple("") }, "it is signed by keys that are not in "},
		"another suite": {func(m *mirror) {
			m.publish(suite{name: "bookworm"})
			m.put(releaseName, m.get("dists/bookworm/InRelease"))
		}, "the mirror gives bookworm (some-bookworm) as Debian trixie"},
		"no index at all": {func(m *mirror) { m.put(releaseName, sign(t, m.key, "Suite: trixie\n")) }, "it lists no files by SHA-256"},
		"a bad digest": {func(m *mirror) { m.put(releaseName, sign(t, m.key, "Suite: trixie\nSHA256:\n ../../x 1 Packages\n")) },
			"no file in"},
		"nothing for this machine": {func(m *mirror) {
			m.put(releaseName, sign(t, m.key, "Suite: trixie\nSHA256:\n "+digest(nil)+" 0 main/binary-odd/Packages.xz\n"))
		}, "Debian trixie has no packages for"},
		"too large": {func(m *mirror) { m.put(releaseName, bytes.Repeat([]byte("x"), 9<<20)) }, "it is larger than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			m.simple("")
			archive := m.open(debian.Options{})
			c.change(m)
			_, err := build(t, archive, "a")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatStandsAroundTheSignedTextIsNotRead(t *testing.T) {
	m := newMirror(t)
	m.simple("")
	signed := m.get(releaseName)
	lie := "Suite: trixie\nSHA256:\n " + digest(nil) + " 0 main/binary-amd64/Packages.xz\n\n"
	m.put(releaseName, append([]byte(lie), append(signed, lie...)...))
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Errorf("the signed text counts: got %v", err)
	}
}

func TestAnExpiredKeySignsNothing(t *testing.T) {
	m := newMirror(t)
	m.key = newKey(t, time.Now().Add(-48*time.Hour), 3600)
	m.now = time.Now().Add(-48*time.Hour + time.Second)
	archive := m.open(debian.Options{})
	m.simple("")
	if _, err := build(t, archive, "a"); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want that the key expired", err)
	}
	early := m.open(debian.Options{Now: func() time.Time { return time.Now().Add(-48*time.Hour + time.Minute) }})
	if _, err := build(t, early, "a"); err != nil {
		t.Errorf("while the key lived: got %v", err)
	}
}

func TestOneGoodSignatureOfSeveralIsEnough(t *testing.T) {
	m := newMirror(t)
	m.simple("")
	own := m.key
	unknown := newKey(t, time.Now().Add(-time.Hour), 0)
	text := "Suite: trixie\nSHA256:\n" + line(m)
	m.put(releaseName, signTwice(t, text, unknown, own))
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Error(err)
	}
	m.put(releaseName, signTwice(t, text, unknown, unknown))
	if _, err := build(t, m.open(debian.Options{}), "a"); err == nil || !strings.Contains(err.Error(), "keys that are not in") {
		t.Errorf("two unknown keys: got %v", err)
	}
}

func TestAnOldIndexIsTakenOnlyWhereTheMachineSaysSo(t *testing.T) {
	m := newMirror(t)
	m.simple("Valid-Until: Sat, 07 Nov 2015 08:00:00 UTC\n")
	keys := keyText(t, false, m.key)
	for name, c := range map[string]struct {
		files map[string]string
		fails bool
	}{
		"nothing said": {map[string]string{"etc/apt/sources.list": "deb " + m.url + " trixie main\n"}, true},
		"for all":      {map[string]string{"etc/apt/sources.list": "deb " + m.url + " trixie main\n", "etc/apt/apt.conf.d/9x": `Acquire::Check-Valid-Until "false";`}, false},
		"for this one": {map[string]string{"etc/apt/sources.list": "deb [check-valid-until=no] " + m.url + " trixie main\n"}, false},
		"for another":  {map[string]string{"etc/apt/sources.list": "deb " + m.url + " trixie main\ndeb [check-valid-until=no] " + m.url + " sid main\n"}, true},
		"in the other form": {map[string]string{"etc/apt/sources.list.d/d.sources": "Types: deb\nURIs: " + m.url +
			"\nSuites: trixie\nComponents: main\nCheck-Valid-Until: no\n"}, false},
	} {
		c.files["usr/share/keyrings/debian-archive-keyring.gpg"] = keys
		var said bytes.Buffer
		_, err := build(t, m.open(debian.Options{Host: host(t, c.files), Logger: slog.New(slog.NewTextHandler(&said, nil))}), "a")
		if c.fails {
			if err == nil || !strings.Contains(err.Error(), "was to be used until 2015-11-07") || !strings.Contains(err.Error(), "Check-Valid-Until") {
				t.Errorf("%s: got %v", name, err)
			}
		} else if err != nil || !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "until=2015-11-07") {
			t.Errorf("%s: got %v, said %s", name, err, said.String())
		}
	}
	m.simple("Valid-Until: " + time.Now().UTC().Add(time.Hour).Format(time.RFC1123) + "\n")
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Errorf("a young one: %v", err)
	}
}

func TestKeysAreThoseThatTheMachineSays(t *testing.T) {
	m := newMirror(t)
	m.simple("")
	stranger := newKey(t, time.Now().Add(-time.Hour), 0)
	own, armoured, odd := keyText(t, false, m.key), keyText(t, true, m.key), keyText(t, false, stranger)
	both := keyText(t, false, stranger, m.key)
	folded := " " + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(armoured), "\n\n", "\n.\n"), "\n", "\n ")
	fingerprint := strings.ToUpper(hexOf(m.key.PrimaryKey.Fingerprint))
	plain := "deb " + m.url + " trixie main\n"
	const ring, trusted = "usr/share/keyrings/debian-archive-keyring.gpg", "etc/apt/trusted.gpg.d/any.asc"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Debian's own":            {map[string]string{"etc/apt/sources.list": plain, ring: both}, ""},
		"what is trusted":         {map[string]string{"etc/apt/sources.list": plain, trusted: armoured}, ""},
		"Debian's before trusted": {map[string]string{"etc/apt/sources.list": plain, ring: odd, trusted: armoured}, "keys that are not in"},
		"none":                    {map[string]string{"etc/apt/sources.list": plain}, "install the package debian-archive-keyring, or name a file with --debian-keyring"},
		"a file":                  {map[string]string{"etc/apt/sources.list": "deb [signed-by=/k/own.gpg arch=amd64,arm64] " + m.url + " trixie main\n", "k/own.gpg": own, ring: odd}, ""},
		"a file alone":            {map[string]string{"etc/apt/sources.list": "deb [signed-by=/k/odd.gpg] " + m.url + " trixie main\n", "k/odd.gpg": odd, ring: own}, "keys that are not in"},
		"a file that is not there": {map[string]string{"etc/apt/sources.list": "deb [signed-by=/k/none.gpg] " + m.url + " trixie main\n", ring: own},
			"no such file"},
		"of a source with another suite": {map[string]string{"etc/apt/sources.list": "deb [signed-by=/k/odd.gpg] " + m.url + " bookworm main\n", "k/odd.gpg": odd, ring: own}, ""},
		"in the source": {map[string]string{"etc/apt/sources.list.d/x.sources": "Types: deb\nURIs: " + m.url + "\nSuites: trixie\nComponents: main\nSigned-By:\n" + folded + "\n",
			ring: odd}, ""},
		"a fingerprint": {map[string]string{"etc/apt/sources.list": "deb [signed-by=" + fingerprint + "] " + m.url + " trixie main\n", ring: both}, ""},
		"another fingerprint": {map[string]string{"etc/apt/sources.list": "deb [signed-by=" + strings.Repeat("AB", 20) + "] " + m.url + " trixie main\n", ring: both},
			"this machine has no key ABAB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build(t, m.open(debian.Options{Host: host(t, c.files)}), "a")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "keys.asc")
	if err := os.WriteFile(file, []byte(armoured), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	if _, err := build(t, open(t, debian.Options{Host: empty, Mirror: m.url + "/", Keyring: file}), "a"); err != nil {
		t.Errorf("mirror and keyring of the options: %v", err)
	}
	if _, err := build(t, open(t, debian.Options{Host: empty, Mirror: m.url, Keyring: file + "x"}), "a"); err == nil || !strings.Contains(err.Error(), "the keyring cannot be used") {
		t.Errorf("a keyring that is not there: %v", err)
	}
}
