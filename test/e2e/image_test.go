package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ociempty "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/test/harness"
)

// The words for this machine's architecture.
var (
	hostGoArch = runtime.GOARCH
	hostArch   = map[string]types.Architecture{"amd64": types.ArchitectureX8664, "arm64": types.ArchitectureArm64}[runtime.GOARCH]
)

// builtImageProgram builds what the images of the tests run, once.
var builtImageProgram = sync.OnceValues(func() (string, error) {
	out := filepath.Join(built.Work, "imagefn")
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", out, "kiln/test/e2e/testdata/imagefn")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	text, err := os.ReadFile(out)
	return string(text), err
})

func imageProgram(t testing.TB) string {
	t.Helper()
	text, err := builtImageProgram()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// layerOf packs files into a layer. A mode of 0 is 0644; a name that ends with a slash
// is a directory; a text that begins with "-> " a link.
func layerOf(t testing.TB, files ...file) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: int64(f.Mode), Size: int64(len(f.Text)), ModTime: time.Unix(1700000000, 0), Typeflag: tar.TypeReg}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		link, isLink := strings.CutPrefix(f.Text, "-> ")
		switch {
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag, h.Mode, h.Size, f.Text = tar.TypeDir, 0o755, 0, ""
		case isLink:
			h.Typeflag, h.Linkname, h.Size, f.Text = tar.TypeSymlink, link, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.Text); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imageOf makes an image of layers with a configuration.
func imageOf(t testing.TB, c v1.Config, layers ...v1.Layer) v1.Image {
	t.Helper()
	i, err := mutate.AppendLayers(ociempty.Image, layers...)
	if err == nil {
		i, err = mutate.ConfigFile(i, withConfig(t, i, c))
	}
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func withConfig(t testing.TB, i v1.Image, c v1.Config) *v1.ConfigFile {
	t.Helper()
	f, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	f = f.DeepCopy()
	f.Config, f.OS, f.Architecture = c, "linux", hostGoArch
	return f
}

// startRegistry runs a registry and gives its host.
func startRegistry(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// pushImage puts an image into a registry and gives its digest.
func pushImage(t testing.TB, i v1.Image, reference string) string {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, i, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.Hex
}

// createImage makes a function of an image and waits until it is active.
func createImage(t testing.TB, c *lambda.Client, name, reference string, config *types.ImageConfig) {
	t.Helper()
	_, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Role: aws.String(role), PackageType: types.PackageTypeImage,
		Code: &types.FunctionCode{ImageUri: aws.String(reference)}, ImageConfig: config, Timeout: aws.Int32(10), Architectures: []types.Architecture{hostArch},
	})
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	waitActive(t, c, name)
}

// waitActive waits for the state more often than the SDK's waiters do.
func waitActive(t testing.TB, c *lambda.Client, name string) {
	t.Helper()
	for ctx := within(t, time.Minute); ; {
		got, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)})
		switch {
		case err != nil:
			t.Fatalf("wait for %s: %v", name, err)
		case got.State == types.StateFailed || got.LastUpdateStatus == types.LastUpdateStatusFailed:
			t.Fatalf("%s failed: %s %s", name, aws.ToString(got.StateReason), aws.ToString(got.LastUpdateStatusReason))
		case got.State == types.StateActive && got.LastUpdateStatus == types.LastUpdateStatusSuccessful:
			return
		}
	}
}

// seen is what the program of an image tells.
type seen struct {
	Args                                 []string
	Dir, Marker, Passwd, Hosts, Extended string
	Root, Own, Tmp                       string
	UID                                  int
	Env                                  map[string]string
	Event                                json.RawMessage
}

