package e2e_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// helloImage is an image with the program of the tests.
func helloImage(t testing.TB) v1.Image {
	t.Helper()
	return imageOf(t, v1.Config{Entrypoint: []string{"/main"}}, layerOf(t, file{Name: "main", Text: imageProgram(t), Mode: 0o755}, file{Name: "marker", Text: "hello"}))
}

func TestAnOrdinaryUserRunsContainerImages(t *testing.T) {
	host := startRegistry(t)
	pushImage(t, helloImage(t), host+"/hello:1")
	s := startAs(t, somebody, homeOf(t, somebody))
	c := s.client()
	createImage(t, c, "hello", host+"/hello:1", nil)
	got := look(t, c, "hello")
	if got.Marker != "hello" || got.UID == 0 || got.Root != "read-only file system" || got.Tmp != "" {
		t.Errorf("it is user %d with %q; writing gives %q and, in /tmp, %q", got.UID, got.Marker, got.Root, got.Tmp)
	}
}

// TestARegistryThatStallsFailsTheFunctionAndKeepsNobodyWaiting also kills a server in
// the middle of a pull: the next one goes on.
func TestARegistryThatStallsFailsTheFunctionAndKeepsNobodyWaiting(t *testing.T) {
	var stalls atomic.Bool
	asked := make(chan struct{}, 1000)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stalls.Load() && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && r.Header.Get("Accept") == "" {
			asked <- struct{}{}
			rec := httptest.NewRecorder()
			inner.ServeHTTP(rec, r)
			if rec.Body.Len() > 1<<20 { // the layer with the program
				w.Header().Set("Content-Length", rec.Header().Get("Content-Length"))
				w.Write(rec.Body.Bytes()[:1<<20])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(r.Close)
	host := strings.TrimPrefix(r.URL, "http://")
	pushImage(t, helloImage(t), host+"/hello:1")
	data := t.TempDir()
	s := startIn(t, data, "--registry-stall", "1s")
	c := s.client()
	stalls.Store(true)
	begin := func(name string) {
		t.Helper()
		_, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: aws.String(name), Role: aws.String(role), PackageType: types.PackageTypeImage,
			Code: &types.FunctionCode{ImageUri: aws.String(host + "/hello:1")}, Architectures: []types.Architecture{hostArch}})
		if err != nil {
			t.Fatal(err)
		}
	}
	begin("slow")
	<-asked
	create(t, c, "zip", "provided.al2023", "h", zipOf(t, file{Name: "bootstrap", Text: imageProgram(t), Mode: 0o755}))
	if out, err := exec.Command(binary, "describe", "slow", "--endpoint-url", s.URL, "--account", "111111111111", "--region", "eu-west-1").CombinedOutput(); err != nil || !strings.Contains(string(out), " of ") {
		t.Errorf("describe says, while it is pulled: %v\n%s", err, out)
	}
	var got *lambda.GetFunctionConfigurationOutput
	eventually(t, 40*time.Second, "the pull is given up", func() (over bool) {
		var err error
		if got, err = c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("slow")}); err != nil {
			t.Fatal(err)
		}
		return got.State == types.StateFailed
	})
	if reason := aws.ToString(got.StateReason); got.StateReasonCode != types.StateReasonCodeInternalError || !strings.Contains(reason, "1s") || !strings.Contains(reason, "registry") {
		t.Errorf("it failed for %s: %q", got.StateReasonCode, reason)
	}
	if answer(t, c, "zip", "{}") == "" {
		t.Error("the zip does not answer")
	}

	for len(asked) > 0 {
		<-asked
	}
	begin("killed")
	<-asked
	s.kill(t)
	stalls.Store(false)
	s = startIn(t, data)
	c = s.client()
	waitActive(t, c, "killed")
	if got := look(t, c, "killed"); got.Marker != "hello" {
		t.Errorf("after the restart it is %q", got.Marker)
	}
}

func TestARuntimeOfAnImageIsAddedWithoutAServer(t *testing.T) {
	needRoot(t)
	host := startRegistry(t)
	pushImage(t, imageOf(t, v1.Config{}, layerOf(t, file{Name: "var/runtime/bootstrap", Text: imageProgram(t), Mode: 0o755}, file{Name: "marker", Text: "of AWS"})), host+"/lambda/ruby:3.4")
	data := t.TempDir()
	if out, err := exec.CommandContext(within(t, time.Minute), binary, "runtime", "add", "ruby3.4", "--image", host+"/lambda/ruby:3.4", "--data-dir", data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := startIn(t, data)
	c := s.client()
	create(t, c, "f", "ruby3.4", "app.handler", zipOf(t, file{Name: "app.rb", Text: "not run by this client"}))
	if got := look(t, c, "f"); got.Marker != "of AWS" || got.Env["_HANDLER"] != "app.handler" || got.Env["AWS_EXECUTION_ENV"] != "AWS_Lambda_ruby3.4" {
		t.Errorf("it is %q with handler %q in %q", got.Marker, got.Env["_HANDLER"], got.Env["AWS_EXECUTION_ENV"])
	}
}

func TestAnImageThatIsLostWhileTheServerRunsIsPulledAgain(t *testing.T) {
	host := startRegistry(t)
	pushImage(t, helloImage(t), host+"/hello:1")
	data := t.TempDir()
	s := startIn(t, data, "--idle-timeout", "0s")
	c := s.client()
	createImage(t, c, "hello", host+"/hello:1", nil)
	look(t, c, "hello")
	for _, pattern := range []string{"blobs/*", "unpacked-*/roots/*"} {
		found, err := filepath.Glob(filepath.Join(data, "images", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("nothing is at %s: %v", pattern, err)
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("hello")}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
	if code, message := apiError(t, err); code != "ResourceConflictException" || !strings.Contains(message, "Pending") {
		t.Errorf("a call without the image: %s %q", code, message)
	}
	eventually(t, 20*time.Second, "the image is back", func() bool {
		f, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("hello")})
		return err == nil && f.State == types.StateActive && f.StateReasonCode == "" && fileThere(filepath.Join(data, "images/blobs", aws.ToString(f.CodeSha256)))
	})
	if got := look(t, c, "hello"); got.Marker != "hello" {
		t.Errorf("after it came back it is %q", got.Marker)
	}
}

func fileThere(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
