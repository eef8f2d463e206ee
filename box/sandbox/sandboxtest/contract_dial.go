package sandboxtest

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"kiln/box/sandbox"
)

func descriptorsAreGiven(t *testing.T, r *rig) {
	b := r.create(t)
	first, firstWrite := pipe(t)
	second, secondWrite := pipe(t)
	p, err := tryStart(t, b, sandbox.Program{
		Path: "/probe/probe", Args: []string{"probe", "descriptors", "62", "5"}, Env: []string{"A=1"}, Dir: "/",
		Files: map[int]*os.File{62: firstWrite, 5: secondWrite},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*os.File{firstWrite, secondWrite} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p.want(t, "end")
	for want, from := range map[string]*os.File{"to 62\n": first, "to 5\n": second} {
		if got, err := bufio.NewReader(from).ReadString('\n'); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	p.wait(t)
	for _, bad := range []int{-1, 3, 64} {
		_, w := pipe(t)
		_, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "0"}, Dir: "/", Files: map[int]*os.File{bad: w}})
		if err == nil {
			t.Errorf("descriptor %d was given", bad)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func dialReaches(t *testing.T, r *rig) {
	b := r.create(t)
	if _, ok := b.(sandbox.Dialer); !ok {
		if _, err := sandbox.Dial(t.Context(), b, "tcp", "127.0.0.1:9"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
		return
	}
	p := start(t, b, "serve", "127.0.0.1:0")
	address := strings.TrimPrefix(p.line(t), "ready ")
	for range 3 {
		c, err := sandbox.Dial(t.Context(), b, "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != address {
			t.Errorf("got a connection to %s, want %s", got, address)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Dial(t.Context(), b, "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: got %v", err)
	}
	if _, err := sandbox.Dial(t.Context(), b, "tcp", "nothing"); err == nil {
		t.Error("got a connection to no address")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sandbox.Dial(over, b, "tcp", address); err == nil {
		t.Error("got a connection after the context's end")
	}
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Dial(t.Context(), b, "tcp", address); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("of a box that is gone: got %v", err)
	}
}
