package e2e_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// layer publishes a layer version and gives its ARN.
func layer(t testing.TB, c *lambda.Client, name string, code []byte) string {
	t.Helper()
	out, err := c.PublishLayerVersion(within(t, time.Minute), &lambda.PublishLayerVersionInput{LayerName: aws.String(name), Content: &types.LayerVersionContentInput{ZipFile: code}})
	if err != nil {
		t.Fatalf("publish %s: %v", name, err)
	}
	return aws.ToString(out.LayerVersionArn)
}

// layers are those of a function.
func layers(arns ...string) settings {
	return func(in *lambda.CreateFunctionInput) { in.Layers = arns }
}

// updated waits until the last change of a function is in place.
func updated(t testing.TB, c *lambda.Client, name string) {
	t.Helper()
	soon := func(o *lambda.FunctionUpdatedV2WaiterOptions) { o.MinDelay = 20 * time.Millisecond }
	if err := lambda.NewFunctionUpdatedV2Waiter(c, soon).Wait(within(t, time.Minute), &lambda.GetFunctionInput{FunctionName: aws.String(name)}, time.Minute); err != nil {
		t.Fatal(err)
	}
}

const layeredPython = `
import ctypes, os, subprocess
import low, both, numbers_of_layer
from PIL import Image

def attempt(f):
    try:
        f()
        return "done"
    except OSError as e:
        return e.strerror

def handler(event, context):
    return {
        "low": low.name, "both": both.name, "pillow": Image.__file__, "size": Image.new("L", (3, 2)).size,
        "tool": subprocess.run(["layertool"], capture_output=True, text=True).stdout.strip(),
        "library": ctypes.CDLL("libkilnlayer.so").answer(),
        "write": attempt(lambda: open("/opt/python/low.py", "w")), "create": attempt(lambda: open("/opt/new", "w")),
        "remove": attempt(lambda: os.remove("/opt/bin/layertool")), "modes": [oct(os.stat("/opt/" + n).st_mode & 0o777) for n in ("bin/layertool", "python/low.py")],
        "task": os.path.exists("/var/task/low.py"), "n": numbers_of_layer.n,
    }
`

func TestLayersGiveAPythonFunctionItsPackages(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	dir := t.TempDir()
	site := filepath.Join(dir, "pillow", "python", "lib", py, "site-packages")
	install(t, dir, pythonAbs(t), "-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:", "--python-version", strings.TrimPrefix(py, "python"), "--implementation", "cp", "--target", site, "pillow==12.0.0")
	library := filepath.Join(dir, "libkilnlayer.so")
	source := filepath.Join(dir, "answer.c")
	if err := os.WriteFile(source, []byte("int answer(void) { return 42; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	pillow := layer(t, c, "pillow", zipDir(t, filepath.Join(dir, "pillow")))
	low := layer(t, c, "low", zipOf(t,
		file{Name: "python/low.py", Text: "name = 'low'\n", Mode: 0o600 | 0o044}, file{Name: "python/both.py", Text: "name = 'low'\n"},
		file{Name: "bin/layertool", Text: "#!/bin/sh\necho from the layer\n", Mode: 0o755}, file{Name: "lib/libkilnlayer.so", Text: string(text), Mode: 0o755}))
	high := layer(t, c, "high", zipOf(t, file{Name: "python/both.py", Text: "name = 'high'\n"}, file{Name: "python/numbers_of_layer.py", Text: "n = 1\n"}))
	code := zipOf(t, file{Name: "app.py", Text: layeredPython})
	create(t, c, "layered", py, "app.handler", code, layers(pillow, low, high), memory(256))
	want := map[string]any{
		"low": "low", "both": "high", "pillow": "/opt/python/lib/" + py + "/site-packages/PIL/Image.py", "size": []any{3.0, 2.0}, "tool": "from the layer", "library": 42.0,
		"write": "Read-only file system", "create": "Read-only file system", "remove": "Read-only file system", "modes": []any{"0o755", "0o644"}, "task": false, "n": 1.0,
	}
	check := func(when, payload string) {
		t.Helper()
		var got map[string]any
		if err := json.Unmarshal([]byte(payload), &got); err != nil {
			t.Fatalf("%s: %v in %s", when, err, payload)
		}
		if asText(t, got) != asText(t, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", when, asText(t, got), asText(t, want))
		}
	}
	check("first", answer(t, c, "layered", `{}`))

	// the other order
	ctx := within(t, 2*time.Minute)
	if _, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("layered"), Layers: []string{high, low, pillow}}); err != nil {
		t.Fatal(err)
	}
	updated(t, c, "layered")
	want["both"] = "low"
	check("the other order", answer(t, c, "layered", `{}`))

	// what is deleted goes on working, in the version that was published too, and after
	// the server was killed
	v, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("layered")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pillow", "low", "high"} {
		if _, err := c.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: aws.String(name), VersionNumber: aws.Int64(1)}); err != nil {
			t.Fatal(err)
		}
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.GetLayerVersionByArn(ctx, &lambda.GetLayerVersionByArnInput{Arn: aws.String(low)}); !errors.As(err, &missing) {
		t.Errorf("a deleted layer version is there: %v", err)
	}
	s.kill(t)
	s = startIn(t, s.Data)
	c = s.client()
	check("after the deletion", answer(t, c, "layered", `{}`))
	check("the published version", answer(t, c, "layered:"+aws.ToString(v.Version), `{}`))
	_, err = c.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("late"), Runtime: types.Runtime(py), Handler: aws.String("app.handler"), Role: aws.String(role), Code: &types.FunctionCode{ZipFile: code}, Layers: []string{low},
	})
	if code, text := apiError(t, err); code != "InvalidParameterValueException" || text != "Layer version "+low+" does not exist." {
		t.Errorf("a function with a deleted layer version: %s %s", code, text)
	}
	if again := layer(t, c, "low", zipOf(t, file{Name: "x", Text: "1"})); !strings.HasSuffix(again, ":low:2") {
		t.Errorf("the number was given again: %s", again)
	}
}

