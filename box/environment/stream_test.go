package environment_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

// caller takes a streamed answer.
type caller struct {
	contentType string
	began       int
	body        strings.Builder
	took        chan string   // nil: nobody looks
	stuck       chan struct{} // not nil: Write waits until it is closed
	gone        error
}

func (c *caller) Begin(contentType string) { c.contentType, c.began = contentType, c.began+1 }

func (c *caller) Write(p []byte) error {
	if c.stuck != nil {
		<-c.stuck
		return errors.New("cut")
	}
	c.body.Write(p)
	if c.took != nil {
		c.took <- string(p)
	}
	return c.gone
}

func (c *caller) Cut() {
	if c.stuck != nil {
		close(c.stuck)
	}
}

// streamed begins a streamed answer and gives what writes its chunks; "" ends it, and a
// text that begins with ! with these trailers.
func (p *proc) streamed(id string) func(string) {
	c := p.conn()
	fmt.Fprintf(c, "POST %sinvocation/%s/response HTTP/1.1\r\nHost: r\r\nContent-Type: text/plain\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n", api, id)
	return func(text string) {
		if trailers, ok := strings.CutPrefix(text, "!"); ok || text == "" {
			fmt.Fprintf(c, "0\r\n%s\r\n", trailers)
			return
		}
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text)
	}
}

// streams is a runtime that answers each event with a stream.
func streams(handle func(p *proc, event *reply, write func(string))) func(p *proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		for {
			event, err := p.next()
			if err != nil || event.status != 200 {
				return sandbox.ExitStatus{Code: 1}
			}
			handle(p, event, p.streamed(event.id()))
			if _, err := p.conn().read(); err != nil {
				return sandbox.ExitStatus{Code: 3}
			}
		}
	}
}

// stream runs one invocation whose answer goes to c.
func (r *rig) stream(c *caller) *kiln.Outcome {
	r.t.Helper()
	inv := r.invocation("{}")
	inv.Stream = c
	o, err := r.free().Invoke(r.t.Context(), inv)
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

func TestAStreamedAnswerReachesTheCallerBeforeItsEnd(t *testing.T) {
	goOn := make(chan struct{})
	r := start(t, newBox(streams(func(_ *proc, _ *reply, write func(string)) {
		write("one ")
		<-goOn
		write("two")
		write("")
	})))
	for range 2 {
		c := &caller{took: make(chan string, 8)}
		done := make(chan *kiln.Outcome)
		go func() { done <- r.stream(c) }()
		if got := <-c.took; got != "one " {
			t.Errorf("got %q", got)
		}
		goOn <- struct{}{}
		o := <-done
		if c.body.String() != "one two" || c.contentType != "text/plain" || c.began != 1 {
			t.Errorf("got %q of %q, begun %d times", c.body.String(), c.contentType, c.began)
		}
		if !o.Streamed || o.Failed || o.ErrorCode != "" || len(o.Payload) > 0 || o.Report.Produced != 7 || o.Report.Latency <= 0 {
			t.Errorf("got %+v", o)
		}
	}
	// A caller that wants it whole gets it whole.
	go func() { goOn <- struct{}{} }()
	if o := r.invoke("{}"); string(o.Payload) != "one two" || o.Streamed || o.Report.Produced != 7 || o.Report.Latency <= 0 {
		t.Errorf("got %+v", o)
	}
}

func TestAnEmptyStreamIsAnAnswer(t *testing.T) {
	r := start(t, newBox(streams(func(_ *proc, _ *reply, write func(string)) { write("") })))
	c := &caller{}
	if o := r.stream(c); !o.Streamed || o.Failed || c.began != 1 || c.body.Len() != 0 {
		t.Errorf("got %+v, begun %d times", o, c.began)
	}
}

func TestABufferedAnswerComesWholeToACallerWhoWantsAStream(t *testing.T) {
	r := start(t, newBox(loop(func(_ *proc, event *reply) (string, error) { return "whole", nil })))
	c := &caller{}
	if o := r.stream(c); o.Streamed || string(o.Payload) != "whole" || c.began != 0 {
		t.Errorf("got %+v", o)
	}
}

// TestStreamsThatFail covers what ends an answer in its middle.
func TestStreamsThatFail(t *testing.T) {
	var passed chan string
	for name, c := range map[string]struct {
		handle  func(p *proc, event *reply, write func(string))
		options func(*environment.Options)
		body    string
		code    string
		payload string
	}{
		"the function's own error": {
			handle: func(_ *proc, _ *reply, write func(string)) {
				write("part")
				write("!Lambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: eyJlIjoxfQ==\r\n")
			}, body: "part", code: "Unhandled", payload: `{"e":1}`,
		},
		"an exit": {
			handle: func(p *proc, _ *reply, write func(string)) {
				write("part")
				p.exit(sandbox.ExitStatus{Code: 7})
			}, body: "part", code: "Runtime.TruncatedResponse", payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 7"}`,
		},
		"a connection that ends": {
			handle: func(p *proc, _ *reply, write func(string)) {
				write("part")
				_ = p.main.Close()
				p.main = nil
				<-p.ctx.Done()
			}, options: func(o *environment.Options) { o.Version.Config.Timeout = 500 * time.Millisecond },
			body: "part", code: "Runtime.TruncatedResponse", payload: `{"errorType":"Runtime.TruncatedResponse","errorMessage":"RequestId: ID Error: The runtime closed its connection before the response was complete"}`,
		},
		"too many bytes": {
			handle: func(_ *proc, _ *reply, write func(string)) {
				write(strings.Repeat("x", 60))
				<-passed // so that the pieces are not one
				write(strings.Repeat("y", 60))
				write("")
			}, options: func(o *environment.Options) { o.Stream.Bytes = 100 },
			body: strings.Repeat("x", 60), code: "Function.ResponseSizeTooLarge", payload: `{"errorMessage":"Response payload size exceeded maximum allowed payload size (100 bytes).","errorType":"Function.ResponseSizeTooLarge"}`,
		},
		"the timeout": {
			handle: func(p *proc, _ *reply, write func(string)) {
				write("part")
				<-p.ctx.Done()
			}, options: func(o *environment.Options) { o.Version.Config.Timeout = 100 * time.Millisecond },
			body: "part", code: "Sandbox.Timedout", payload: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 0.10 seconds"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			passed = make(chan string, 8)
			if c.options == nil {
				c.options = func(*environment.Options) {}
			}
			r := start(t, newBox(streams(c.handle)), c.options)
			to := &caller{took: passed}
			o := r.stream(to)
			if to.body.String() != c.body || !o.Streamed || !o.Failed || o.ErrorCode != c.code {
				t.Errorf("got %q and %+v", to.body.String(), o)
			}
			if got := strings.ReplaceAll(string(o.Payload), "00000000-0000-4000-8000-000000000001", "ID"); got != c.payload {
				t.Errorf("got %s\nwant %s", got, c.payload)
			}
			r.free()
		})
	}
}

