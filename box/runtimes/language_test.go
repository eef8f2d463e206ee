package runtimes_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// language is an interpreter of this machine with its bootstrap, as it runs outside
// a box: where the box sees the real paths, the host's are put in their place.
type language struct {
	identifier string
	version    string
	command    []string
	runtimeDir string
	env        []string
	runtime    kiln.Runtime
}

var machine struct {
	sync.Once
	languages []*language
	err       error
	dir       string
}

func TestMain(m *testing.M) {
	pretend()
	// The race detector lets a program sleep for a second at its end, and this one
	// is started many times.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	code := m.Run()
	if machine.dir != "" {
		os.RemoveAll(machine.dir)
	}
	os.Exit(code)
}

// languages gives the interpreters of a family that this machine has, all served
// by one book, oldest first.
func languages(t testing.TB, family string) []*language {
	t.Helper()
	machine.Do(func() { machine.languages, machine.err = findLanguages() })
	if machine.err != nil {
		t.Fatal(machine.err)
	}
	var found []*language
	for _, l := range machine.languages {
		if l.runtime.Family == family {
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		t.Skipf("needs an interpreter: this machine has no %s that a runtime identifier names", family)
	}
	return found
}

func findLanguages() ([]*language, error) {
	dir, err := os.MkdirTemp("", "kiln-runtimes-")
	if err != nil {
		return nil, err
	}
	machine.dir = dir
	// Further binaries of Node.js and .NET that the set-up of the tests has brought.
	brought, err := filepath.Glob("../../.cache/nodes/node_modules/node*/bin")
	if err != nil {
		return nil, err
	}
	dotnets, err := filepath.Glob(dotnetModules + "/dotnet-sdk-*")
	if err != nil {
		return nil, err
	}
	brought = append(brought, dotnets...)
	for i := range brought {
		if brought[i], err = filepath.Abs(brought[i]); err != nil {
			return nil, err
		}
	}
	book, err := runtimes.Open(runtimes.Options{DataDir: dir, Getenv: func(name string) string {
		if name == "PATH" {
			return strings.Join(append([]string{os.Getenv("PATH")}, brought...), ":")
		}
		return os.Getenv(name)
	}})
	if err != nil {
		return nil, err
	}
	var found []*language
	for _, entry := range book.List(context.Background()) {
		if entry.State != runtimes.Ready || entry.Source == "" {
			continue
		}
		rt, err := book.Runtime(context.Background(), entry.Identifier, "")
		if err != nil {
			return nil, err
		}
		l, err := outside(rt, entry.Source)
		if err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, nil
}

// outside gives a runtime as it runs without a box.
func outside(rt kiln.Runtime, program string) (*language, error) {
	l := &language{identifier: rt.Identifier, version: rt.Version, runtime: rt}
	for _, m := range rt.Mounts {
		if m.Target == "/var/runtime" {
			l.runtimeDir = m.Source
		}
	}
	if l.runtimeDir == "" {
		return nil, fmt.Errorf("%s has no /var/runtime", rt.Identifier)
	}
	l.command = []string{program}
	if rt.Family == "dotnet" { // a script starts it
		l.command = []string{rt.Command[0]}
		l.env = append(dotnetEnv(), "DOTNET_ROOT="+filepath.Dir(program))
	}
	for _, argument := range rt.Command[1:] {
		l.command = append(l.command, strings.Replace(argument, "/var/runtime", l.runtimeDir, 1))
	}
	for name, value := range rt.Env {
		switch name {
		case "PYTHONPATH", "LC_CTYPE", "NODE_PATH", "LAMBDA_RUNTIME_NAME":
			l.env = append(l.env, name+"="+strings.ReplaceAll(value, "/var/runtime", l.runtimeDir))
		}
	}
	return l, nil
}

// each runs a test with every interpreter of a family.
func each(t *testing.T, family string, test func(t *testing.T, lang *language)) {
	for _, lang := range languages(t, family) {
		t.Run(lang.identifier, func(t *testing.T) {
			t.Parallel()
			test(t, lang)
		})
	}
}

// atLeast reports whether the language's version is at least this one.
func (l *language) atLeast(major, minor int) bool {
	var a, b int
	fmt.Sscanf(l.version, "%d.%d", &a, &b)
	return a > major || a == major && b >= minor
}

// dotnetModules is where make test puts the SDKs of .NET Core.
const dotnetModules = "../../.cache/dotnet/node_modules"
