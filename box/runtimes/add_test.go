package runtimes_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// registry is an npm client of our own making, put in front of the PATH: it knows
// the releases that a test gives it and notes how it is called.
type registry struct {
	t   *testing.T
	dir string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{t: t, dir: t.TempDir()}
	script := `#!/bin/sh
cd "` + r.dir + `" || exit 9
echo "$*" >>calls
case "$1" in
view) name=view-${2##*@} ;;
pack) name=pack-${2##*@} ;;
esac
if [ -e "$name" ]; then
	[ "$1" = view ] || { cp "$name" "$OLDPWD/package.tgz"; exit; }
	cat "$name"
	exit
fi
echo "npm error code E404" >&2
echo "npm error 404 No match found for version ${2##*@}" >&2
echo "npm error A complete log of this run can be found in: /nowhere" >&2
exit 1
`
	if err := os.WriteFile(r.dir+"/npm", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", r.dir+":/usr/bin:/bin")
	return r
}

// offer makes a release known under the names that it is asked by.
func (r *registry) offer(version string, names []string, archive []byte) {
	r.t.Helper()
	sum := sha512.Sum512(archive)
	release := map[string]string{"version": version, "dist.integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
	for _, name := range names {
		var all []map[string]string
		if text, err := os.ReadFile(r.dir + "/view-" + name); err == nil {
			if err := json.Unmarshal(text, &all); err != nil {
				r.t.Fatal(err)
			}
		}
		text, err := json.Marshal(append(all, release))
		if err != nil {
			r.t.Fatal(err)
		}
		write(r.t, r.dir+"/view-"+name, string(text))
	}
	write(r.t, r.dir+"/pack-"+version, string(archive))
}

// calls counts the calls of a command.
func (r *registry) calls(command string) int {
	text, _ := os.ReadFile(r.dir + "/calls") // none yet is none
	return strings.Count("\n"+string(text), "\n"+command+" ")
}

// nodeArchive makes a package that carries a pretended Node.js.
func nodeArchive(t *testing.T, version string) []byte {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(nodeSays(version))
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, map[string][]byte{
		"package/LICENSE": answer, "package/bin/node": binary, "package/share/man.1": []byte("not taken"), "package/../../out": []byte("never"),
	})
}

func archive(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(zipped)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// files lists everything below a directory but the notes of pretended interpreters.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && info.Name() != "asked" {
			rel, _ := filepath.Rel(dir, name)
			all = append(all, rel)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestAddFetchesTheNewestNodeAndServesIt(t *testing.T) {
	r := newRegistry(t)
	r.offer("22.9.0", []string{"22", "22.9.0"}, nodeArchive(t, "22.9.0"))
	r.offer("22.10.1", []string{"22", "22.10.1"}, nodeArchive(t, "22.10.1"))
	r.offer("22.11.0-rc.1", []string{"22"}, []byte("never asked for"))
	data := t.TempDir()
	ofHost := install(t, "node", nodeSays("22.12.0"))
	book := open(t, data, runtimes.Options{}, ofHost)
	var done, total int64
	progress := func(d, n int64) { done, total = d, n }

	if err := book.Add(t.Context(), "nodejs22.x", runtimes.AddOptions{}, progress); err != nil {
		t.Fatal(err)
	}
	if done == 0 || done != total {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	rt, err := book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rt.Release, "nodejs:22.v10.1"; got != want {
		t.Errorf("release: got %s, want %s: what was added comes before what the host has", got, want)
	}
	home := filepath.Join(data, "runtimes", "fetched", "nodejs22.x")
	if got := files(t, home); strings.Count(got, " ") != 1 || !strings.HasPrefix(got, "22.10.1-") || !strings.Contains(got, "/LICENSE") {
		t.Errorf("it left %s", got)
	}

	if err := book.Add(t.Context(), "nodejs22.x", runtimes.AddOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if got := r.calls("pack"); got != 1 {
		t.Errorf("it was fetched %d times, want once", got)
	}
	if err := book.Add(t.Context(), "nodejs22.x", runtimes.AddOptions{Version: "22.9.0"}, nil); err != nil {
		t.Fatal(err)
	}
	rt, err = book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil || rt.Release != "nodejs:22.v9.0" {
		t.Errorf("an exact version: got %s %v", rt.Release, err)
	}
	if got := files(t, home); strings.Contains(got, "22.10.1-") {
		t.Errorf("the other version stayed: %s", got)
	}

	if err := book.Remove("nodejs22.x"); err != nil {
		t.Fatal(err)
	}
	rt, err = book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil || rt.Release != "nodejs:22.v12.0" {
		t.Errorf("after removal: got %s %v, want the host's", rt.Release, err)
	}
	if err := book.Remove("nodejs22.x"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("a second removal: got %v", err)
	}
}

func TestAddBelievesNothingWithoutItsDigest(t *testing.T) {
	r := newRegistry(t)
	r.offer("22.9.0", []string{"22"}, nodeArchive(t, "22.9.0"))
	write(t, r.dir+"/pack-22.9.0", string(nodeArchive(t, "22.9.1")))
	data := t.TempDir()
	book := open(t, data, runtimes.Options{})
	err := book.Add(t.Context(), "nodejs22.x", runtimes.AddOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "22.9.0 arrived damaged: its digest is not the one that the registry names") {
		t.Errorf("got %v", err)
	}
	for _, integrity := range []string{"", "sha1-AAAA", "sha512-short"} {
		write(t, r.dir+"/view-22", fmt.Sprintf(`{"version":"22.9.0","dist.integrity":%q}`, integrity))
		err := book.Add(t.Context(), "nodejs22.x", runtimes.AddOptions{}, nil)
		if err == nil || !strings.Contains(err.Error(), "cannot be verified: the registry names no SHA-512 digest of it") {
			t.Errorf("%q: got %v", integrity, err)
		}
	}
	if got := files(t, filepath.Join(data, "runtimes", "fetched")); got != "" {
		t.Errorf("it left %s", got)
	}
}

func TestAddSaysWhatIsWrong(t *testing.T) {
	r := newRegistry(t)
	r.offer("20.1.0", []string{"20"}, archive(t, map[string][]byte{"package/README.md": []byte("hello")}))
	r.offer("18.1.0", []string{"18"}, nodeArchive(t, "18.2.0"))
	r.offer("16.1.0", []string{"16"}, []byte("no archive"))
	data := t.TempDir()
	book := open(t, data, runtimes.Options{})
	cases := []struct {
		identifier, version, want string
		code                      kiln.Code
	}{
		{"nodejs24.x", "", "npm view: 404 No match found for version 24", kiln.Unavailable},
		{"nodejs20.x", "", "it holds no bin/node", kiln.Internal},
		{"nodejs18.x", "", "the package of Node.js 18.1.0 holds version 18.2.0", kiln.Unavailable},
		{"nodejs16.x", "", "gzip: invalid header", kiln.Internal},
		{"nodejs20.x", "22.1.0", `"22.1.0" is not a version of nodejs20.x: it must read 20.<minor>.<patch>`, kiln.Invalid},
		{"nodejs20.x", "20.1.0 --registry=x", `is not a version of nodejs20.x`, kiln.Invalid},
		{"python3.12", "", "Python 3.12 is nowhere that kiln knows to fetch from; bring it with --image REF, or install it so that python3.12 is on the PATH", kiln.Unsupported},
		{"python3.13", "", "this machine's apt has no source of Debian: name one with --debian-mirror URL, or debian-mirror in kiln.yaml", kiln.Unsupported},
		{"python3.13", "3.13.1", "python3.13 comes from Debian trixie, which has one version of it: none can be chosen", kiln.Invalid},
		{"dotnet8", "", ".NET 8 is nowhere that kiln knows to fetch from; bring it with --image REF, or install it so that dotnet is on the PATH", kiln.Unsupported},
		{"provided.al2023", "", "provided.al2023 needs nothing: the function brings its own program", kiln.Conflict},
		{"nope", "", `there is no runtime "nope"`, kiln.NotFound},
	}
	for _, c := range cases {
		err := book.Add(t.Context(), c.identifier, runtimes.AddOptions{Version: c.version}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || kiln.CodeOf(err) != c.code {
			t.Errorf("%s %s: got %v (%s), want %s (%s)", c.identifier, c.version, err, kiln.CodeOf(err), c.want, c.code)
		}
	}
	if got := files(t, filepath.Join(data, "runtimes", "fetched")); got != "" {
		t.Errorf("it left %s", got)
	}
	t.Setenv("PATH", t.TempDir())
	if err := book.Add(t.Context(), "nodejs20.x", runtimes.AddOptions{}, nil); err == nil || !strings.Contains(err.Error(), "fetching Node.js needs npm, which is not installed") {
		t.Errorf("without npm: got %v", err)
	}
	if err := book.Remove("nope"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("remove: got %v", err)
	}
}

func TestAddCanBeStopped(t *testing.T) {
	r := newRegistry(t)
	reached := filepath.Join(r.dir, "reached")
	if err := os.WriteFile(r.dir+"/npm", []byte("#!/bin/sh\necho >"+reached+"\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	book := open(t, t.TempDir(), runtimes.Options{})
	ended := make(chan error, 1)
	go func() { ended <- book.Add(ctx, "nodejs22.x", runtimes.AddOptions{}, nil) }()
	(&guest{t: t, stdout: silent(t), stderr: silent(t)}).until(func() bool { return isThere(reached) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// silent is a stream that says nothing.
func silent(t *testing.T) *watched {
	w, out := newWatched(t)
	out.Close()
	return w
}

// TestTheOldestAndTheNewestNodeAreTested fails the run where the set-up of the tests
// has not brought the interpreters that the bootstrap must parse on.
func TestTheOldestAndTheNewestNodeAreTested(t *testing.T) {
	have := make(map[string]bool)
	for _, lang := range languages(t, "nodejs") {
		have[lang.identifier] = true
	}
	for _, identifier := range []string{"nodejs10.x", "nodejs26.x"} {
		if !have[identifier] {
			t.Skipf("needs %s: test/setup.sh brings it", identifier)
		}
	}
}
