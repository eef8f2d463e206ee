package runtimes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/box/runtimes"
)

// target gives the source of a mount.
func source(rt kiln.Runtime, target string) (string, bool) {
	for _, m := range rt.Mounts {
		if m.Target == target {
			return m.Source, true
		}
	}
	return "", false
}

func TestAnInterpreterServesTheIdentifierOfItsOwnVersionOnly(t *testing.T) {
	dir := install(t, "node", nodeSays("22.4.1"))
	book := open(t, t.TempDir(), runtimes.Options{}, dir)
	rt, err := book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rt.Release, "nodejs:22.v4.1"; got != want {
		t.Errorf("release: got %s, want %s", got, want)
	}
	if got, _ := source(rt, "/var/lang/bin/node"); got != filepath.Join(dir, "node") {
		t.Errorf("the binary comes from %s", got)
	}
	for _, other := range []string{"nodejs20.x", "nodejs24.x", "nodejs26.x"} {
		if got := problem(t, book, other); !strings.Contains(got, "kiln runtime add "+other) || strings.Contains(got, dir) {
			t.Errorf("%s: %s", other, got)
		}
	}
	if got := asked(t, dir); got != 1 {
		t.Errorf("it was asked %d times, want once", got)
	}
}

func TestANameIsNoProof(t *testing.T) {
	home := t.TempDir()
	says := nodeSays("3.11.4")
	says["implementation"], says["prefix"] = "cpython", home
	dir := install(t, "python3.9", says)
	book := open(t, t.TempDir(), runtimes.Options{}, dir)
	if got := problem(t, book, "python3.9"); !strings.Contains(got, "no Python 3.9 was found") {
		t.Errorf("got %s", got)
	}
}

