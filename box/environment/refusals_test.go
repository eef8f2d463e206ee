package environment_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"kiln/box/sandbox"
)

func TestWrongRequestsAreRefusedAndTheInvocationIsUnharmed(t *testing.T) {
	type try struct {
		what   string
		did    func(p *proc, id string) (*reply, error)
		status int
		body   string
	}
	const (
		wrongID  = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
		wrongInv = `{"errorMessage":"Invalid invocation ID","errorType":"InvalidInvocationId"}`
		accepted = `{"status":"OK"}`
	)
	transition := func(from, to string) string {
		return `{"errorMessage":"State transition from ` + from + ` to ` + to + ` failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
	}
	respond := func(p *proc, id string) (*reply, error) { return p.respond(id, "1") }
	echoing := func(inv string) func(p *proc, id string) (*reply, error) {
		return func(p *proc, id string) (*reply, error) {
			return p.conn().do("POST", api+"invocation/"+id+"/response", map[string]string{"Lambda-Runtime-Invocation-Id": inv}, "1")
		}
	}
	before := []try{
		{"an answer without a question", func(p *proc, _ string) (*reply, error) { return p.respond("x", "1") }, 400, wrongID},
		{"an error without a question", func(p *proc, _ string) (*reply, error) { return p.fail("x", "", "1") }, 400, wrongID},
	}
	running := []try{
		{"an answer to another id", func(p *proc, _ string) (*reply, error) { return p.respond("00000000-0000-4000-8000-000000000009", "0") }, 400, wrongID},
		{"an error to another id", func(p *proc, _ string) (*reply, error) { return p.fail("9", "", "0") }, 400, wrongID},
		{"a large answer to another id", func(p *proc, _ string) (*reply, error) { return p.respond("9", strings.Repeat("x", 7<<20)) }, 400, wrongID},
		{"another attempt's id", echoing("attempt-0"), 400, wrongInv},
		{"init/error after init", func(p *proc, _ string) (*reply, error) { return p.failInit("Runtime.X", "{}") }, 403, transition("Running", "InitError")},
		{"an unknown path", func(p *proc, _ string) (*reply, error) { return p.conn().do("GET", api+"invocation/x/y", nil, "") }, 404, ""},
		{"the same event again", func(p *proc, _ string) (*reply, error) { return p.next() }, 200, `"event"`},
		{"the answer", echoing("attempt-1"), 202, accepted},
		{"the answer again", respond, 403, transition("ResponseSent", "InvocationResponse")},
		{"an error behind the answer", func(p *proc, id string) (*reply, error) { return p.fail(id, "", "0") }, 403, transition("ResponseSent", "InvocationErrorResponse")},
	}
	b := newBox(func(p *proc) sandbox.ExitStatus {
		do := func(list []try, id string) {
			for _, c := range list {
				got, err := c.did(p, id)
				if err != nil || got.status != c.status || c.body != "" && string(got.body) != c.body {
					t.Errorf("%s: got %+v %s, %v; want %d %s", c.what, got, got.body, err, c.status, c.body)
				}
			}
		}
		do(before, "")
		broken := p.dial()
		_, _ = io.WriteString(broken, "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
		if got, err := broken.read(); err != nil || got.status != 400 {
			t.Errorf("a malformed request: got %+v, %v", got, err)
		}
		event, err := p.next()
		if err != nil {
			return sandbox.ExitStatus{}
		}
		do(running, event.id())
		last := event.id()
		event, err = p.next()
		if err == nil {
			do([]try{{"an answer to the one before", func(p *proc, _ string) (*reply, error) { return p.respond(last, "0") }, 400, wrongID}}, "")
			_, err = p.respond(event.id(), "2")
		}
		for err == nil {
			_, err = p.next()
		}
		return sandbox.ExitStatus{}
	})
	r := start(t, b)
	for i := 1; i <= 2; i++ {
		if o := r.invoke(`"event"`); o.Failed || string(o.Payload) != fmt.Sprint(i) {
			t.Errorf("call %d: got %s", i, o.Payload)
		}
	}
	r.free()
}

func TestAfterATimeoutTheAnswerOfTheOldProcessIsNotTaken(t *testing.T) {
	// The old process is killed, but what it had sent may still be on its way: a
	// connection that KillAll of this box forgets plays that part.
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		event, err := p.next()
		if err != nil {
			return sandbox.ExitStatus{}
		}
		if p.nth == 1 {
			<-p.ctx.Done()
			late := p.dial()
			if got, err := late.do("POST", api+"invocation/"+event.id()+"/response", nil, `"late"`); err == nil && got.status < 400 {
				t.Errorf("got %d %s", got.status, got.body)
			}
			return sandbox.ExitStatus{}
		}
		_, err = p.respond(event.id(), "2")
		for err == nil {
			_, err = p.next()
		}
		return sandbox.ExitStatus{}
	}), shortTimeout)
	if o := r.invoke("{}"); !o.Failed {
		t.Errorf("got %s", o.Payload)
	}
	if o := r.invoke("{}"); string(o.Payload) != "2" {
		t.Errorf("got %s", o.Payload)
	}
}
