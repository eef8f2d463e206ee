package worker_test

import (
	"io"
	"net"
	"sync"
	"testing"

	room "kiln/box/environment"
	"kiln/engine/worker"
)

// hall notes who is let in, and counts who is let out.
type hall struct {
	mu   sync.Mutex
	in   []room.Caller
	left int
}

func (h *hall) Serve(l net.Listener, c room.Caller) io.Closer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.in = append(h.in, c)
	return exit{h, l}
}

type exit struct {
	h *hall
	l net.Listener
}

func (x exit) Close() error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.h.left++
	return x.l.Close()
}

func TestEachEnvironmentReachesTheAPIAsItsFunctionUntilItEnds(t *testing.T) {
	h := &hall{}
	w := build(t, &carton{}, worker.BuilderOptions{Inside: &room.Inside{Address: "127.0.0.1:4566", Door: h}})
	inv := real(128)
	inv.Target.Version.Config.Role = "arn:aws:iam::111111111111:role/r"
	run(t, w, inv)
	run(t, w, inv)
	h.mu.Lock()
	if len(h.in) != 1 || h.in[0].Function != inv.Target.Version.Function || h.in[0].Role != inv.Target.Version.Config.Role || h.left != 0 {
		t.Errorf("let in %+v, left %d", h.in, h.left)
	}
	h.mu.Unlock()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if h.left != 1 {
		t.Errorf("%d left, want 1", h.left)
	}
}
