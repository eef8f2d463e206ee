package runtimes_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// Every identifier that kiln's own list of runtimes names.
const identifiers = `nodejs10.x nodejs12.x nodejs14.x nodejs16.x nodejs18.x nodejs20.x nodejs22.x nodejs24.x nodejs26.x
python2.7 python3.6 python3.7 python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 python3.15
ruby2.5 ruby2.7 ruby3.2 ruby3.3 ruby3.4 ruby4.0
java8 java8.al2 java8.al2023 java11 java11.al2023 java17 java17.al2023 java21 java25
dotnetcore2.1 dotnetcore3.1 dotnet6 dotnet8 dotnet10 go1.x provided provided.al2 provided.al2023`

// imageOnly are those that neither npm nor Debian has.
var imageOnly = strings.Fields("python3.6 python3.7 python3.8 python3.10 python3.12 ruby2.5 ruby3.2 ruby3.4 ruby4.0 dotnet6 dotnet8 dotnet10")

func TestTheShelfHasEveryIdentifier(t *testing.T) {
	entries := open(t, t.TempDir(), runtimes.Options{}).List(t.Context())
	states := make(map[string]runtimes.Entry)
	for _, e := range entries {
		states[e.Identifier] = e
	}
	date := regexp.MustCompile(`^(20\d\d-\d\d-\d\d)?$`)
	for _, identifier := range strings.Fields(identifiers) {
		e, ok := states[identifier]
		want := runtimes.Missing
		switch {
		case slices.Contains(imageOnly, identifier):
			want = runtimes.ImageOnly
		case strings.HasPrefix(identifier, "provided"), identifier == "go1.x":
			want = runtimes.Ready
		case strings.HasPrefix(identifier, "nodejs"):
			want = runtimes.Fetchable
		}
		if !ok || e.State != want || (e.How == "") != (want == runtimes.Ready) {
			t.Errorf("%s: got %+v, want state %s", identifier, e, want)
		}
		if !date.MatchString(e.Deprecated) {
			t.Errorf("%s: deprecated %q", identifier, e.Deprecated)
		}
		delete(states, identifier)
	}
	for _, sdk := range []string{"python-sdk", "python-sdk-3.8", "nodejs-sdk", "nodejs-sdk-v2"} {
		if states[sdk].State != runtimes.Fetchable {
			t.Errorf("%s: got %+v", sdk, states[sdk])
		}
		delete(states, sdk)
	}
	if len(states) > 0 {
		t.Errorf("nobody knows %v", states)
	}
	var order []string
	for _, e := range entries {
		if strings.HasPrefix(e.Identifier, "python3") {
			order = append(order, e.Identifier)
		}
	}
	if got := strings.Join(order, " "); !strings.HasPrefix(got, "python3.6 python3.7 python3.8 python3.9 python3.10") {
		t.Errorf("the order is %s", got)
	}
}

func TestWhatNeedsNoInterpreterIsServedAtOnce(t *testing.T) {
	book := open(t, t.TempDir(), runtimes.Options{})
	for identifier, want := range map[string]struct{ command, release, execution string }{
		"provided":        {"/var/task/bootstrap", "provided:al1.v1", ""},
		"provided.al2":    {"/var/task/bootstrap", "provided:al2.v1", ""},
		"provided.al2023": {"/var/task/bootstrap", "provided:al2023.v1", ""},
		"go1.x":           {"/var/task/main", "go:1.x.v1", ""},
	} {
		rt, err := book.Runtime(t.Context(), identifier, "")
		if err != nil {
			t.Errorf("%s: %v", identifier, err)
			continue
		}
		got := rt.CommandFor(&kiln.Config{Handler: "main", MemoryMB: 128})
		if len(got) != 1 || got[0] != want.command || rt.Release != want.release || len(rt.Mounts) != 0 || runtimes.Probe(rt) != nil {
			t.Errorf("%s: %v %+v", identifier, got, rt)
		}
	}
}

func TestFunctionsOfGo1xAreStartedByTheBridge(t *testing.T) {
	data, program := t.TempDir(), filepath.Join(t.TempDir(), "kiln")
	place := func(text string) string {
		t.Helper()
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		rt, err := open(t, data, runtimes.Options{Bridge: program}).Runtime(t.Context(), "go1.x", "")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(rt.CommandFor(&kiln.Config{Handler: "main"}), " "), "/var/runtime/kiln-go1.x /var/task/main"; got != want || len(rt.Mounts) != 1 {
			t.Errorf("got %q, %v", got, rt.Mounts)
		}
		copied := filepath.Join(rt.Mounts[0].Source, "kiln-go1.x")
		got, err := os.ReadFile(copied)
		info, statErr := os.Stat(copied)
		if err != nil || statErr != nil || string(got) != text || info.Mode().Perm() != 0o755 {
			t.Errorf("got %q, %v, %v", got, info, err)
		}
		return rt.ReleaseARN
	}
	first := place("one")
	if second := place("another"); second == first {
		t.Error("another program made no other release")
	}
	if left, err := filepath.Glob(filepath.Join(data, "runtimes/served/go1.x-*")); err != nil || len(left) != 1 {
		t.Errorf("left %q, %v", left, err)
	}
	if _, err := open(t, data, runtimes.Options{Bridge: "/nowhere"}).Runtime(t.Context(), "go1.x", ""); err == nil {
		t.Error("a bridge that is not there was served")
	}
}

