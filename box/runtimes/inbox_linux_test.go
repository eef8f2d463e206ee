package runtimes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/rootfs"
	"kiln/box/runtimes"
	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
)

// boxes makes real sandboxes for a test.
type boxes struct {
	driver *linux.Driver
	cache  *rootfs.Cache
	code   string // what is at /var/task
}

// noBlobs has no packages: the tests compose a directory of their own.
type noBlobs struct{}

// Open finds nothing.
func (noBlobs) Open(string) (interface {
	io.ReaderAt
	io.Closer
}, int64, error) {
	return nil, 0, errors.New("no packages here")
}

// newBoxes opens a driver and a cache of roots, which end with the test.
func newBoxes(t testing.TB) *boxes {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes sandboxes")
	}
	dir := t.TempDir()
	for at := dir; at != "/tmp" && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	driver, err := linux.New(linux.Options{Owner: strings.ToLower("rt" + kiln.NewID()[:8]), StateDir: dir + "/state", PoolSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	cache, err := rootfs.Open(dir, noBlobs{}, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &boxes{driver: driver, cache: cache, code: dir + "/code"}
	if err := os.Mkdir(b.code, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a command in a box of a runtime, with the variables that a descriptor
// sets, and gives what it wrote and how it ended.
func (b *boxes) run(ctx context.Context, rt kiln.Runtime, command ...string) (string, error) {
	root, err := b.cache.Compose(b.code, rt)
	if err != nil {
		return "", err
	}
	spec := sandbox.Spec{ID: kiln.NewID(), MemoryBytes: 512 << 20, PIDs: 256, OpenFiles: 1024, ScratchBytes: 64 << 20, Hostname: "kiln"}
	for _, m := range root.Mounts {
		spec.Mounts = append(spec.Mounts, sandbox.Mount(m))
	}
	for _, f := range root.Files {
		spec.Files = append(spec.Files, sandbox.File{Path: f.Path, Contents: f.Contents, Mode: 0o644})
	}
	box, err := b.driver.Create(ctx, spec)
	if err != nil {
		return "", err
	}
	text, err := runIn(ctx, box, rt, command)
	return text, errors.Join(err, box.Destroy())
}

// runIn runs a command in a box.
func runIn(ctx context.Context, box sandbox.Sandbox, rt kiln.Runtime, command []string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	var env []string
	for name, value := range rt.Env {
		env = append(env, name+"="+value)
	}
	p, err := box.Start(ctx, sandbox.Program{Path: command[0], Args: command, Env: env, Dir: "/var/task", Stdout: w, Stderr: w})
	if closeErr := w.Close(); err != nil || closeErr != nil {
		return "", errors.Join(err, closeErr)
	}
	words := make(chan []byte, 1)
	go func() { // ends with the processes of the box
		text, _ := io.ReadAll(r)
		words <- text
	}()
	select {
	case <-p.Exited():
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := box.KillAll(); err != nil {
		return "", err
	}
	text := string(bytes.TrimSpace(<-words))
	if s := p.Status(); s.Code != 0 || s.Signal != 0 {
		return text, fmt.Errorf("it ended with %+v: %s", s, text)
	}
	return text, nil
}

// check is what the server gives a book: it runs a command in a real box.
func (b *boxes) check(ctx context.Context, rt kiln.Runtime, command []string) error {
	_, err := b.run(ctx, rt, command...)
	return err
}

// openData makes a data directory that boxes can be shown parts of.
func openData(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPythonComesFromThisMachinesDebianMirror fetches for real, where this machine's
// apt has a source of Debian that answers.
func TestPythonComesFromThisMachinesDebianMirror(t *testing.T) {
	b := newBoxes(t)
	identifier := "python3.13"
	if other := os.Getenv("KILN_TEST_DEBIAN_RUNTIME"); other != "" {
		identifier = other
	}
	data := openData(t)
	book := open(t, data, runtimes.Options{Check: b.check, Host: "/"}, t.TempDir())
	if state := stateOf(t, book, identifier); state.State != runtimes.Fetchable {
		t.Skipf("this machine's apt has no Debian that can be used: %s", state.How)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var done, total int64
	var err error
	for range 3 { // a public server
		if err = book.Add(ctx, identifier, runtimes.AddOptions{}, func(d, n int64) { done, total = d, n }); err == nil {
			break
		}
		t.Log(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if done != total || total < 10<<20 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	rt, err := book.Runtime(ctx, identifier, "")
	if err != nil {
		t.Fatal(err)
	}
	const program = `
import sys, ssl, sqlite3, ctypes, os, json, subprocess, locale
context = ssl.create_default_context()
assert len(context.get_ca_certs()) > 50, "no authorities"
assert sqlite3.connect(":memory:").execute("select 6*7").fetchone() == (42,)
assert ctypes.CDLL(None).getpid() == os.getpid()
assert sys.prefix == "/var/lang", sys.prefix
for name in ("C.UTF-8", "en_US.UTF-8"):
    assert locale.setlocale(locale.LC_ALL, name) == name
assert os.path.realpath(os.__file__).startswith("/var/lang/lib/python"), os.__file__
if sys.version_info > (3, 4):
    assert os.path.exists(json.__spec__.cached), "json is compiled at each start"
for words in (["curl", "--version"], ["/bin/sh", "-c", "echo $BASH_VERSION | grep -q ."], ["date"], ["sed", "--version"]):
    subprocess.check_output(words)
for name in ("/usr/share/zoneinfo/Europe/Berlin", "/usr/share/zoneinfo/US/Eastern", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/services", "/usr/bin/python%d.%d" % sys.version_info[:2]):
    assert os.path.exists(name), name
print("%d.%d" % sys.version_info[:2])
`
	got, err := b.run(ctx, rt, rt.Command[0], "-c", program)
	if err != nil || got != rt.Version {
		t.Errorf("in a box: %q %v", got, err)
	}
	if rt.Root == "" {
		t.Error("it has the host's libraries")
	}
	if err := book.Add(ctx, identifier, runtimes.AddOptions{}, nil); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := book.Remove(identifier); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "runtimes", "fetched", identifier)); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// stateOf gives the entry of an identifier in the list.
func stateOf(t testing.TB, book *runtimes.Book, identifier string) runtimes.Entry {
	t.Helper()
	for _, e := range book.List(t.Context()) {
		if e.Identifier == identifier {
			return e
		}
	}
	t.Fatalf("%s is not in the list", identifier)
	return runtimes.Entry{}
}
