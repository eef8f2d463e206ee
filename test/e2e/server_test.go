// Package e2e_test runs the built binary as its users do: a server with its
// default isolation and limits, and real AWS clients that know only its endpoint.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// binary is bin/kiln, built once for the whole run.
var binary string

// work is the folder of what the tests build once: function binaries and packages.
var work string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kiln-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	work, binary = dir, filepath.Join(dir, "kiln")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "kiln/cmd/kiln")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build kiln: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is one running `kiln serve`.
type server struct {
	URL    string
	Data   string
	cmd    *exec.Cmd
	done   chan struct{}
	mu     sync.Mutex
	stderr bytes.Buffer
}

// needRoot skips where no sandbox can be made.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the linux sandbox makes namespaces and cgroups")
	}
}

// start runs a server on a free port with a data directory of its own, and ends it
// with the test. At the end nothing of it may be left on the machine.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	needRoot(t)
	return startIn(t, t.TempDir(), args...)
}

// startIn runs a server on a given data directory.
func startIn(t testing.TB, data string, args ...string) *server {
	t.Helper()
	s := &server{Data: data, done: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data}, args...)...)
	s.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	s.cmd.Stderr = writerFunc(func(p []byte) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.stderr.Write(p)
	})
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }() // the exit code is in ProcessState
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("the server said:\n%s", s.said())
		}
		assertNothingLeft(t, data)
	})
	eventually(t, 30*time.Second, "the server is ready", func() bool {
		select {
		case <-s.done:
			t.Fatalf("the server ended: %v\n%s", s.cmd.ProcessState, s.said())
		default:
		}
		s.URL = endpoint(data, s.cmd.Process.Pid)
		if s.URL == "" {
			return false
		}
		r, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return s
}

// endpoint reads where the server of that process listens: a server says it in the
// lock of its data directory.
func endpoint(data string, pid int) string {
	var holder struct {
		PID      int
		Endpoint string
	}
	text, err := os.ReadFile(filepath.Join(data, "kiln.lock"))
	if err != nil || json.Unmarshal(text, &holder) != nil || holder.PID != pid {
		return ""
	}
	return holder.Endpoint
}

// stop ends the server as Ctrl-C does and waits.
func (s *server) stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.done:
		return
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGINT) // it may have ended meanwhile
	select {
	case <-s.done:
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
		t.Errorf("the server did not end within 60 s of SIGINT\n%s", s.said())
	}
}

// kill ends the server with SIGKILL, as a crash would.
func (s *server) kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// client is aws-sdk-go-v2 with only its endpoint set.
func (s *server) client() *lambda.Client {
	return lambda.New(lambda.Options{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("111111111111", "secret", ""),
	})
}

// environ is the environment of a command that is an AWS client.
func (s *server) environ() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+s.URL, "AWS_ACCESS_KEY_ID=111111111111", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_DEFAULT_REGION=eu-west-1", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true", "KILN_ENDPOINT="+s.URL, "NO_COLOR=1")
}

// eventually polls a condition until it holds.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if holds() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// assertNothingLeft checks that no mount, cgroup, loop device or process names the
// data directory or its owner id.
func assertNothingLeft(t testing.TB, data string) {
	t.Helper()
	if left := leftovers(data); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

func leftovers(data string) []string {
	var left []string
	owner, _ := os.ReadFile(filepath.Join(data, "owner"))
	id := strings.TrimSpace(string(owner))
	if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for _, line := range strings.Split(string(mounts), "\n") {
			if strings.Contains(line, data+"/") {
				left = append(left, "mount "+line)
			}
		}
	}
	if id != "" {
		for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*"} {
			found, _ := filepath.Glob(pattern)
			for _, f := range found {
				if strings.Contains(filepath.Base(f), id) {
					left = append(left, "cgroup "+f)
				}
			}
		}
	}
	if loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file"); err == nil {
		for _, f := range loops {
			if back, err := os.ReadFile(f); err == nil && strings.Contains(string(back), data+"/") {
				left = append(left, "loop device "+f+" "+string(back))
			}
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, p := range procs {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), data+"/") {
			left = append(left, "process with its mounts "+p)
		}
	}
	return left
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// within gives a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