func look(t testing.TB, c *lambda.Client, name string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(answer(t, c, name, `{"a":1}`)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAContainerImageRunsWithItsOwnWordsAndTheFunctions(t *testing.T) {
	s := start(t)
	c, host, program := s.client(), startRegistry(t), imageProgram(t)
	base := layerOf(t, file{Name: "app/"}, file{Name: "app/main", Text: program, Mode: 0o755}, file{Name: "etc/"}, file{Name: "etc/passwd", Text: "app:x:7:7::/:/bin/false\n"})
	config := v1.Config{Entrypoint: []string{"./main", "-v"}, Cmd: []string{"handler"}, WorkingDir: "/app", User: "app", Env: []string{"FROM_IMAGE=yes", "PATH=/app", "TZ=Europe/Berlin"}}
	reference := host + "/team/hello:v1"
	digest := pushImage(t, imageOf(t, config, base, layerOf(t, file{Name: "marker", Text: "one"})), reference)
	createImage(t, c, "hello", reference, nil)

	got := look(t, c, "hello")
	if strings.Join(got.Args, " ") != "/app/main -v handler" || got.Dir != "/app" || got.Marker != "one" || string(got.Event) != `{"a":1}` {
		t.Errorf("runs as %q in %s with %q and %s", got.Args, got.Dir, got.Marker, got.Event)
	}
	if got.UID == 0 || got.UID == 7 || !strings.Contains(got.Passwd, "app:x:7:") || !strings.Contains(got.Passwd, "sbx_user1051:x:") || !strings.Contains(got.Hosts, "localhost") {
		t.Errorf("is user %d of %q with hosts %q", got.UID, got.Passwd, got.Hosts)
	}
	if got.Root != "read-only file system" || got.Own != "read-only file system" || got.Tmp != "" {
		t.Errorf("writing gives %q, %q and, in /tmp, %q", got.Root, got.Own, got.Tmp)
	}
	for variable, want := range map[string]string{"FROM_IMAGE": "yes", "PATH": "/app", "TZ": "Europe/Berlin", "AWS_LAMBDA_FUNCTION_NAME": "hello", "AWS_REGION": "eu-west-1", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"} {
		if got.Env[variable] != want {
			t.Errorf("%s is %q, want %q", variable, got.Env[variable], want)
		}
	}
	for _, variable := range []string{"_HANDLER", "AWS_EXECUTION_ENV", "LD_LIBRARY_PATH"} {
		if v, ok := got.Env[variable]; ok {
			t.Errorf("%s is set to %q", variable, v)
		}
	}

	described, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("hello")})
	if err != nil {
		t.Fatal(err)
	}
	f := described.Configuration
	if f.PackageType != types.PackageTypeImage || f.Runtime != "" || f.Handler != nil || aws.ToString(f.CodeSha256) != digest || f.CodeSize != 0 || f.ImageConfigResponse != nil {
		t.Errorf("configuration is %+v", f)
	}
	if l := described.Code; aws.ToString(l.RepositoryType) != "ECR" || aws.ToString(l.ImageUri) != reference || aws.ToString(l.ResolvedImageUri) != host+"/team/hello@sha256:"+digest || l.Location != nil {
		t.Errorf("code is %+v", l)
	}

	update := func(i *types.ImageConfig) {
		t.Helper()
		if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("hello"), ImageConfig: i}); err != nil {
			t.Fatal(err)
		}
		waitActive(t, c, "hello")
	}
	update(&types.ImageConfig{EntryPoint: []string{"main"}, Command: []string{"x", "y"}, WorkingDirectory: aws.String("/etc")})
	if got := look(t, c, "hello"); strings.Join(got.Args, " ") != "/app/main x y" || got.Dir != "/etc" {
		t.Errorf("with ImageConfig it runs as %q in %s", got.Args, got.Dir)
	}
	for _, broken := range []struct {
		config        *types.ImageConfig
		kind, message string
	}{
		{&types.ImageConfig{EntryPoint: []string{"/none"}}, "Runtime.InvalidEntrypoint", `RequestId: \S+ Error: fork/exec /none: no such file or directory`},
		{&types.ImageConfig{EntryPoint: []string{"/etc/passwd"}}, "Runtime.InvalidEntrypoint", `RequestId: \S+ Error: fork/exec /etc/passwd: permission denied`},
		{&types.ImageConfig{EntryPoint: []string{"none"}}, "Runtime.InvalidEntrypoint", `RequestId: \S+ Error: exec: "none": executable file not found in \$PATH`},
		{&types.ImageConfig{WorkingDirectory: aws.String("/none")}, "Runtime.InvalidWorkingDir", `RequestId: \S+ Error: chdir /none: no such file or directory`},
	} {
		update(broken.config)
		kind, message := failure(t, c, "hello", "{}")
		if kind != broken.kind || !regexp.MustCompile("^"+broken.message+"$").MatchString(message) {
			t.Errorf("%+v fails with %s %q", broken.config, kind, message)
		}
	}
	update(&types.ImageConfig{})

	pushImage(t, imageOf(t, config, base, layerOf(t, file{Name: "marker", Text: "two"})), reference)
	if got := look(t, c, "hello"); got.Marker != "one" {
		t.Error("a tag that moved changed a function by itself")
	}
	if _, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("hello"), ImageUri: aws.String(reference)}); err != nil {
		t.Fatal(err)
	}
	waitActive(t, c, "hello")
	if got := look(t, c, "hello"); got.Marker != "two" {
		t.Errorf("after the update it is %q", got.Marker)
	}

	// AWS's refusals.
	for _, r := range []struct {
		want string
		call func() error
	}{
		{"Source image " + host + "/team/hello:none does not exist. Provide a valid source image.", func() error {
			_, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("hello"), ImageUri: aws.String(host + "/team/hello:none")})
			return err
		}},
		{"Please provide ImageUri when updating a function with packageType Image.", func() error {
			_, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("hello"), ZipFile: zipOf(t, file{Name: "a"})})
			return err
		}},
		{"Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.", func() error {
			_, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("hello"), Handler: aws.String("h")})
			return err
		}},
		{"Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.", func() error {
			_, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String("other"), Role: aws.String(role), PackageType: types.PackageTypeImage,
				Runtime: types.RuntimePython312, Code: &types.FunctionCode{ImageUri: aws.String(reference)}})
			return err
		}},
	} {
		if code, message := apiError(t, r.call()); code != "InvalidParameterValueException" || message != r.want {
			t.Errorf("got %s %q, want %q", code, message, r.want)
		}
	}
}

