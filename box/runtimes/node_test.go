package runtimes_test

import (
	"testing"
)

func TestANodeHandlerEchoesItsEvent(t *testing.T) {
	each(t, "nodejs", func(t *testing.T, lang *language) {
		dir := folder(t, "app.js", "exports.handler = async (event) => event;\n")
		g := start(t, lang, dir, "app.handler")
		for range 3 {
			o := g.invoke(work{payload: `{"a":[1,2.5,null,true],"b":{"c":"dé"}}`, attempt: "attempt-1"})
			if got, want := o.path, "/2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"; got != want {
				t.Fatalf("posted to %s, want %s: %s", got, want, o.body)
			}
			if got, want := o.body, `{"a":[1,2.5,null,true],"b":{"c":"dé"}}`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got, want := o.headers.Get("Lambda-Runtime-Invocation-Id"), "attempt-1"; got != want {
				t.Errorf("invocation id: got %q, want %q", got, want)
			}
			if !o.pipelined {
				t.Error("the next question did not come with the answer")
			}
		}
		if got := g.stdout.String() + g.stderr.String(); got != "" {
			t.Errorf("wrote %q", got)
		}
	})
}