func asText(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALayerGivesNodeFunctionsTheirPackages(t *testing.T) {
	s := start(t)
	c, id := s.client(), needNode(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "nodejs"), 0o755); err != nil {
		t.Fatal(err)
	}
	install(t, filepath.Join(dir, "nodejs"), "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", ".", "is-number@7.0.0")
	major := strings.TrimSuffix(strings.TrimPrefix(id, "nodejs"), ".x")
	module := func(where, text string) file { return file{Name: where + "/index.js", Text: text} }
	arns := []string{
		layer(t, c, "packages", zipDir(t, dir)),
		layer(t, c, "versions", zipOf(t,
			module("nodejs/node"+major+"/node_modules/which", "module.exports = 'of this version';\n"), module("nodejs/node9/node_modules/which", "module.exports = 'of another';\n"))),
	}
	create(t, c, "cjs", id, "index.handler", zipOf(t, file{Name: "index.js", Text: `
const isNumber = require('is-number'), which = require('which');
exports.handler = async (event) => ({ number: isNumber(event.value), at: require.resolve('is-number'), which });
`}), layers(arns...))
	if got, want := answer(t, c, "cjs", `{"value":"12"}`), `{"number":true,"at":"/opt/nodejs/node_modules/is-number/index.js","which":"of this version"}`; got != want {
		t.Errorf("require: got %s, want %s", got, want)
	}
	create(t, c, "esm", id, "index.handler", zipOf(t, file{Name: "index.mjs", Text: `
import isNumber from 'is-number';
export const handler = async (event) => isNumber(event.value);
`}), layers(arns...))
	if got := answer(t, c, "esm", `{"value":"x"}`); got != "false" {
		t.Errorf("import: got %s", got)
	}
}