func TestAnImageLikeAWSsBaseImagesRunsItsOwnClient(t *testing.T) {
	s := start(t)
	c, host, program := s.client(), startRegistry(t), imageProgram(t)
	i := imageOf(t, v1.Config{Entrypoint: []string{"/lambda-entrypoint.sh"}, Cmd: []string{"app.handler"}, WorkingDir: "/var/task",
		Env: []string{"LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime", "LD_LIBRARY_PATH=/var/lang/lib"}},
		layerOf(t, file{Name: "lambda-entrypoint.sh", Text: program, Mode: 0o755}, file{Name: "var/task/"}, file{Name: "var/runtime/"}),
		layerOf(t, file{Name: "var/runtime/bootstrap", Text: program, Mode: 0o755}, file{Name: "usr/local/bin/aws-lambda-rie", Text: "must not be run", Mode: 0o755}),
		layerOf(t, file{Name: "opt/extensions/watcher", Text: program, Mode: 0o755}))
	pushImage(t, i, host+"/base:latest")
	createImage(t, c, "base", host+"/base", nil)
	got := look(t, c, "base")
	if got.Args[0] != "/var/runtime/bootstrap" || got.Env["_HANDLER"] != "app.handler" || got.Dir != "/var/task" || got.Env["LD_LIBRARY_PATH"] != "/var/lang/lib" {
		t.Errorf("runs as %q with handler %q in %s", got.Args, got.Env["_HANDLER"], got.Dir)
	}
	if got.Extended != "/opt/extensions/watcher" {
		t.Errorf("the extension of the image left %q", got.Extended)
	}
	// Its CMD is the handler.
	if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("base"), ImageConfig: &types.ImageConfig{Command: []string{"other.handler"}}}); err != nil {
		t.Fatal(err)
	}
	waitActive(t, c, "base")
	if got := look(t, c, "base"); got.Env["_HANDLER"] != "other.handler" {
		t.Errorf("the handler is %q", got.Env["_HANDLER"])
	}
	// An image without any program.
	pushImage(t, imageOf(t, v1.Config{}, layerOf(t, file{Name: "a"})), host+"/nothing:latest")
	createImage(t, c, "nothing", host+"/nothing", nil)
	if kind, message := failure(t, c, "nothing", "{}"); kind != "Runtime.InvalidEntrypoint" || !strings.Contains(message, "neither ENTRYPOINT nor CMD") {
		t.Errorf("an image without entry point: %s %q", kind, message)
	}
	// A program for another machine.
	other := "arm64"
	if hostGoArch == other {
		other = "amd64"
	}
	foreign := imageOf(t, v1.Config{Entrypoint: []string{"/x"}}, layerOf(t, file{Name: "x", Text: "x", Mode: 0o755}))
	f := withConfig(t, foreign, v1.Config{})
	f.Architecture = other
	foreign, err := mutate.ConfigFile(foreign, f)
	if err != nil {
		t.Fatal(err)
	}
	pushImage(t, foreign, host+"/foreign:latest")
	_, err = c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String("foreign"), Role: aws.String(role), PackageType: types.PackageTypeImage,
		Code: &types.FunctionCode{ImageUri: aws.String(host + "/foreign")}, Architectures: []types.Architecture{hostArch}})
	if code, message := apiError(t, err); code != "InvalidParameterValueException" || !strings.Contains(message, "is for linux/"+other) {
		t.Errorf("an image of another architecture: %s %q", code, message)
	}
}

