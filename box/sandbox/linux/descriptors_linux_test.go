package linux_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

// descriptors counts what this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestALivingBoxCostsFewDescriptors(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("fewfiles"), PoolSize: -1})
	probe := sandboxtest.Probe(t)
	live := func(id string) {
		b := probeBox(t, d, id, probe)
		if _, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "sleep", "60000"}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		if u, err := b.Usage(); err != nil || u.PIDs == 0 {
			t.Fatalf("got %+v, %v, want that the program is counted", u, err)
		}
	}
	live("first") // pollers and templates come with the first
	before := descriptors(t)
	for _, id := range []string{"a", "b", "c"} {
		live(id)
	}
	// The init and its line, the program, two files to freeze it, the scratch directory,
	// and the word that memory ran out.
	if each := (descriptors(t) - before) / 3; each > 7 {
		t.Errorf("got %d descriptors for each box, want at most 7", each)
	}
}

// inits counts the first processes of an owner's boxes, which blanks have too.
func inits(t testing.TB, owner string) (n int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if text, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})), "kiln-init "+owner+" ") {
			n++
		}
	}
	return n
}

func TestThePoolFillsAgainAfterATimeOfNeed(t *testing.T) {
	owner := sandboxtest.Owner("need")
	said := make(chan struct{}, 8)
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte("make a box ahead")) {
			said <- struct{}{}
		}
	}), nil))
	d := open(t, linux.Options{Owner: owner, UIDs: linux.UIDRange{First: 1_900_100_000, Count: 2}, PoolSize: 1, Logger: log})
	probe := sandboxtest.Probe(t)
	a := probeBox(t, d, "a", probe)
	if !within(10*time.Second, func() bool { return inits(t, owner) == 2 }) {
		t.Fatalf("got %d boxes and blanks, want one of each", inits(t, owner))
	}
	// The blank goes, and its successor finds no user.
	b := probeBox(t, d, "b", probe)
	select {
	case <-said:
	case <-time.After(10 * time.Second):
		t.Fatal("the pool does not say that it cannot be filled")
	}
	if got := inits(t, owner); got != 2 {
		t.Fatalf("got %d boxes and blanks of two users, want 2", got)
	}
	for _, x := range []sandbox.Sandbox{a, b} {
		if err := x.Destroy(); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody asks for a box now.
	if !within(20*time.Second, func() bool { return inits(t, owner) == 1 }) {
		t.Errorf("got %d blanks, want that the pool has filled itself again", inits(t, owner))
	}
}

// writerFunc is a function as an io.Writer.
type writerFunc func([]byte)

// Write calls the function.
func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