func TestALayerGivesJavaItsJarsAndCustomRuntimesTheirBootstrap(t *testing.T) {
	identifiers, javac := javas(t)
	s := start(t)
	c := s.client()
	dir := t.TempDir()
	compile := func(name, class, source, path string) string {
		out := filepath.Join(dir, name)
		file := filepath.Join(dir, class+".java")
		if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.CommandContext(t.Context(), javac, "--release", "8", "-Xlint:-options", "-cp", path, "-d", out, file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return out
	}
	shared := compile("shared", "Shared", "package shared; public class Shared { public static String name() { return \"from the layer\"; } }\n", "")
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	if err := errors.Join(w.AddFS(os.DirFS(shared)), w.Close()); err != nil {
		t.Fatal(err)
	}
	user := compile("user", "User", "public class User { public String handle(Object event) { return shared.Shared.name() + \" \" + event; } }\n", shared)
	jars := layer(t, c, "jars", zipOf(t, file{Name: "java/lib/shared.jar", Text: jar.String()}))
	create(t, c, "java", identifiers[0], "User::handle", zipDir(t, user), layers(jars), memory(512))
	if got := answer(t, c, "java", `"x"`); got != `"from the layer x"` {
		t.Errorf("java: got %s", got)
	}

	custom := layer(t, c, "custom", zipOf(t, file{Name: "bootstrap", Mode: 0o755, Text: `#!/bin/sh
cd "$LAMBDA_TASK_ROOT"
while true; do
  id=$(curl -sS -D - -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *\([0-9a-f-]*\).*/\1/p')
  . "./$_HANDLER"
  curl -sS -o /dev/null -d "$(answer)" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`}))
	create(t, c, "shell", "provided.al2023", "answer.sh", zipOf(t, file{Name: "answer.sh", Text: "answer() { echo '\"a runtime of a layer\"'; }\n"}), layers(custom))
	if got := answer(t, c, "shell", `{}`); got != `"a runtime of a layer"` {
		t.Errorf("custom runtime: got %s", got)
	}
}

// rubyLayer holds a Ruby to finding the gems and the libraries of a layer.
func rubyLayer(t testing.TB, c *lambda.Client, identifier string) {
	t.Helper()
	version := strings.TrimPrefix(identifier, "ruby") + ".0"
	gems := "ruby/gems/" + version + "/"
	arn := layer(t, c, "gems", zipOf(t,
		file{Name: "ruby/lib/plain.rb", Text: "PLAIN = 'a library'\n"},
		file{Name: gems + "gems/kilnlayer-1.0.0/lib/kilnlayer.rb", Text: "GEM = 'a gem'\n"},
		file{Name: gems + "specifications/kilnlayer-1.0.0.gemspec", Text: `Gem::Specification.new do |s|
  s.name = "kilnlayer"
  s.version = "1.0.0"
  s.summary = "a gem of a layer"
  s.authors = ["kiln"]
  s.files = ["lib/kilnlayer.rb"]
  s.require_paths = ["lib"]
end
`}))
	name := "gems-" + strings.ReplaceAll(identifier, ".", "-")
	create(t, c, name, identifier, "app.handler", zipOf(t, file{Name: "app.rb", Text: "require 'plain'\nrequire 'kilnlayer'\ndef handler(event:, context:)\n  [PLAIN, GEM, Gem.loaded_specs['kilnlayer'].version.to_s]\nend\n"}), layers(arn), memory(256))
	if got := answer(t, c, name, `{}`); got != `["a library","a gem","1.0.0"]` {
		t.Errorf("%s with a layer: got %s", identifier, got)
	}
}

func TestAnOrdinaryUsersFunctionsHaveLayersToo(t *testing.T) {
	s := startAs(t, somebody, homeOf(t, somebody))
	c := s.client()
	one := layer(t, c, "one", zipOf(t, file{Name: "python/one.py", Text: "n = 1\n"}, file{Name: "python/both.py", Text: "n = 1\n"}))
	two := layer(t, c, "two", zipOf(t, file{Name: "python/both.py", Text: "n = 2\n"}))
	create(t, c, "f", pythonOf(t, somebody), "app.handler", zipOf(t, file{Name: "app.py", Text: `
import one, both
def handler(event, context):
    try:
        open("/opt/python/one.py", "w")
    except OSError as e:
        return [one.n, both.n, e.strerror]
`}), layers(one, two))
	if got := answer(t, c, "f", `{}`); got != `[1, 2, "Read-only file system"]` {
		t.Errorf("got %s", got)
	}
}

func TestTheCommandLineKeepsLayers(t *testing.T) {
	s := start(t)
	env := append(s.environ(), "KILN_REGION=eu-west-1", "KILN_ACCOUNT=111111111111")
	step := func(want int, args ...string) (out, talk string) {
		t.Helper()
		code, out, talk := kiln(t, env, args...)
		if code != want {
			t.Fatalf("kiln %q: got exit code %d, want %d\nstdout: %s\nstderr: %s", args, code, want, out, talk)
		}
		return out, talk
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("tools/bin/greet", "#!/bin/sh\necho '\"from version '$1'\"'\n", 0o755)
	const arn = "arn:aws:lambda:eu-west-1:111111111111:layer:tools:"
	if out, _ := step(0, "layer", "publish", "tools", filepath.Join(dir, "tools"), "--runtime", "provided.al2023"); out != arn+"1\n" {
		t.Errorf("publish: %q", out)
	}
	write("tools/bin/greet", "#!/bin/sh\necho '\"from version two\"'\n", 0o755)
	if out, _ := step(0, "layer", "publish", "tools", filepath.Join(dir, "tools")); out != arn+"2\n" {
		t.Errorf("publish again: %q", out)
	}
	write("greeter/bootstrap", `#!/bin/sh
while true; do
  id=$(curl -sS -D - -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *\([0-9a-f-]*\).*/\1/p')
  curl -sS -o /dev/null -d "$(greet one)" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`, 0o755)
	write("greeter/function.yaml", "layers: [tools]\nnetwork: none\n", 0o644)
	step(0, "deploy", filepath.Join(dir, "greeter"))
	if out, _ := step(0, "invoke", "greeter"); strings.TrimSpace(out) != `"from version two"` {
		t.Errorf("the newest version: %q", out)
	}
	if _, talk := step(0, "deploy", filepath.Join(dir, "greeter")); !strings.Contains(talk, "greeter: nothing to change") {
		t.Errorf("deploy again: %q", talk)
	}
	step(0, "deploy", filepath.Join(dir, "greeter"), "--layer", "tools:1")
	if out, _ := step(0, "invoke", "greeter"); strings.TrimSpace(out) != `"from version one"` {
		t.Errorf("the first version: %q", out)
	}
	if out, _ := step(0, "layer", "rm", "tools:1"); out != "tools:1\n" {
		t.Errorf("rm: %q", out)
	}
	if out, _ := step(0, "describe", "greeter"); !strings.Contains(out, arn+"1, ") || !strings.Contains(out, "kiln:network=none") {
		t.Errorf("describe: %q", out)
	}
	if out, _ := step(0, "layer", "ls"); !strings.Contains(out, "tools  2       any") {
		t.Errorf("ls: %q", out)
	}
	if out, _ := step(0, "layer", "describe", "tools", "-o", "json"); !strings.Contains(out, arn+`2"`) {
		t.Errorf("describe: %q", out)
	}
	step(3, "layer", "describe", "tools:1")
}

func TestTheProcessSandboxRefusesLayersAndSaysWhy(t *testing.T) {
	s := start(t, "--sandbox", "process")
	c, ctx := s.client(), within(t, time.Minute)
	arn := layer(t, c, "l", zipOf(t, file{Name: "x", Text: "1"}))
	_, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("f"), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: aws.String(role),
		Code: &types.FunctionCode{ZipFile: zipOf(t, file{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755})}, Layers: []string{arn},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the function fails", func() bool {
		got, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")})
		if err != nil {
			t.Fatal(err)
		}
		if got.State == types.StateActive {
			t.Fatal("the function is Active: its layer would be missing")
		}
		return got.State == types.StateFailed && strings.Contains(aws.ToString(got.StateReason), "only with --sandbox linux")
	})
}

