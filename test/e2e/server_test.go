// Package e2e_test runs the built binary as its users do: a server with its
// default isolation and limits, and real AWS clients that know only its endpoint.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// built is the binary under test and what is built with it, once for the whole run.
var built *harness.Kiln

// binary is its path.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if built, err = harness.Build("kiln-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built.Work)
	binary = built.Binary
	return m.Run()
}

// server is one running `kiln serve`.
type server struct {
	*harness.Server
	cmd  *exec.Cmd
	done chan struct{}
}

// needRoot skips where no sandbox can be made.
func needRoot(t testing.TB) { t.Helper(); harness.NeedRoot(t) }

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
	s := built.StartIn(t, data, args...)
	return &server{s, s.Cmd, s.Done}
}

// endpoint reads where the server of that process listens.
func endpoint(data string, pid int) string { return harness.Endpoint(data, pid) }

// stop ends the server as Ctrl-C does and waits.
func (s *server) stop(t testing.TB) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// kill ends the server with SIGKILL, as a crash would.
func (s *server) kill(t testing.TB) { t.Helper(); s.Kill(t) }

// said is what the server wrote to stderr.
func (s *server) said() string { return s.Said() }

// client is aws-sdk-go-v2 with only its endpoint set.
func (s *server) client() *lambda.Client { return s.Client() }

// environ is the environment of a command that is an AWS client.
func (s *server) environ() []string { return s.Environ() }

// eventually polls a condition until it holds.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	harness.Eventually(t, limit, what, holds)
}

// within gives a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context { return harness.Within(t, d) }

// assertNothingLeft checks that no mount, cgroup, loop device or process names the
// data directory or its owner id.
func assertNothingLeft(t testing.TB, data string) { t.Helper(); harness.AssertNothingLeft(t, data) }

// leftovers lists what a server left on the machine.
func leftovers(data string) []string { return harness.Leftovers(data) }

type writerFunc = harness.WriterFunc
