package runtimes_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/box/runtimes"
)

// TestOneDotnetServesEveryVersionBesideIt puts a program that does nothing in the place
// of one, with the directories that say which versions it runs.
func TestOneDotnetServesEveryVersionBesideIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dotnet")
	does, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"dotnet": string(does), "shared/Microsoft.NETCore.App/notes.txt": ""}
	for _, version := range []string{"3.1.32", "6.0.1", "6.0.36", "8.0.4", "10.0.0-rc.1"} {
		files["shared/Microsoft.NETCore.App/"+version+"/libcoreclr.so"] = "library"
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	book := open(t, t.TempDir(), runtimes.Options{}, dir)
	for identifier, want := range map[string]string{
		"dotnetcore3.1": "dotnet:3.1.v32", "dotnet6": "dotnet:6.v0.36", "dotnet8": "dotnet:8.v0.4", "dotnet10": "", "dotnetcore2.1": "",
	} {
		rt, err := book.Runtime(t.Context(), identifier, "")
		if want == "" {
			if err == nil {
				t.Errorf("%s: served by %s", identifier, rt.Release)
			}
			continue
		}
		if err != nil || rt.Release != want {
			t.Errorf("%s: got %q, %v, want %q", identifier, rt.Release, err, want)
			continue
		}
		if place, ok := source(rt, "/var/lang/bin"); !ok || place != dir {
			t.Errorf("%s: mounts %v", identifier, rt.Mounts)
		}
		home, _ := source(rt, "/var/runtime")
		// The version that is tried is the one that serves.
		text, err := os.ReadFile(filepath.Join(home, "probe.runtimeconfig.json"))
		exact := strings.Replace(strings.TrimPrefix(want, "dotnet:"), ".v", ".", 1)
		if err != nil || !strings.Contains(string(text), `"version":"`+exact+`"`) {
			t.Errorf("%s: tried with %s, %v", identifier, text, err)
		}
		if got := strings.Join(runtimes.Probe(rt), " "); got != "/bin/sh /var/runtime/bootstrap.sh --probe" {
			t.Errorf("%s: tried by %q", identifier, got)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "shared")); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, t.TempDir(), runtimes.Options{}, dir).Runtime(t.Context(), "dotnet8", "")
	if err == nil || !strings.Contains(err.Error(), "there is no runtime beside it") {
		t.Errorf("an SDK without a runtime: %v", err)
	}
}

// packageOf makes an npm package of names and texts.
func packageOf(t *testing.T, pairs ...string) string {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for i := 0; i < len(pairs); i += 2 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOfAnSDKOfDotnetOnlyTheRuntimeIsKept(t *testing.T) {
	dir := t.TempDir()
	err := runtimes.UnpackDotnet(packageOf(t, "package/dotnet", "program", "package/sdk/3.1/csc.dll", "compiler", "package/main.js", "script",
		"package/shared/Microsoft.NETCore.App/3.1.2/libcoreclr.so", "library", "package/LICENSE.txt", "MIT"), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pattern := range []string{"*", "shared/*/*/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimPrefix(name, dir+"/")+" "+info.Mode().Perm().String())
		}
	}
	want := []string{"LICENSE.txt -rw-r--r--", "dotnet -rwxr-xr-x", "shared -rwxr-xr-x", "shared/Microsoft.NETCore.App/3.1.2/libcoreclr.so -rwxr-xr-x"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for why, archive := range map[string]string{
		"no dotnet":           packageOf(t, "package/host/x", "y"),
		"path escapes":        packageOf(t, "package/dotnet", "program", "package/shared/../../../../tmp/x", "y"),
		"file already exists": packageOf(t, "package/dotnet", "program", "package/dotnet", "another"),
	} {
		if err := runtimes.UnpackDotnet(archive, t.TempDir()); err == nil {
			t.Errorf("%s: it was unpacked", why)
		}
	}
}

func TestLibrariesOfAWheelAreBelievedForItsDigestAlone(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("pkg/.libs/libssl-1.so")
	if err == nil {
		_, err = f.Write([]byte("library"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	wheel, root := filepath.Join(t.TempDir(), "pkg.whl"), t.TempDir()
	if err := os.WriteFile(wheel, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	libraries := map[string]string{"libssl.so.1": "pkg/.libs/libssl-1.so"}
	if err := runtimes.UnpackLibraries(wheel, root, strings.Repeat("0", 64), libraries); err == nil {
		t.Error("a package of another digest was unpacked")
	}
	if err := runtimes.UnpackLibraries(wheel, root, hex.EncodeToString(sum[:]), map[string]string{"x": "pkg/nothing"}); err == nil {
		t.Error("a library that is not there was unpacked")
	}
	if err := runtimes.UnpackLibraries(wheel, root, hex.EncodeToString(sum[:]), libraries); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "usr/lib/libssl.so.1")); err != nil || string(got) != "library" {
		t.Errorf("got %q, %v", got, err)
	}
}
