//go:build !windows

// The tools are scripts, which need a shell.

package pack_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/internal/pack"
)

// The interfaces of AWS's, as a function's sources may bring them.
const (
	awsHandler = "package com.amazonaws.services.lambda.runtime;\npublic interface RequestHandler<I, O> { O handleRequest(I event, Object context); }\n"
	awsStream  = "package com.amazonaws.services.lambda.runtime;\npublic interface RequestStreamHandler { void handleRequest(java.io.InputStream in, java.io.OutputStream out, Object context); }\n"
	till       = "package shop;\nimport com.amazonaws.services.lambda.runtime.RequestHandler;\npublic class Till\n    implements RequestHandler<String, Long> {\n" +
		"  static final long LARGE = 1L << 40; static final double HALF = 0.5;\n  public Long handleRequest(String event, Object context) { return LARGE + (long) (HALF * event.length()); }\n}\n"
)

func needJavac(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Fatal("no javac on the PATH; make test installs openjdk-17-jdk-headless")
	}
}

func TestJavaSourcesAreCompiledAndTheirHandlerIsFound(t *testing.T) {
	needJavac(t)
	dir := folder(t, map[string]string{
		"com/amazonaws/services/lambda/runtime/RequestHandler.java": awsHandler, "shop/Till.java": till, "Main.java": "public class Main {}\n",
		"test/Broken.java": "class {", "README.md": "no code",
	})
	s, err := pack.Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Language != pack.Java || !s.Builds || s.Handler != "shop.Till" {
		t.Fatalf("got %q %v %q", s.Language, s.Builds, s.Handler)
	}
	z, err := s.Pack(t.Context(), pack.Options{Runtime: "java11.al2023"})
	if err != nil {
		t.Fatal(err)
	}
	names, contents := entries(t, z)
	if want := []string{"-rw-r--r-- Main.class", "-rw-r--r-- com/amazonaws/services/lambda/runtime/RequestHandler.class", "-rw-r--r-- shop/Till.class"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	// The major version of a class file says which Java it is for: 55 is 11.
	if got := contents["shop/Till.class"][7]; got != 55 {
		t.Errorf("class version: got %d, want 55", got)
	}
	// A compiler that is older than the runtime compiles for itself.
	if _, err := s.Pack(t.Context(), pack.Options{Runtime: "java99"}); err != nil {
		t.Errorf("for a later Java: %v", err)
	}
	again, err := s.Pack(t.Context(), pack.Options{Runtime: "java11.al2023"})
	if err != nil || !bytes.Equal(again, z) {
		t.Errorf("a second time: other bytes, %v", err)
	}

	// The same as a jar, and as a jar in lib.
	jar := filepath.Join(t.TempDir(), "till.jar")
	if err := os.WriteFile(jar, z, 0o644); err != nil {
		t.Fatal(err)
	}
	j, err := pack.Look(jar)
	if err != nil || j.Kind != pack.Zip || j.Language != pack.Java || j.Handler != "shop.Till" || j.Name() != "till" {
		t.Fatalf("a jar: got %+v, %v", j, err)
	}
	if out, err := j.Pack(t.Context(), pack.Options{}); err != nil || !bytes.Equal(out, z) {
		t.Errorf("a jar must go as it is: %v", err)
	}
	lib := folder(t, map[string]string{"lib/till.jar": string(z), "lib/broken.jar": "no jar"})
	l, err := pack.Look(lib)
	if err != nil || l.Language != pack.Java || l.Builds || l.Handler != "shop.Till" {
		t.Errorf("a jar in lib: got %+v, %v", l, err)
	}

	broken := folder(t, map[string]string{"Broken.java": "public class Broken {\n"})
	if s, err = pack.Look(broken); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "Broken.java:1: error") {
		t.Errorf("what the compiler said is not told: %v", err)
	}
}

