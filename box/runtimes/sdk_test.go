package runtimes_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// wheel makes a package of Python.
func wheel(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fakePip puts a pip of our own into the PATH, which downloads what it is given.
func fakePip(t *testing.T, wheels map[string][]byte) (dir, pins string) {
	t.Helper()
	dir = t.TempDir()
	for name, contents := range wheels {
		write(t, filepath.Join(dir, name+".whl"), string(contents))
		sum := sha256.Sum256(contents)
		pins += fmt.Sprintf("%s==1.0 --hash=sha256:%s\n", name, hex.EncodeToString(sum[:]))
	}
	script := `#!/bin/sh
echo "$*" >>"` + dir + `/calls"
case "$1" in
--version) exit ;;
download)
	if [ -e "` + dir + `/complaint" ]; then cat "` + dir + `/complaint" >&2; exit 1; fi
	while [ "$1" != --requirement ]; do shift; done
	cp "$2" "` + dir + `/asked"
	while [ "$1" != --dest ]; do shift; done
	cp "` + dir + `"/*.whl "$2"
	;;
esac
`
	if err := os.WriteFile(dir+"/pip3", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return dir, pins
}

// pythonSays is the answer of a Python with a prefix of its own.
func pythonSays(prefix, version string) said {
	minor := version[:strings.LastIndex(version, ".")]
	return said{
		"implementation": "cpython", "version": version, "program": "PROGRAM", "prefix": prefix,
		"libraries": []string{prefix + "/lib/python" + minor}, "machine": hostMachine(),
	}
}

// installPython installs a pretended Python and gives where it is sought.
func installPython(t *testing.T, version string) string {
	t.Helper()
	prefix := t.TempDir()
	minor := version[:strings.LastIndex(version, ".")]
	for _, dir := range []string{"bin", "lib/python" + minor} {
		if err := os.MkdirAll(filepath.Join(prefix, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	copyBinary(t, prefix+"/bin/python"+minor)
	answers(t, prefix+"/bin", pythonSays(prefix, version))
	return prefix + "/bin"
}

func TestTheSDKForPythonIsMountedInTheRuntimesThatItIsOf(t *testing.T) {
	dir, pins := fakePip(t, map[string][]byte{
		"boto3": wheel(t, map[string]string{"boto3/__init__.py": "x", "boto3/data/a.json": "{}", "boto3-1.0.dist-info/METADATA": "m", "boto3-1.0.data/scripts/tool": "not taken"}),
		"six":   wheel(t, map[string]string{"six.py": "y"}),
	})
	data := t.TempDir()
	book := open(t, data, runtimes.Options{}, installPython(t, "3.12.1"), installPython(t, "3.9.1"), installPython(t, "3.7.1"))
	book.Pin("python-sdk", pins)
	release := func(identifier string) kiln.Runtime {
		rt, err := book.Runtime(t.Context(), identifier, "")
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	without := release("python3.12")
	if e := stateOf(t, book, "python-sdk"); e.State != runtimes.Fetchable || e.How != "AWS SDK (boto3) for python3.10 to python3.15; run `kiln runtime add python-sdk`" {
		t.Errorf("before: %+v", e)
	}
	var done, total int64
	for _, name := range []string{"python-sdk", "python3.13-sdk"} {
		if err := book.Add(t.Context(), name, runtimes.AddOptions{}, func(d, n int64) { done, total = d, n }); err != nil {
			t.Fatal(err)
		}
	}
	if done != total || total == 0 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	calls, err := os.ReadFile(dir + "/calls")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(calls), "download"); got != 1 || !strings.Contains(string(calls), "--require-hashes --only-binary=:all: --python-version 3.10 ") {
		t.Errorf("pip was called as %s", calls)
	}
	if asked, err := os.ReadFile(dir + "/asked"); err != nil || string(asked) != pins {
		t.Errorf("it was asked for %q %v", asked, err)
	}
	with := release("python3.12")
	sdk, shown := source(with, "/var/runtime/sdk")
	home, _ := source(with, "/var/runtime")
	if !shown || with.ReleaseARN == without.ReleaseARN || len(with.Mounts) != len(without.Mounts)+1 {
		t.Errorf("got %+v", with.Mounts)
	}
	if got, want := files(t, sdk), "boto3/__init__.py boto3/data/a.json boto3-1.0.dist-info/METADATA six.py"; got != want {
		t.Errorf("the SDK is %s, want %s", got, want)
	}
	for name, want := range map[string]string{"boto3": "sdk/boto3", "boto3-1.0.dist-info": "sdk/boto3-1.0.dist-info"} {
		if got, err := os.Readlink(filepath.Join(home, name)); err != nil || got != want {
			t.Errorf("%s leads to %q %v, want %s", name, got, err, want)
		}
	}
	if text, err := os.ReadFile(home + "/six.py"); err != nil || string(text) != "y" || !isThere(home+"/sdk") {
		t.Errorf("a module of one file: %q %v", text, err)
	}
	for _, other := range []string{"python3.9", "python3.7"} {
		if _, shown := source(release(other), "/var/runtime/sdk"); shown {
			t.Errorf("%s has the SDK of others", other)
		}
	}
	if e := stateOf(t, book, "python-sdk"); e.State != runtimes.Ready || e.Source != sdk+" (fetched)" || e.Release != "boto3 1.44.8" {
		t.Errorf("after: %+v", e)
	}
	if again := release("python3.12"); again.ReleaseARN != with.ReleaseARN {
		t.Error("it changes by itself")
	}
	other := open(t, data, runtimes.Options{}, filepath.Dir(without.Command[0]))
	if e := stateOf(t, other, "python-sdk"); e.State != runtimes.Ready {
		t.Errorf("the next process: %+v", e)
	}
	if err := book.Remove("python-sdk"); err != nil {
		t.Fatal(err)
	}
	if got := release("python3.12"); got.ReleaseARN != without.ReleaseARN {
		t.Errorf("after its removal: %+v", got)
	}
	if isThere(filepath.Join(data, "runtimes", "fetched", "python-sdk")) {
		t.Error("it can still be found")
	}
	if aside, err := filepath.Glob(data + "/runtimes/.gone-*/python-sdk/1.44.8-*/six.py"); err != nil || len(aside) != 1 {
		t.Errorf("environments that run on it have lost it: %v %v", aside, err)
	}
	if err := book.Remove("python-sdk"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("a second removal: got %v", err)
	}
}

func TestASDKIsBelievedForItsDigestsAlone(t *testing.T) {
	sound := map[string][]byte{"boto3": wheel(t, map[string]string{"boto3/__init__.py": "x"})}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"damaged": {func(t *testing.T, dir string) { write(t, dir+"/boto3.whl", "other") }, "boto3.whl: it does not have the digest that kiln pins"},
		"more":    {func(t *testing.T, dir string) { write(t, dir+"/more.whl", "other") }, "pip fetched 2 packages of python-sdk, not 1"},
		"less":    {func(t *testing.T, dir string) { _ = os.Remove(dir + "/boto3.whl") }, "pip"},
		"refused": {func(t *testing.T, dir string) {
			write(t, dir+"/complaint", "some\nERROR: No matching distribution found for boto3\nmore\n")
		}, "pip download: No matching distribution found for boto3"},
		"broken": {func(t *testing.T, dir string) { write(t, dir+"/complaint", "Traceback\nOSError: disk full\n") }, "pip download: OSError: disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, pins := fakePip(t, sound)
			c.change(t, dir)
			data := t.TempDir()
			book := open(t, data, runtimes.Options{})
			book.Pin("python-sdk", pins)
			err := book.Add(t.Context(), "python-sdk", runtimes.AddOptions{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if got := files(t, filepath.Join(data, "runtimes", "fetched")); got != "" {
				t.Errorf("it left %s", got)
			}
		})
	}
	t.Run("hostile", func(t *testing.T) {
		_, pins := fakePip(t, map[string][]byte{"boto3": wheel(t, map[string]string{"../../../../out": "x"})})
		data := t.TempDir()
		book := open(t, data, runtimes.Options{})
		book.Pin("python-sdk", pins)
		if err := book.Add(t.Context(), "python-sdk", runtimes.AddOptions{}, nil); err == nil || !strings.Contains(err.Error(), "path escapes") {
			t.Errorf("got %v", err)
		}
		if got := files(t, data); strings.Contains(got, "out") {
			t.Errorf("it left %s", got)
		}
	})
	t.Setenv("PATH", t.TempDir())
	err := open(t, t.TempDir(), runtimes.Options{}).Add(t.Context(), "python-sdk", runtimes.AddOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "needs pip, which is not installed") {
		t.Errorf("without pip: got %v", err)
	}
}

// fakeNPM puts an npm of our own into the PATH, which installs what it is given.
func fakeNPM(t *testing.T, version string, packages map[string]string) (dir, pins string) {
	t.Helper()
	dir = t.TempDir()
	pinned := map[string]any{"": map[string]any{"dependencies": map[string]string{"aws-sdk": "1.0.0"}}}
	for place, v := range packages {
		pinned[place] = map[string]string{"version": v, "integrity": "sha512-x"}
		for name, text := range map[string]string{
			"package.json": `{"version":"` + v + `"}`, "index.js": "code", "index.d.ts": "types", "index.js.map": "map", "dist-types/a.js": "types",
		} {
			file := filepath.Join(dir, place, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, file, text)
		}
	}
	lock, err := json.Marshal(map[string]any{"name": "of a test", "lockfileVersion": 3, "packages": pinned})
	if err != nil {
		t.Fatal(err)
	}
	script := `#!/bin/sh
echo "$*" >>"` + dir + `/calls"
case "$1" in
--version) echo ` + version + ` ;;
ci) cat package.json >"` + dir + `/asked" && cp -r "` + dir + `/node_modules" . ;;
esac
`
	if err := os.WriteFile(dir+"/npm", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return dir, string(lock)
}

func TestTheSDKForNodeIsMountedInTheRuntimesThatItIsOf(t *testing.T) {
	dir, pins := fakeNPM(t, "10.2.0", map[string]string{"node_modules/aws-sdk": "1.0.0", "node_modules/aws-sdk/node_modules/uuid": "8.0.0"})
	book := open(t, t.TempDir(), runtimes.Options{}, install(t, "node", nodeSays("16.1.0")), install(t, "node", nodeSays("22.1.0")))
	book.Pin("nodejs-sdk-v2", pins)
	if err := book.Add(t.Context(), "nodejs12.x-sdk", runtimes.AddOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if asked, err := os.ReadFile(dir + "/asked"); err != nil || string(asked) != `{"dependencies":{"aws-sdk":"1.0.0"},"name":"of a test","private":true}` {
		t.Errorf("npm was asked for %s %v", asked, err)
	}
	if calls, err := os.ReadFile(dir + "/calls"); err != nil || !strings.Contains(string(calls), "ci --ignore-scripts ") {
		t.Errorf("npm was called as %s %v", calls, err)
	}
	old, err := book.Runtime(t.Context(), "nodejs16.x", "")
	if err != nil {
		t.Fatal(err)
	}
	sdk, shown := source(old, "/var/runtime/node_modules")
	if got, want := files(t, sdk), "aws-sdk/index.js aws-sdk/node_modules/uuid/index.js aws-sdk/node_modules/uuid/package.json aws-sdk/package.json"; !shown || got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if home, _ := source(old, "/var/runtime"); !isThere(home + "/node_modules") {
		t.Error("there is no place for it")
	}
	newer, err := book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, shown := source(newer, "/var/runtime/node_modules"); shown {
		t.Error("nodejs22.x has the SDK of others")
	}
	if newer.Links["/node_modules"] != "/var/runtime/node_modules" || len(old.Links) != 0 {
		t.Errorf("links: %v and %v", newer.Links, old.Links)
	}
}

func TestAnSDKOfNodeIsAsItIsPinned(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		change  func(t *testing.T, dir string)
		want    string
	}{
		"an old npm": {"6.14.18", func(*testing.T, string) {}, `needs npm 7 or newer, not "6.14.18"`},
		"another version": {"9.0.0", func(t *testing.T, dir string) {
			write(t, dir+"/node_modules/aws-sdk/package.json", `{"version":"1.0.1"}`)
		}, "node_modules/aws-sdk is version 1.0.1, not 1.0.0"},
		"one is missing": {"9.0.0", func(t *testing.T, dir string) { _ = os.RemoveAll(dir + "/node_modules/aws-sdk/node_modules") }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, pins := fakeNPM(t, c.version, map[string]string{"node_modules/aws-sdk": "1.0.0", "node_modules/aws-sdk/node_modules/uuid": "8.0.0"})
			c.change(t, dir)
			data := t.TempDir()
			book := open(t, data, runtimes.Options{})
			book.Pin("nodejs-sdk-v2", pins)
			err := book.Add(t.Context(), "nodejs-sdk-v2", runtimes.AddOptions{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || kiln.CodeOf(err) != kiln.Unavailable {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if got := files(t, filepath.Join(data, "runtimes", "fetched")); got != "" {
				t.Errorf("it left %s", got)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	err := open(t, t.TempDir(), runtimes.Options{}).Add(t.Context(), "nodejs-sdk", runtimes.AddOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "needs npm, which is not installed") {
		t.Errorf("without npm: got %v", err)
	}
}

func TestWhereBoxesShowTheHostLinksLeadToTheSDK(t *testing.T) {
	_, pins := fakePip(t, map[string][]byte{"boto3": wheel(t, map[string]string{"boto3/__init__.py": "x"})})
	data := t.TempDir()
	book := open(t, data, runtimes.Options{HostOnly: true}, installPython(t, "3.12.1"))
	book.Pin("python-sdk", pins)
	if err := book.Add(t.Context(), "python-sdk", runtimes.AddOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	rt, err := book.Runtime(t.Context(), "python3.12", "")
	if err != nil {
		t.Fatal(err)
	}
	home, _ := source(rt, "/var/runtime")
	if text, err := os.ReadFile(home + "/boto3/__init__.py"); err != nil || string(text) != "x" {
		t.Errorf("got %q %v", text, err)
	}
	if _, shown := source(rt, "/var/runtime/sdk"); shown {
		t.Error("it is mounted where nothing can be")
	}
	err = book.Add(t.Context(), "python3.13", runtimes.AddOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "can only be used where sandboxes have a filesystem of their own") {
		t.Errorf("a root of Debian: got %v", err)
	}
}

func TestEverySDKIsPinnedByDigestAndNamesNoRegistry(t *testing.T) {
	book := open(t, t.TempDir(), runtimes.Options{})
	for _, name := range []string{"python-sdk", "python-sdk-3.8"} {
		for _, line := range strings.Split(strings.TrimSpace(book.Pins(name)), "\n") {
			if !regexp.MustCompile(`^[a-z0-9-]+==[0-9a-z.]+ --hash=sha256:[0-9a-f]{64}$`).MatchString(line) {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
	for _, name := range []string{"nodejs-sdk", "nodejs-sdk-v2"} {
		var lock struct{ Packages map[string]map[string]any }
		if err := json.Unmarshal([]byte(book.Pins(name)), &lock); err != nil || len(lock.Packages) < 10 {
			t.Fatalf("%s: %d packages, %v", name, len(lock.Packages), err)
		}
		for place, pin := range lock.Packages {
			integrity, _ := pin["integrity"].(string)
			if place != "" && !strings.HasPrefix(integrity, "sha512-") || pin["resolved"] != nil {
				t.Errorf("%s: %s: %v", name, place, pin)
			}
		}
		if strings.Contains(book.Pins(name), "://") {
			t.Errorf("%s names a host", name)
		}
	}
	if err := book.Add(t.Context(), "python-sdk", runtimes.AddOptions{Version: "1.2.3"}, nil); kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("a version of it: got %v", err)
	}
	for _, name := range []string{"python3.7-sdk", "java21-sdk", "provided-sdk", "-sdk"} {
		if err := book.Add(t.Context(), name, runtimes.AddOptions{}, nil); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