func TestDeployOfAnImageFromALayoutAndWhatHappensWhenItIsLost(t *testing.T) {
	data := t.TempDir()
	s := startIn(t, data)
	at := filepath.Join(t.TempDir(), "hello")
	i := imageOf(t, v1.Config{Entrypoint: []string{"/main"}}, layerOf(t, file{Name: "main", Text: imageProgram(t), Mode: 0o755}, file{Name: "marker", Text: "layout"}))
	l, err := layout.Write(at, ociempty.Index)
	if err == nil {
		err = l.AppendImage(i)
	}
	if err != nil {
		t.Fatal(err)
	}
	kiln := func(args ...string) (string, string) {
		t.Helper()
		cmd := exec.CommandContext(within(t, time.Minute), binary, args...)
		cmd.Dir = filepath.Dir(at)
		cmd.Env = append(os.Environ(), "KILN_ENDPOINT="+s.URL, "KILN_ACCOUNT="+harness.Account, "KILN_REGION="+harness.Region, "NO_COLOR=1")
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kiln %q: %v\n%s%s", args, err, out, said.String())
		}
		return string(out), said.String()
	}
	arn, said := kiln("deploy", "--image", "oci:hello", "--memory", "256", "--command", "word")
	if !strings.HasSuffix(strings.TrimSpace(arn), ":function:hello") || !strings.Contains(said, "hello: created (image oci:"+at+", 256 MB") {
		t.Errorf("deploy said %q and %q", arn, said)
	}
	if got := look(t, s.client(), "hello"); got.Marker != "layout" || strings.Join(got.Args, " ") != "/main word" {
		t.Errorf("it is %q with %q", got.Marker, got.Args)
	}
	if _, said := kiln("deploy", "--image", "oci:hello", "--command", "word"); !strings.Contains(said, "nothing to change") {
		t.Errorf("a second deploy said %q", said)
	}
	if out, _ := kiln("describe", "hello"); !strings.Contains(out, "oci:"+at) || !strings.Contains(out, "word") {
		t.Errorf("describe said %q", out)
	}

	// The image is lost on the server's disk and nowhere else to be had.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(data, "images"), at} {
		if err := os.Rename(name, name+".away"); err != nil {
			t.Fatal(err)
		}
	}
	s = startIn(t, data)
	c := s.client()
	state := func(want types.State) *lambda.GetFunctionConfigurationOutput {
		t.Helper()
		for ctx := within(t, 30*time.Second); ; {
			got, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("hello")})
			if err != nil {
				t.Fatalf("not %s: %v", want, err)
			}
			if got.State == want {
				return got
			}
		}
	}
	if got := state(types.StateInactive); got.StateReasonCode != types.StateReasonCodeImageDeleted {
		t.Errorf("it is Inactive for %s: %s", got.StateReasonCode, aws.ToString(got.StateReason))
	}
	if err := os.Rename(at+".away", at); err != nil {
		t.Fatal(err)
	}
	_, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("hello")})
	if code, message := apiError(t, err); code != "ResourceConflictException" || !strings.Contains(message, "Inactive") {
		t.Errorf("a call of an inactive function: %s %q", code, message)
	}
	state(types.StateActive)
	if got := look(t, c, "hello"); got.Marker != "layout" {
		t.Errorf("after it came back it is %q", got.Marker)
	}
}
