package sandboxtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"kiln/box/sandbox"
)

func freezeAndThaw(t *testing.T, r *rig) {
	b := r.create(t)
	l, err := b.Listen("127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, b, "echo", l.Addr().String())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func(word string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, word); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if got, err := in.ReadString('\n'); err != nil || got != want+"\n" {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	ask("one")
	hear("echo one")
	for range 3 {
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		ask("two")
		// Silence cannot be waited for: a program that ran would answer within
		// microseconds, so that this fails in most rounds if it does.
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if got, err := in.ReadString('\n'); err == nil {
			t.Fatalf("a frozen program said %q", got)
		}
		if err := b.Thaw(); err != nil {
			t.Fatal(err)
		}
		hear("echo two")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

func freezeTwice(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "busy", "1")
	p.want(t, "ready")
	for range 2 {
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "0"}}); !errors.Is(err, sandbox.ErrFrozen) {
		t.Errorf("start in a frozen box: got %v, want %v", err, sandbox.ErrFrozen)
	}
	if _, err := b.Usage(); err != nil {
		t.Errorf("usage of a frozen box: %v", err)
	}
	if err := b.Limit(500); err != nil {
		t.Errorf("limit of a frozen box: %v", err)
	}
	for range 2 {
		if err := b.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	run(t, b, "exit", "0")
}

func killFrozen(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "deaf")
	p.want(t, "ready")
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	run(t, b, "exit", "0") // and it is not frozen any more
}

func destroyFrozen(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "busy", "2")
	p.want(t, "ready")
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	p.rest(t)
}

func connectToListener(t *testing.T, r *rig) {
	b := r.create(t)
	l, err := b.Listen("127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, b, "echo", l.Addr().String())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); got != "echo hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	if r.can.PrivateNetwork {
		if got, want := l.Addr().String(), "127.0.0.1:9001"; got != want {
			t.Errorf("got address %s, want %s", got, want)
		}
		if _, err := b.Listen("127.0.0.1:9001"); err == nil {
			t.Error("got a second listener on one port, want an error")
		}
	}
}

func listenersAtOnce(t *testing.T, r *rig) {
	b := r.create(t)
	open, err := sandbox.ListenAll(b, "127.0.0.1:9001", "127.0.0.2:4566")
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range open {
		defer l.Close()
		p := start(t, b, "echo", l.Addr().String())
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(c, i); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(c).ReadString('\n'); got != fmt.Sprintf("echo %d\n", i) {
			t.Errorf("listener %d: got %q, %v", i, got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		p.wait(t)
	}
	if !r.can.PrivateNetwork {
		return // an address is only a wish there
	}
	if len(open) != 2 || open[0].Addr().String() != "127.0.0.1:9001" || open[1].Addr().String() != "127.0.0.2:4566" {
		t.Errorf("got %v", open)
	}
	for _, bad := range []string{"127.0.0.1:9001", "nothing"} { // taken; no address
		if _, err := sandbox.ListenAll(b, "127.0.0.3:4566", bad); err == nil {
			t.Errorf("got a listener on %s, want an error", bad)
		}
	}
	again, err := b.Listen("127.0.0.3:4566")
	if err != nil {
		t.Fatalf("a failed call left its first listener open: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func churnIsFrozen(t *testing.T, r *rig) {
	b := r.create(t)
	chains := []*program{start(t, b, "churn"), start(t, b, "churn"), start(t, b, "churn")}
	// heard counts what the chains said, until they have been silent for a time.
	heard := func(silence time.Duration) (n int) {
		for _, p := range chains {
			buf := make([]byte, 4096)
			for {
				if err := p.pipe.SetReadDeadline(time.Now().Add(silence)); err != nil {
					t.Fatal(err)
				}
				k, err := p.out.Read(buf)
				n += k
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				} else if err != nil {
					t.Fatalf("a chain broke: %v", err)
				}
			}
		}
		return n
	}
	for range 5 {
		for _, p := range chains { // each goes on
			if err := p.pipe.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := p.out.ReadByte(); err != nil {
					t.Fatalf("a chain broke: %v", err)
				}
			}
		}
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		heard(time.Millisecond) // what was said before
		if n := heard(50 * time.Millisecond); n > 0 {
			t.Errorf("%d processes were born in a frozen box", n)
		}
		if err := b.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	for _, p := range chains {
		if err := p.pipe.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		p.rest(t)
	}
}