func TestAHandlerOfJavaIsNamedWhereTheChoiceIsOne(t *testing.T) {
	needJavac(t)
	stream := "import com.amazonaws.services.lambda.runtime.RequestStreamHandler;\npublic %s class %s implements RequestStreamHandler {\n" +
		"  public void handleRequest(java.io.InputStream in, java.io.OutputStream out, Object context) {}\n}\n"
	class := func(kind, name string) string {
		return strings.Replace(strings.Replace(stream, "%s", kind, 1), "%s", name, 1)
	}
	const shape = "com/amazonaws/services/lambda/runtime/RequestStreamHandler.java"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one":           {map[string]string{shape: awsStream, "A.java": class("", "A")}, "A"},
		"two":           {map[string]string{shape: awsStream, "A.java": class("", "A"), "B.java": class("", "B")}, ""},
		"an abstract":   {map[string]string{shape: awsStream, "A.java": class("abstract", "A"), "B.java": class("", "B")}, "B"},
		"none":          {map[string]string{"A.java": "public class A {}\n"}, ""},
		"only the kind": {map[string]string{shape: awsStream, "B.java": "interface B extends com.amazonaws.services.lambda.runtime.RequestStreamHandler {}\n"}, ""},
	} {
		built := t.TempDir()
		s, err := pack.Look(folder(t, c.files))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Build(t.Context(), built, pack.Options{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := pack.Look(built)
		if err != nil || b.Language != pack.Java || b.Handler != c.want {
			t.Errorf("%s: got %q %q, %v, want %q", name, b.Language, b.Handler, err, c.want)
		}
	}
}

// tool puts a program of the given text first on the PATH.
func tool(t *testing.T, name, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestMavenAndGradleBuildWhatAsksForThem(t *testing.T) {
	needJavac(t)
	made := t.TempDir()
	s, err := pack.Look(folder(t, map[string]string{"com/amazonaws/services/lambda/runtime/RequestHandler.java": awsHandler, "Till.java": strings.Replace(till, "package shop;\n", "", 1)}))
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Pack(t.Context(), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(made, "fn.jar"), z, 0o644); err != nil {
		t.Fatal(err)
	}
	small := zipOfOne(t, "Other.class", "no class")
	if err := os.WriteFile(filepath.Join(made, "thin.jar"), small, 0o644); err != nil {
		t.Fatal(err)
	}
	tool(t, "mvn", `[ "$1" = -q ] || exit 1; mkdir -p target && cp `+made+`/fn.jar target/fn-1.0.jar && cp `+made+`/fn.jar target/fn-1.0-sources.jar && cp `+made+`/thin.jar target/original-fn-1.0.jar`+"\necho built >&2\n")
	tool(t, "gradle", `mkdir -p build/libs build/distributions && cp `+made+`/thin.jar build/libs/fn-plain.jar && cp `+made+`/fn.jar build/libs/fn.jar && echo no > build/distributions/fn.zip`+"\n")
	for _, file := range []string{"pom.xml", "build.gradle", "build.gradle.kts"} {
		dir := folder(t, map[string]string{file: "x", "src/main/java/shop/Till.java": till, "src/test/java/T.java": strings.ReplaceAll(till, "Till", "T")})
		s, err := pack.Look(dir)
		if err != nil || s.Language != pack.Java || !s.Builds || s.Handler != "shop.Till" {
			t.Fatalf("%s: got %+v, %v", file, s, err)
		}
		var talk bytes.Buffer
		got, err := s.Pack(t.Context(), pack.Options{Talk: &talk})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if names, _ := entries(t, got); !slices.Contains(names, "-rw-r--r-- Till.class") {
			t.Errorf("%s: got %q", file, names)
		}
		if file == "pom.xml" && talk.String() != "built\n" {
			t.Errorf("what the tool said: got %q", talk.String())
		}
		// Without the tool, what was built before goes as it is.
		t.Setenv("PATH", t.TempDir())
		talk.Reset()
		if again, err := s.Pack(t.Context(), pack.Options{Talk: &talk}); err != nil || !bytes.Equal(again, got) || !strings.Contains(talk.String(), "goes as it is") {
			t.Errorf("%s: without the tool: %v, said %q", file, err, talk.String())
		}
		s, err = pack.Look(folder(t, map[string]string{file: "x"}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "which is not on the PATH: install it from") {
			t.Errorf("%s: got %v", file, err)
		}
		tool(t, "mvn", "exit 0\n")
		tool(t, "gradle", "exit 0\n")
		if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "left neither a zip nor a jar") {
			t.Errorf("%s: a build that makes nothing: %v", file, err)
		}
		t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+"/bin:/usr/bin")
		tool(t, "mvn", `mkdir -p target && cp `+made+`/fn.jar target/fn.jar`+"\n")
		tool(t, "gradle", `mkdir -p build/libs && cp `+made+`/fn.jar build/libs/fn.jar`+"\n")
	}
}

func zipOfOne(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestADotnetProjectSaysItsRuntime(t *testing.T) {
	project := func(lines ...string) string {
		return `<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>` + strings.Join(lines, "") + `</PropertyGroup></Project>`
	}
	for name, c := range map[string]struct {
		files            map[string]string
		runtime, handler string
	}{
		"a library":   {map[string]string{"Fn.csproj": project("<TargetFramework>net8.0</TargetFramework>")}, "dotnet8", ""},
		"the oldest":  {map[string]string{"Fn.csproj": project("<TargetFramework>netcoreapp2.1</TargetFramework>")}, "dotnetcore2.1", ""},
		"a program":   {map[string]string{"Fn.fsproj": project("<OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework>")}, "dotnet10", "Fn"},
		"with a name": {map[string]string{"Fn.csproj": project("<OutputType>exe</OutputType><AssemblyName>Shop.Till</AssemblyName><TargetFramework>net6.0</TargetFramework>")}, "dotnet6", "Shop.Till"},
		"a standard":  {map[string]string{"Fn.csproj": project("<TargetFramework>netstandard2.0</TargetFramework>")}, "", ""},
		"AWS's tool": {map[string]string{
			"Fn.csproj":                      project("<TargetFramework>net8.0</TargetFramework>"),
			"aws-lambda-tools-defaults.json": "\xef\xbb\xbf" + `{"function-handler":"Fn::Fn.Function::Handle","function-runtime":"dotnet10"}`,
		}, "dotnet10", "Fn::Fn.Function::Handle"},
	} {
		s, err := pack.Look(folder(t, c.files))
		if err != nil || s.Language != pack.Dotnet || !s.Builds || s.Runtime != c.runtime || s.Handler != c.handler {
			t.Errorf("%s: got %+v, %v, want %q %q", name, s, err, c.runtime, c.handler)
		}
	}
	if _, err := pack.Look(folder(t, map[string]string{"A.csproj": "", "B.csproj": ""})); err == nil || !strings.Contains(err.Error(), "has 2 projects") {
		t.Errorf("two projects: got %v", err)
	}
}

func TestADotnetProjectIsPublishedAndWhatWasPublishedIsKnown(t *testing.T) {
	tool(t, "dotnet", `[ "$1 $2 $3 $4 $5" = "publish Fn.csproj --configuration Release --output" ] || { echo "not so: $*"; exit 1; }
echo '{"runtimeOptions":{"tfm":"netcoreapp3.1","framework":{"name":"Microsoft.NETCore.App","version":"3.1.0"}}}' > "$6/Fn.runtimeconfig.json"
echo '{}' > "$6/Fn.deps.json"; cp Fn.bin "$6/Fn.dll"
`)
	// The bootstrap of kiln is a program; a function of the tests would be a library.
	program, err := os.ReadFile("../../box/runtimes/dotnet/lib/kiln.dll")
	if err != nil {
		t.Fatal(err)
	}
	for bin, want := range map[string]string{string(program): "Fn", "no assembly": ""} {
		s, err := pack.Look(folder(t, map[string]string{"Fn.csproj": "<TargetFramework>netcoreapp3.1</TargetFramework>", "Fn.bin": bin}))
		if err != nil {
			t.Fatal(err)
		}
		z, err := s.Pack(t.Context(), pack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if names, _ := entries(t, z); len(names) != 3 {
			t.Errorf("got %q", names)
		}
		published := filepath.Join(t.TempDir(), "fn.zip")
		if err := os.WriteFile(published, z, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := pack.Look(published)
		if err != nil || p.Language != pack.Dotnet || p.Builds || p.Runtime != "dotnetcore3.1" || p.Handler != want {
			t.Errorf("what was published: got %+v, %v, want handler %q", p, err, want)
		}
	}
	s, err := pack.Look(folder(t, map[string]string{"Other.csproj": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "not so: publish Other.csproj") {
		t.Errorf("what the tool said is not told: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "install the SDK") {
		t.Errorf("without the SDK: %v", err)
	}
}

func TestARubyFunctionIsFoundByItsFile(t *testing.T) {
	for text, want := range map[string]string{
		"def handler(event:, context:)\nend\n":        "function.handler",
		"def lambda_handler(event:, context:)\nend\n": "function.lambda_handler",
		"def handlers\nend\n":                         "",
	} {
		s, err := pack.Look(folder(t, map[string]string{"function.rb": text, "Gemfile": ""}))
		if err != nil || s.Language != pack.Ruby || s.Handler != want {
			t.Errorf("%q: got %+v, %v, want %q", text, s, err, want)
		}
	}
}
