// Package harness is what the tests of the built binary share: it builds kiln,
// starts `kiln serve` on a free port, speaks to it with AWS's own client, and knows
// where on a machine a server could leave something behind. It holds no test, and
// nothing that runs in production imports it.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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

// Kiln is the binary under test, built once for a whole run.
type Kiln struct {
	Binary string
	// Work is a folder for what a run builds once: function binaries, packages.
	// Everybody may read it.
	Work string

	mu     sync.Mutex
	builds map[string]func() ([]byte, error)
}

// Build makes the binary in a new folder. The caller removes Work.
func Build(prefix string) (*Kiln, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	k := &Kiln{Binary: filepath.Join(dir, "kiln"), Work: dir, builds: map[string]func() ([]byte, error){}}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", k.Binary, "kiln/cmd/kiln")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build kiln: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return k, nil
}

// Server is one running `kiln serve`.
type Server struct {
	URL  string
	Data string
	Cmd  *exec.Cmd
	Done chan struct{} // closed when the process has ended

	http   *http.Client
	mu     sync.Mutex
	stderr bytes.Buffer
}

// Options of a server that differ from the usual ones.
type Options struct {
	Data string   // its data directory
	Args []string // more flags of `kiln serve`
	// Fork runs what starts the process; nil runs it as it is. A test gives one that
	// runs it in another network namespace.
	Fork func(start func() error) error
	// User is who runs it; nil is who runs the test. The data directory is this user's.
	User *syscall.Credential
	// Dial replaces the client's way to the server, likewise.
	Dial func(network, address string) (net.Conn, error)
}

// NeedRoot skips where no sandbox can be made.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the linux sandbox makes namespaces and cgroups")
	}
}

// Start runs a server on a free port with a data directory of its own, and ends it
// with the test. At the end nothing of it may be left on the machine.
func (k *Kiln) Start(t testing.TB, args ...string) *Server {
	t.Helper()
	NeedRoot(t)
	return k.StartIn(t, t.TempDir(), args...)
}

// StartIn runs a server on a given data directory.
func (k *Kiln) StartIn(t testing.TB, data string, args ...string) *Server {
	t.Helper()
	return k.StartWith(t, Options{Data: data, Args: args})
}

// StartWith runs a server with options and ends it with the test.
func (k *Kiln) StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := k.Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", s.Said())
		}
		AssertNothingLeft(t, o.Data)
	})
	return s
}

// Launch runs a server that lives until Stop and returns when it is ready.
func (k *Kiln) Launch(o Options) (*Server, error) {
	s := &Server{Data: o.Data, Done: make(chan struct{}), http: &http.Client{Timeout: time.Minute}}
	if o.Dial != nil {
		s.http.Transport = &http.Transport{
			DialContext:         func(_ context.Context, network, address string) (net.Conn, error) { return o.Dial(network, address) },
			MaxIdleConnsPerHost: 64,
		}
	}
	s.Cmd = exec.Command(k.Binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", o.Data}, o.Args...)...)
	s.Cmd.Env = append(os.Environ(), "NO_COLOR=1")
	s.Cmd.Stderr = WriterFunc(func(p []byte) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.stderr.Write(p)
	})
	if o.User != nil {
		s.Cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.User}
		s.Cmd.Env = append(s.Cmd.Env, "HOME="+o.Data)
	}
	fork := o.Fork
	if fork == nil {
		fork = func(start func() error) error { return start() }
	}
	if err := fork(s.Cmd.Start); err != nil {
		return nil, err
	}
	go func() { _ = s.Cmd.Wait(); close(s.Done) }() // the exit code is in ProcessState
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; {
		select {
		case <-s.Done:
			return nil, fmt.Errorf("the server ended: %v\n%s", s.Cmd.ProcessState, s.Said())
		case <-tick.C:
		}
		if s.ready() {
			return s, nil
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("the server is not ready within 30 s\n%s", s.Said()), s.Stop())
		}
	}
}

// ready says whether the server answers that functions can be run.
func (s *Server) ready() bool {
	if s.URL = Endpoint(s.Data, s.Cmd.Process.Pid); s.URL == "" {
		return false
	}
	r, err := s.http.Get(s.URL + "/readyz")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// Endpoint reads where the server of that process listens: a server says it in the
// lock of its data directory.
func Endpoint(data string, pid int) string {
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

// Stop ends the server as Ctrl-C does and waits. A server that does not end within
// a minute is killed and an error.
func (s *Server) Stop() error {
	select {
	case <-s.Done:
		return nil
	default:
	}
	_ = s.Cmd.Process.Signal(syscall.SIGINT) // it may have ended meanwhile
	select {
	case <-s.Done:
		return nil
	case <-time.After(60 * time.Second):
		_ = s.Cmd.Process.Kill()
		<-s.Done
		return fmt.Errorf("the server did not end within 60 s of SIGINT\n%s", s.Said())
	}
}

// Kill ends the server with SIGKILL, as a crash would.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Done
}

// PID is the server's process id.
func (s *Server) PID() int { return s.Cmd.Process.Pid }

// Owner is the id that every kernel object of the server carries.
func (s *Server) Owner() string {
	text, _ := os.ReadFile(filepath.Join(s.Data, "owner")) // a server that never made a box has none
	return strings.TrimSpace(string(text))
}

// Said is what the server wrote to stderr so far.
func (s *Server) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// Account and Region are those of every client here.
const (
	Account = "111111111111"
	Region  = "eu-west-1"
)

// Client is aws-sdk-go-v2 with only its endpoint set.
func (s *Server) Client() *lambda.Client { return s.ClientOf(Account) }

// ClientOf is the client of another account.
func (s *Server) ClientOf(account string) *lambda.Client {
	o := lambda.Options{
		Region:       Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(account, "secret", ""),
	}
	if s.http.Transport != nil {
		o.HTTPClient = s.http
	}
	return lambda.New(o)
}

// Environ is the environment of a command that is an AWS client.
func (s *Server) Environ() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+s.URL, "AWS_ACCESS_KEY_ID="+Account, "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_DEFAULT_REGION="+Region, "AWS_REGION="+Region, "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true", "KILN_ENDPOINT="+s.URL, "NO_COLOR=1")
}

// Environment is one execution environment as the server lists it.
type Environment struct {
	ID, Function, State string
	Frozen              bool
	MemoryBytes         int64
	MemoryMB            int
	Invocations         int64
}

// Environments lists all execution environments of the server.
func (s *Server) Environments() ([]Environment, error) {
	r, err := s.http.Get(s.URL + "/_kiln/v1/environments")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	var list []Environment
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the list of environments: %s", r.Status)
	}
	return list, json.NewDecoder(r.Body).Decode(&list)
}

// WriterFunc is a function as an io.Writer.
type WriterFunc func([]byte) (int, error)

// Write calls the function.
func (f WriterFunc) Write(p []byte) (int, error) { return f(p) }