// TestAHostileLayerReachesNothing gives a function layers that try to write through each
// other's links.
func TestAHostileLayerReachesNothing(t *testing.T) {
	s := start(t)
	c, py := s.client(), needPython(t)
	links := func(pairs ...string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for i := 0; i < len(pairs); i += 2 {
			h := &zip.FileHeader{Name: pairs[i]}
			h.SetMode(os.ModeSymlink | 0o777)
			e, err := w.CreateHeader(h)
			if err == nil {
				_, err = io.WriteString(e, pairs[i+1])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, code := range map[string][]byte{"absolute": links("a", "/etc"), "climbing": links("a", "../../etc"), "not-a-zip": []byte("PK\x03\x04nothing")} {
		_, err := c.PublishLayerVersion(within(t, time.Minute), &lambda.PublishLayerVersionInput{LayerName: aws.String(name), Content: &types.LayerVersionContentInput{ZipFile: code}})
		if code, text := apiError(t, err); code != "InvalidParameterValueException" || !strings.HasPrefix(text, "Could not unzip uploaded file") {
			t.Errorf("%s: %s %s", name, code, text)
		}
	}
	canary := filepath.Join(s.Data, "canary")
	if err := os.WriteFile(canary, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := layer(t, c, "first", links("a", "/tmp", "b", "/var/task", "c", "/opt/a"))
	second := layer(t, c, "second", zipOf(t, file{Name: "a/x", Text: "evil"}, file{Name: "b/app.py", Text: "evil"}, file{Name: "c/y", Text: "evil"}))
	create(t, c, "victim", py, "app.handler", zipOf(t, file{Name: "app.py", Text: `
import os
def handler(event, context):
    return {"tmp": os.listdir("/tmp"), "task": os.listdir("/var/task"), "a": os.path.islink("/opt/a"), "x": open("/opt/a/x").read()}
`}), layers(first, second))
	if got, want := answer(t, c, "victim", `{}`), `{"tmp": [], "task": ["app.py"], "a": false, "x": "evil"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, place := range []string{"/tmp/x", "/tmp/y", "/opt/a", "/var/task"} {
		if _, err := os.Lstat(place); err == nil {
			t.Errorf("%s is there", place)
		}
	}
	if text, err := os.ReadFile(canary); err != nil || string(text) != "untouched" {
		t.Errorf("the canary holds %q, %v", text, err)
	}
}

func TestCodeAndLayersComeFromAServerThatSpeaksS3(t *testing.T) {
	needRoot(t)
	shop := s3mem.New()
	web := httptest.NewServer(gofakes3.New(shop).Server())
	defer web.Close()
	if err := shop.CreateBucket("packages"); err != nil {
		t.Fatal(err)
	}
	if err := shop.SetVersioningConfiguration("packages", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	put := func(key string, text []byte) string {
		r, err := shop.PutObject("packages", key, nil, bytes.NewReader(text), int64(len(text)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(r.VersionID)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s := start(t, "--s3-endpoint", web.URL)
	c, py, ctx := s.client(), needPython(t), within(t, 2*time.Minute)
	app := func(v string) []byte {
		return zipOf(t, file{Name: "app.py", Text: "import shared\ndef handler(event, context):\n    return [" + v + ", shared.n]\n"})
	}
	first := put("app one.zip", app("1"))
	// more than a request may carry, and not to be squeezed
	noise := make([]byte, 60<<20)
	_, _ = rand.Read(noise) // which never fails
	put("layer.zip", zipOf(t, file{Name: "python/shared.py", Text: "n = 7\n"}, file{Name: "noise", Text: string(noise)}))
	made, err := c.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{LayerName: aws.String("shared"), Content: &types.LayerVersionContentInput{S3Bucket: aws.String("packages"), S3Key: aws.String("layer.zip")}})
	if err != nil {
		t.Fatal(err)
	}
	if made.Content.CodeSize < 60<<20 {
		t.Errorf("the layer has %d bytes", made.Content.CodeSize)
	}
	create(t, c, "f", py, "app.handler", nil, layers(aws.ToString(made.LayerVersionArn)), func(in *lambda.CreateFunctionInput) {
		in.Code = &types.FunctionCode{S3Bucket: aws.String("packages"), S3Key: aws.String("app one.zip")}
	})
	if got := answer(t, c, "f", `{}`); got != "[1, 7]" {
		t.Errorf("got %s", got)
	}
	put("app one.zip", app("2"))
	update := func(version *string) {
		t.Helper()
		if _, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("f"), S3Bucket: aws.String("packages"), S3Key: aws.String("app one.zip"), S3ObjectVersion: version}); err != nil {
			t.Fatal(err)
		}
		updated(t, c, "f")
	}
	update(nil)
	if got := answer(t, c, "f", `{}`); got != "[2, 7]" {
		t.Errorf("the new code: %s", got)
	}
	update(aws.String(first))
	if got := answer(t, c, "f", `{}`); got != "[1, 7]" {
		t.Errorf("the old version of the object: %s", got)
	}
	_, err = c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("f"), S3Bucket: aws.String("packages"), S3Key: aws.String("nothing.zip")})
	if code, text := apiError(t, err); code != "InvalidParameterValueException" || text != "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist." {
		t.Errorf("no object: %s %s", code, text)
	}
	// the URL of the layer's package, as a client downloads it
	r, err := http.Get(aws.ToString(made.Content.Location))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if n, err := io.Copy(io.Discard, r.Body); err != nil || n != made.Content.CodeSize {
		t.Errorf("downloaded %d bytes of %d, %v", n, made.Content.CodeSize, err)
	}
}
