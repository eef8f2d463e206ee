// Package hostile_test lets functions attack the machine that runs them. Each row of
// the list of hostile inputs is a test named for it; its function is a real Lambda
// function of a real `kiln serve` with default isolation and limits. Each test shows
// that its attack was made and, where that is harmless, that the same program
// succeeds outside of a sandbox. After each one nothing may have changed: the
// invariants are in invariants_test.go.
package hostile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// kiln is the binary under test.
var kiln *harness.Kiln

// ground is the server that most tests attack, with a neighbour that must not
// notice. It is started by the first test that needs it.
var ground = sync.OnceValues(openGround)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds kiln, runs the tests, ends the common server and looks for what it left.
func run(m *testing.M) (code int) {
	var err error
	if kiln, err = harness.Build("kiln-hostile-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(kiln.Work)
	code = m.Run()
	if os.Geteuid() != 0 {
		return code
	}
	g, err := ground()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := g.server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if left := harness.Leftovers(g.server.Data); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "the common server left behind:\n%s\n", strings.Join(left, "\n"))
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the common server said:\n%s\n", g.server.Said())
	}
	return code
}

// place is a server under attack.
type place struct {
	server   *harness.Server
	client   *lambda.Client
	canaries *canaries
	bindings bindings
	ahead    objects // what the server keeps ready when nothing runs
	each     int     // open files that the server has for one environment
	// languages says that functions in Python and Node.js will come.
	languages bool
}

// openGround starts the common server.
func openGround() (*place, error) {
	data := filepath.Join(kiln.Work, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	s, err := kiln.Launch(harness.Options{Data: data})
	if err != nil {
		return nil, err
	}
	return &place{server: s, client: s.Client(), bindings: bindings{}, languages: true}, nil
}

// common gives the common server, with its neighbour in place.
func common(t testing.TB) *place {
	t.Helper()
	harness.NeedRoot(t)
	g, err := ground()
	if err != nil {
		t.Fatal(err)
	}
	g.settle(t)
	return g
}

// private starts a server for one test.
func private(t testing.TB, o harness.Options) *place {
	t.Helper()
	harness.NeedRoot(t)
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	s := kiln.StartWith(t, o)
	p := &place{server: s, client: s.Client(), bindings: bindings{}}
	p.settle(t)
	return p
}