func TestAFunctionGoesOnWhenItsCallerIsGone(t *testing.T) {
	reached := make(chan struct{})
	r := start(t, newBox(streams(func(_ *proc, _ *reply, write func(string)) {
		for range 50 {
			write(strings.Repeat("x", 1000))
		}
		write("")
		close(reached)
	})))
	c := &caller{gone: errors.New("gone")}
	if o := r.stream(c); !o.Streamed || o.Failed || o.Report.Produced != 50000 {
		t.Errorf("got %+v", o)
	}
	<-reached
}

func TestACallerThatTakesNothingIsCutSoonAfterTheTimeout(t *testing.T) {
	r := start(t, newBox(streams(func(p *proc, _ *reply, write func(string)) {
		write("part")
		<-p.ctx.Done()
	})), func(o *environment.Options) { o.Version.Config.Timeout = 50 * time.Millisecond })
	c := &caller{stuck: make(chan struct{})}
	if o := r.stream(c); !o.Failed || o.ErrorCode != "Sandbox.Timedout" {
		t.Errorf("got %+v", o)
	}
	r.free() // the environment did not wait for it
}

func TestAStreamIsHeldToItsRateBeyondTheBurst(t *testing.T) {
	r := start(t, newBox(streams(func(_ *proc, _ *reply, write func(string)) {
		for range 30 {
			write(strings.Repeat("x", 1000))
		}
		write("")
	})), func(o *environment.Options) { o.Stream.Burst, o.Stream.Rate = 10_000, 100_000 })
	c := &caller{}
	began := time.Now()
	r.stream(c)
	if took := time.Since(began); took < 190*time.Millisecond || c.body.Len() != 30000 {
		t.Errorf("20,000 bytes beyond the burst took %v at 100,000 a second; got %d bytes", took, c.body.Len())
	}
}

func TestASecondAnswerBesideAStreamIsRefused(t *testing.T) {
	status := make(chan int, 2)
	c := &caller{took: make(chan string, 1)}
	r := start(t, newBox(streams(func(p *proc, event *reply, write func(string)) {
		write("part")
		<-c.took // on its way, so that the others come second
		for _, kind := range []string{"response", "error"} {
			other := p.dial()
			answer, err := other.do("POST", api+"invocation/"+event.id()+"/"+kind, nil, "{}")
			if err != nil {
				t.Error(err)
				break
			}
			status <- answer.status
		}
		write("")
	})))
	if o := r.stream(c); o.Failed || c.body.String() != "part" {
		t.Errorf("got %+v", o)
	}
	if a, b := <-status, <-status; a != 403 || b != 403 {
		t.Errorf("got %d and %d", a, b)
	}
}

func TestARuntimeThatAsksTooEarlyGetsTheNextEventAndNotTheSameAgain(t *testing.T) {
	ids, took := make(chan string, 4), make(chan string, 4)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		event, err := p.next()
		for err == nil && event.status == 200 {
			ids <- event.id()
			write := p.streamed(event.id())
			write("part")
			<-took // or the question may be heard before the answer has begun
			asked := make(chan *reply)
			go func() {
				defer close(asked)
				if answer, err := p.dial().do("GET", api+"invocation/next", nil, ""); err == nil {
					asked <- answer
				}
			}()
			other := p.dial()
			for range 50 { // during which it is most likely heard
				if _, err := other.do("GET", "/ping", nil, ""); err != nil {
					t.Error(err)
				}
			}
			write("")
			if _, err = p.conn().read(); err == nil {
				if event = <-asked; event == nil {
					break
				}
			}
		}
		return sandbox.ExitStatus{Code: 1}
	}))
	for n := range 2 {
		c := &caller{took: took}
		if o := r.stream(c); o.Failed || c.body.String() != "part" {
			t.Errorf("got %q and %+v", c.body.String(), o)
		}
		if got, want := <-ids, fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1); got != want {
			t.Errorf("the runtime got %s, want %s", got, want)
		}
	}
	r.free()
}