func TestTheHeapOfNodeIsKeptBelowTheMemory(t *testing.T) {
	book := open(t, t.TempDir(), runtimes.Options{}, install(t, "node", nodeSays("22.0.0")))
	rt, err := book.Runtime(t.Context(), "nodejs22.x", "")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(rt.CommandFor(&kiln.Config{Handler: "app.handler", MemoryMB: 512}), " ")
	if want := "/var/lang/bin/node --max-old-space-size=460 --expose-gc /var/runtime/bootstrap.js"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatCannotBeServedSaysWhyAndWhatToDo(t *testing.T) {
	book := open(t, t.TempDir(), runtimes.Options{Host: t.TempDir()})
	other, _ := foreign()
	cases := []struct{ identifier, architecture, want string }{
		{"java21", "", "no Java 21 was found on this machine, so java21 functions cannot run; this machine's apt has no source of Debian: name one with --debian-mirror URL, or debian-mirror in kiln.yaml; then run `kiln runtime add java21`, or install it so that java is on the PATH, in JAVA_HOME, or below /usr/lib/jvm, sdkman, jenv, asdf, mise, /opt or /usr/local"},
		{"ruby3.4", "", "no Ruby 3.4 was found on this machine, so ruby3.4 functions cannot run; run `kiln runtime add ruby3.4 --image REF`, or install it so that ruby is on the PATH or below rbenv, rvm, chruby, asdf, mise, /opt or /usr/local"},
		{"dotnet8", "", "no .NET 8 was found on this machine, so dotnet8 functions cannot run; run `kiln runtime add dotnet8 --image REF`, or install it so that dotnet is on the PATH, in DOTNET_ROOT, or below ~/.dotnet, /usr/share/dotnet, /usr/lib/dotnet, asdf, mise or /opt, with a shared runtime of version 8"},
		{"cobol85", "", "kiln does not serve the runtime \"cobol85\"; `kiln runtime ls` lists those that it does"},
		{"provided.al2023", other, "this machine runs " + hostMachine() + " code, not " + other + ": create the function with architecture " + hostMachine() + ", or install an emulator that the kernel knows (package qemu-user-static)"},
		{"python3.14", "", "no Python 3.14 was found on this machine, so python3.14 functions cannot run; this machine's apt has no source of Debian: name one with --debian-mirror URL, or debian-mirror in kiln.yaml; then run `kiln runtime add python3.14`, or install it so that python3.14 is on the PATH or below pyenv, asdf, mise, uv, conda, /opt or /usr/local"},
		{"python3.12", "", "no Python 3.12 was found on this machine, so python3.12 functions cannot run; run `kiln runtime add python3.12 --image REF`, or install it so that python3.12 is on the PATH or below pyenv, asdf, mise, uv, conda, /opt or /usr/local"},
		{"nodejs24.x", "", "no Node.js 24 was found on this machine, so nodejs24.x functions cannot run; run `kiln runtime add nodejs24.x`, or install it so that node is on the PATH or below nvm, fnm, volta, asdf, mise, n, /opt or /usr/local"},
	}
	for _, c := range cases {
		_, err := book.Runtime(t.Context(), c.identifier, c.architecture)
		if err == nil || err.Error() != c.want || kiln.CodeOf(err) != kiln.BadRuntime {
			t.Errorf("%s: got %v, want %s", c.identifier, err, c.want)
		}
		if got := book.Release(t.Context(), c.identifier, c.architecture); got != "" {
			t.Errorf("%s: release %q", c.identifier, got)
		}
	}
}

func TestAReleaseChangesWithWhatServes(t *testing.T) {
	digest := regexp.MustCompile(`^[0-9a-f]{64}$`)
	book := open(t, t.TempDir(), runtimes.Options{}, install(t, "node", nodeSays("22.0.0")))
	other := open(t, t.TempDir(), runtimes.Options{}, install(t, "node", nodeSays("22.1.0")))
	a, b := book.Release(t.Context(), "nodejs22.x", ""), other.Release(t.Context(), "nodejs22.x", "")
	if !digest.MatchString(a) || a == b || a != book.Release(t.Context(), "nodejs22.x", "") {
		t.Errorf("got %s and %s", a, b)
	}
	if a, b := book.Release(t.Context(), "provided.al2023", ""), other.Release(t.Context(), "provided.al2023", ""); !digest.MatchString(a) || a != b {
		t.Errorf("provided: got %s and %s", a, b)
	}
}

// languageAt gives an interpreter of this machine whose program begins like this.
func languageAt(t *testing.T, prefix string) *language {
	t.Helper()
	for _, l := range languages(t, "python") {
		if strings.HasPrefix(l.command[0], prefix) {
			return l
		}
	}
	t.Skipf("needs a Python of the system: no %s… here", prefix)
	return nil
}

func combined(program string, arguments ...string) (string, error) {
	out, err := exec.CommandContext(context.Background(), program, arguments...).CombinedOutput()
	return string(out), err
}

func TestADeprecatedRuntimeWarnsOnceAndRuns(t *testing.T) {
	var said strings.Builder
	book := open(t, t.TempDir(), runtimes.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))}, install(t, "node", nodeSays("20.0.0")))
	for range 2 {
		rt, err := book.Runtime(t.Context(), "nodejs20.x", "")
		if err != nil || rt.Deprecated != "2026-04-30" {
			t.Fatalf("got %+v %v", rt, err)
		}
	}
	if got := strings.Count(said.String(), `runtime=nodejs20.x since=2026-04-30`); got != 1 {
		t.Errorf("it warned %d times: %s", got, said.String())
	}
}
