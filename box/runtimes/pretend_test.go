package runtimes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/box/runtimes"
)

// This test binary also plays an interpreter: under the name of one it prints the
// answer that lies beside it, and notes that it was asked. So discovery is tested
// with interpreters of every kind, on any machine.

// pretend plays the interpreter, when it was called by such a name.
func pretend() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	name := filepath.Base(os.Args[0])
	if !strings.HasPrefix(name, "python") && !strings.HasPrefix(name, "node") {
		return
	}
	dir := filepath.Dir(program)
	isQuestion := strings.Contains(strings.Join(os.Args, " "), "implementation")
	if isQuestion {
		note, err := os.OpenFile(filepath.Join(dir, "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(note, "asked")
			note.Close()
		}
	}
	for _, file := range []string{filepath.Join(dir, "answer"), filepath.Join(filepath.Dir(dir), "LICENSE")} {
		answer, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if complaint, ok := strings.CutPrefix(string(answer), "fail: "); ok {
			fmt.Fprintln(os.Stderr, "Traceback of sorts\n"+complaint)
			os.Exit(3)
		}
		if isQuestion {
			fmt.Println(strings.ReplaceAll(string(answer), "PROGRAM", program))
		}
		os.Exit(0)
	}
	os.Exit(4)
}

// said is an interpreter's answer, ready to be changed by a test.
type said map[string]any

func nodeSays(version string) said {
	return said{
		"implementation": "node", "version": version, "program": "PROGRAM", "prefix": "/nowhere",
		"libraries": []string{}, "shared": []string{}, "lacking": []string{}, "machine": hostMachine(), "flavour": "",
	}
}

func hostMachine() string {
	text, err := os.ReadFile("/proc/sys/kernel/arch")
	if err == nil && strings.TrimSpace(string(text)) == "aarch64" {
		return "arm64"
	}
	return "x86_64"
}

// install puts a pretended interpreter into a new directory under a name.
func install(t *testing.T, name string, answer said) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copyBinary(t, filepath.Join(dir, name))
	answers(t, dir, answer)
	return dir
}

// answers sets what the interpreter of a directory says.
func answers(t *testing.T, dir string, answer said) {
	t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "answer"), string(text))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyBinary copies this test binary.
func copyBinary(t *testing.T, target string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// asked counts the questions that the interpreter of a directory was asked.
func asked(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// open opens a book that looks in these directories only, on a machine that has no
// Debian unless the options say otherwise.
func open(t testing.TB, data string, o runtimes.Options, places ...string) *runtimes.Book {
	t.Helper()
	o.DataDir, o.Places = data, places
	if places == nil {
		o.Places = []string{}
	}
	if o.Host == "" {
		o.Host = t.TempDir()
	}
	book, err := runtimes.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// problem gives the error of a runtime that must not be served.
func problem(t *testing.T, book *runtimes.Book, identifier string) string {
	t.Helper()
	rt, err := book.Runtime(context.Background(), identifier, "")
	if err == nil {
		t.Fatalf("%s is served: %+v", identifier, rt)
	}
	return err.Error()
}
