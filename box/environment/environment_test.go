package environment_test

import (
	"testing"
)

func TestAnInvocationIsAnsweredWithWhatTheRuntimePosted(t *testing.T) {
	r := start(t, newBox(loop(echo)))
	for _, payload := range []string{`{"a":1}`, `"text"`, `null`} {
		o := r.invoke(payload)
		if string(o.Payload) != payload || o.Failed || o.Version != "$LATEST" {
			t.Errorf("got %q, failed %v, version %q", o.Payload, o.Failed, o.Version)
		}
	}
	r.free()
	for _, l := range r.sink.lines() {
		t.Log(l)
	}
}