func TestAShimIsResolvedToItsBinaryAndAskedEachTime(t *testing.T) {
	first, second := install(t, "node", nodeSays("20.1.0")), install(t, "node", nodeSays("20.2.0"))
	shims := t.TempDir()
	shim := filepath.Join(shims, "node")
	point := func(dir string) {
		if err := os.WriteFile(shim, []byte("#!/bin/sh\nexec "+dir+"/node \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	point(first)
	data := t.TempDir()
	rt, err := open(t, data, runtimes.Options{}, shims).Runtime(t.Context(), "nodejs20.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := source(rt, "/var/lang/bin/node"); got != first+"/node" {
		t.Errorf("got %s, want %s/node", got, first)
	}
	point(second)
	rt, err = open(t, data, runtimes.Options{}, shims).Runtime(t.Context(), "nodejs20.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := source(rt, "/var/lang/bin/node"); got != second+"/node" {
		t.Errorf("after a change: got %s, want %s/node", got, second)
	}
}

func TestABinaryIsTriedBeforeAShim(t *testing.T) {
	binary, behind := install(t, "node", nodeSays("20.1.0")), install(t, "node", nodeSays("20.2.0"))
	shims := t.TempDir()
	if err := os.WriteFile(filepath.Join(shims, "node"), []byte("#!/bin/sh\nexec "+behind+"/node \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	rt, err := open(t, t.TempDir(), runtimes.Options{}, shims, binary).Runtime(t.Context(), "nodejs20.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := source(rt, "/var/lang/bin/node"); got != binary+"/node" || asked(t, behind) != 0 {
		t.Errorf("got %s", got)
	}
}

func TestWhatAnInterpreterSaidIsKeptUntilItChanges(t *testing.T) {
	dir, data := install(t, "node", nodeSays("22.0.0")), t.TempDir()
	for range 3 {
		if _, err := open(t, data, runtimes.Options{}, dir).Runtime(t.Context(), "nodejs22.x", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked(t, dir); got != 1 {
		t.Errorf("three starts asked %d times, want once", got)
	}
	book := open(t, data, runtimes.Options{}, dir)
	if _, err := book.Runtime(t.Context(), "nodejs22.x", ""); err != nil {
		t.Fatal(err)
	}
	answers(t, dir, nodeSays("22.9.0"))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(dir, "node"), later, later); err != nil {
		t.Fatal(err)
	}
	rt, err := book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rt.Release, "nodejs:22.v9.0"; got != want {
		t.Errorf("after the file changed: got %s, want %s", got, want)
	}
	if err := os.Remove(filepath.Join(dir, "node")); err != nil {
		t.Fatal(err)
	}
	if got := problem(t, book, "nodejs22.x"); !strings.Contains(got, "no Node.js 22 was found") {
		t.Errorf("after it was removed: %s", got)
	}
}

func TestAMemoryThatCannotBeReadIsMadeAnew(t *testing.T) {
	dir, data := install(t, "node", nodeSays("22.0.0")), t.TempDir()
	for _, text := range []string{"{", `{"Format":"other","Records":{"x":{}}}`, `{"Format":"kiln-runtimes-1","Records":{"x":null}}`} {
		if err := os.MkdirAll(data+"/runtimes", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, data+"/runtimes/discovery.json", text)
		if _, err := open(t, data, runtimes.Options{}, dir).Runtime(t.Context(), "nodejs22.x", ""); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhyAnInterpreterIsTurnedDownIsSaid(t *testing.T) {
	change := func(key string, value any) said {
		s := nodeSays("22.0.0")
		s[key] = value
		return s
	}
	cases := []struct {
		name string
		says said
		want string
	}{
		{"another implementation", change("implementation", "bun"), "it is bun, not node"},
		{"another machine", change("machine", "riscv64"), "it is built for riscv64"},
		{"a debug build", change("flavour", "debug"), "it is a debug build"},
		{"it lacks modules", change("lacking", []string{"crypto (gone)"}), "it cannot load crypto (gone)"},
		{"its program is not there", change("program", "/nowhere/node"), "no such file"},
	}
	for _, c := range cases {
		dir := install(t, "node", c.says)
		got := problem(t, open(t, t.TempDir(), runtimes.Options{}, dir), "nodejs22.x")
		if !strings.Contains(got, "not usable: "+dir+"/node: ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
	dir := install(t, "node", nil)
	write(t, dir+"/answer", "fail: cannot open shared object")
	if got := problem(t, open(t, t.TempDir(), runtimes.Options{}, dir), "nodejs22.x"); !strings.Contains(got, dir+"/node: cannot open shared object") {
		t.Errorf("it does not start: got %s", got)
	}
	write(t, dir+"/answer", "hello")
	if got := problem(t, open(t, t.TempDir(), runtimes.Options{}, dir), "nodejs22.x"); !strings.Contains(got, "it did not answer as an interpreter does") {
		t.Errorf("it says hello: got %s", got)
	}
	dir = install(t, "node", nodeSays("22.0.0"))
	if err := os.Chmod(dir+"/node", 0o777); err != nil {
		t.Fatal(err)
	}
	if got := problem(t, open(t, t.TempDir(), runtimes.Options{}, dir), "nodejs22.x"); !strings.Contains(got, "can be changed by everybody") {
		t.Errorf("writable: got %s", got)
	}
	dir = install(t, "node", nodeSays("22.0.0"))
	if err := os.Chmod(dir+"/node", 0o700); err != nil {
		t.Fatal(err)
	}
	if got := problem(t, open(t, t.TempDir(), runtimes.Options{}, dir), "nodejs22.x"); !strings.Contains(got, "not readable by every user") {
		t.Errorf("private: got %s", got)
	}
}

func TestAnInterpreterIsCheckedInABoxBeforeItsFirstUseAndOnce(t *testing.T) {
	dir, data := install(t, "node", nodeSays("22.0.0")), t.TempDir()
	var checked []kiln.Runtime
	result := errors.New("error while loading shared libraries: libx.so")
	o := runtimes.Options{Check: func(_ context.Context, rt kiln.Runtime, command []string) error {
		checked = append(checked, rt)
		if want := runtimes.Probe(rt); !slices.Equal(command, want) || command[0] != "/var/lang/bin/node" {
			t.Errorf("command: got %v, want %v", command, want)
		}
		if len(rt.Mounts) == 0 || rt.Env["LD_LIBRARY_PATH"] == "" {
			t.Errorf("it is not whole: %+v", rt)
		}
		return result
	}}
	book := open(t, data, o, dir)
	for range 2 { // a failure is no memory: its cause may pass
		if got := problem(t, book, "nodejs22.x"); !strings.Contains(got, "it does not work in an environment: error while loading shared libraries: libx.so") {
			t.Errorf("got %s", got)
		}
	}
	result = nil
	for range 2 {
		if _, err := book.Runtime(t.Context(), "nodejs22.x", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(t, data, o, dir).Runtime(t.Context(), "nodejs22.x", ""); err != nil {
		t.Fatal(err)
	}
	if got := len(checked); got != 3 {
		t.Errorf("it was checked %d times, want 3", got)
	}
}

func TestManyCallersShareOneLook(t *testing.T) {
	dir := install(t, "node", nodeSays("22.0.0"))
	book := open(t, t.TempDir(), runtimes.Options{}, dir)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := book.Runtime(context.Background(), "nodejs22.x", ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := asked(t, dir); got != 1 {
		t.Errorf("it was asked %d times, want once", got)
	}
}

func TestACallerMayStopWaiting(t *testing.T) {
	dir := install(t, "node", nodeSays("22.0.0"))
	checking, release := make(chan struct{}), make(chan struct{})
	book := open(t, t.TempDir(), runtimes.Options{Check: func(context.Context, kiln.Runtime, []string) error {
		close(checking)
		<-release
		return nil
	}}, dir)
	first := make(chan error, 1)
	go func() {
		_, err := book.Runtime(context.Background(), "nodejs22.x", "")
		first <- err
	}()
	<-checking
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := book.Runtime(ctx, "nodejs22.x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("the second one: got %v, want that it was cancelled", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first one: %v", err)
	}
}

func TestLibrariesFromElsewhereAreCopiedUnderAllTheirNames(t *testing.T) {
	libs := t.TempDir()
	write(t, libs+"/libodd.so.1.2.3", "library")
	if err := os.Symlink("libodd.so.1.2.3", libs+"/libodd.so.1"); err != nil {
		t.Fatal(err)
	}
	says := nodeSays("22.0.0")
	says["shared"] = []string{libs + "/libodd.so.1.2.3", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	rt, err := open(t, t.TempDir(), runtimes.Options{}, install(t, "node", says)).Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	home, _ := source(rt, "/var/runtime")
	entries, err := os.ReadDir(home + "/lib")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("copied %v", entries)
	}
	for _, name := range []string{"libodd.so.1", "libodd.so.1.2.3"} {
		if got, err := os.ReadFile(home + "/lib/" + name); err != nil || string(got) != "library" {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if !strings.Contains(rt.Env["LD_LIBRARY_PATH"], ":/var/runtime/lib:") {
		t.Errorf("nobody looks there: %s", rt.Env["LD_LIBRARY_PATH"])
	}
}

func TestAPrefixOfItsOwnIsShownWithoutInstalledPackages(t *testing.T) {
	prefix := t.TempDir()
	for _, dir := range []string{"bin", "lib/python3.14/site-packages/pip", "lib/python3.14/lib-dynload", "envs/other", "share"} {
		if err := os.MkdirAll(filepath.Join(prefix, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	copyBinary(t, prefix+"/bin/python3.14")
	answers(t, prefix+"/bin", said{
		"implementation": "cpython", "version": "3.14.2", "program": "PROGRAM", "prefix": prefix,
		"libraries": []string{prefix + "/lib/python3.14"}, "shared": []string{prefix + "/lib/libpython3.14.so.1.0"},
		"machine": hostMachine(),
	})
	rt, err := open(t, t.TempDir(), runtimes.Options{}, prefix+"/bin").Runtime(t.Context(), "python3.14", "")
	if err != nil {
		t.Fatal(err)
	}
	home, _ := source(rt, "/var/runtime")
	want := []kiln.RuntimeMount{
		{Source: prefix, Target: "/var/lang"},
		{Source: "", Target: "/var/lang/envs"},
		{Source: "", Target: "/var/lang/lib/python3.14/site-packages"},
		{Source: home, Target: "/var/runtime"},
	}
	if !slices.Equal(rt.Mounts, want) {
		t.Errorf("got  %v\nwant %v", rt.Mounts, want)
	}
	if isThere(home + "/lib") {
		t.Error("a library of the prefix was copied")
	}
}

func TestAPrefixOfTheSystemIsShownInPieces(t *testing.T) {
	lang := languageAt(t, "/usr/bin/python3.")
	skeleton, _ := source(lang.runtime, "/var/lang")
	program := "/var/lang/bin/python" + lang.version
	if got, _ := source(lang.runtime, program); got != "/usr/bin/python"+lang.version {
		t.Errorf("%s comes from %s", program, got)
	}
	library := "/lib/python" + lang.version
	if got, _ := source(lang.runtime, "/var/lang"+library); got != "/usr"+library {
		t.Errorf("the library comes from %s", got)
	}
	for _, name := range []string{"/bin/python" + lang.version, "/bin/python3", "/bin/python", library} {
		if !isThere(skeleton + name) {
			t.Errorf("the skeleton has no %s", name)
		}
	}
	if isThere(skeleton+"/lib/python3") || isThere(skeleton+library+"/os.py") {
		t.Error("the skeleton has contents")
	}
}

func TestAVirtualEnvironmentStandsForItsInterpreter(t *testing.T) {
	lang := languages(t, "python")[len(languages(t, "python"))-1]
	prefix, shown := source(lang.runtime, "/var/lang")
	dir := t.TempDir()
	if out, err := combined(lang.command[0], "-m", "venv", "--without-pip", dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rt, err := open(t, t.TempDir(), runtimes.Options{}, dir+"/bin").Runtime(t.Context(), lang.identifier, "")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := source(rt, "/var/lang")
	// An interpreter of the distribution is composed below each book's own directory.
	if _, below, ok := strings.Cut(prefix, "/runtimes/served/"); ok {
		prefix = "/" + below
		_, below, _ = strings.Cut(got, "/runtimes/served/")
		got = "/" + below
	}
	if !shown || strings.HasPrefix(got, dir) || got != prefix && (strings.HasPrefix(prefix, "/python") || isThere(prefix+"/lib")) {
		t.Errorf("got %s, want %s", got, prefix)
	}
}

func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
