package runtimes_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln"
	"kiln/box/runtimes"
)

// withKeys makes the root directory of a machine that has a keyring and no source.
func withKeys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/usr/share/keyrings", 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/usr/share/keyrings/debian-archive-keyring.gpg")
	if err != nil {
		t.Fatalf("needs Debian's keys, of its package debian-archive-keyring: %v", err)
	}
	write(t, dir+"/usr/share/keyrings/debian-archive-keyring.gpg", string(text))
	return dir
}

func TestAPythonIsFetchableWhereDebianIsKnown(t *testing.T) {
	machine := withKeys(t)
	known := open(t, t.TempDir(), runtimes.Options{Host: machine, DebianMirror: "http://mirror.example/debian"})
	for identifier, want := range map[string]runtimes.State{
		"python2.7": runtimes.Fetchable, "python3.9": runtimes.Fetchable, "python3.11": runtimes.Fetchable, "python3.13": runtimes.Fetchable,
		"python3.14": runtimes.Fetchable, "python3.15": runtimes.Fetchable,
		"python3.6": runtimes.ImageOnly, "python3.8": runtimes.ImageOnly, "python3.12": runtimes.ImageOnly,
	} {
		e := stateOf(t, known, identifier)
		if e.State != want || (want == runtimes.Fetchable) != strings.Contains(e.How, "run `kiln runtime add "+identifier+"`") {
			t.Errorf("%s: got %+v, want %s", identifier, e, want)
		}
	}
	for name, o := range map[string]runtimes.Options{
		"this machine's apt has no source of Debian: name one with --debian-mirror URL":                {Host: machine},
		"this machine has no keys of Debian":                                                           {DebianMirror: "http://mirror.example/debian"},
		"a root of Debian packages can only be used where sandboxes have a filesystem of their own":    {Host: machine, DebianMirror: "http://mirror.example/debian", HostOnly: true},
		"the keyring cannot be used":                                                                   {Host: machine, DebianMirror: "http://mirror.example/debian", DebianKeyring: "/nowhere"},
		`the Debian mirror "gopher://mirror.example" cannot be used: kiln speaks http, https and file`: {Host: machine, DebianMirror: "gopher://mirror.example"},
	} {
		book := open(t, t.TempDir(), o)
		if e := stateOf(t, book, "python3.13"); e.State != runtimes.Missing || !strings.Contains(e.How, name) {
			t.Errorf("want %s, got %+v", name, e)
		}
		if err := book.Add(t.Context(), "python3.13", runtimes.AddOptions{}, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s, got %v", name, err)
		}
	}
}

func TestAMirrorThatFailsLeavesNothingBehind(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "out of order", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	data := t.TempDir()
	book := open(t, data, runtimes.Options{Host: withKeys(t), DebianMirror: server.URL})
	err := book.Add(t.Context(), "python3.13", runtimes.AddOptions{}, nil)
	if kiln.CodeOf(err) != kiln.Unavailable || !strings.Contains(err.Error(), server.URL+"/dists/trixie/InRelease: the server answers 503") || asked.Load() != 3 {
		t.Errorf("got %v after %d tries", err, asked.Load())
	}
	if got := files(t, filepath.Join(data, "runtimes", "fetched")); got != "" {
		t.Errorf("it left %s", got)
	}
}

func TestWhatAnInterruptedFetchLeftIsNotServedAndGoes(t *testing.T) {
	data := t.TempDir()
	home := filepath.Join(data, "runtimes", "fetched", "python3.13")
	for _, name := range []string{".new-old", ".new-young"} {
		if err := os.MkdirAll(filepath.Join(home, name, "lang", "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(home, name, "lang", "bin", "python3.13"), "half of it")
	}
	aside := filepath.Join(data, "runtimes", ".gone-1")
	if err := os.MkdirAll(aside, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{filepath.Join(home, ".new-old"): 2 * time.Hour, aside: 25 * time.Hour} {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	book := open(t, data, runtimes.Options{})
	if got := problem(t, book, "python3.13"); strings.Contains(got, ".new-") {
		t.Errorf("it was looked at: %s", got)
	}
	if got := files(t, home); got != ".new-young/lang/bin/python3.13" || isThere(aside) {
		t.Errorf("left is %s", got)
	}
}
