package environment_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestATimeoutKillsTheProcessAndTheNextCallStartsANewOne(t *testing.T) {
	b := newBox(loop(func(p *proc, event *reply) (string, error) {
		if string(event.body) == `"hang"` {
			p.print("begin\nunfinished")
			<-p.ctx.Done()
			p.print("after the kill\n")
			return "", errors.New("killed")
		}
		return strconv.Itoa(p.nth), nil
	}))
	r := start(t, b, func(o *environment.Options) { o.Version.Config.Timeout = 80 * time.Millisecond })
	o := r.invoke(`"hang"`)
	want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Task timed out after 0.08 seconds"}`
	if !o.Failed || string(o.Payload) != want || o.Report.Status != kiln.StatusTimeout {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	if o.Report.Duration < 80*time.Millisecond || o.Report.Billed < 80*time.Millisecond {
		t.Errorf("got %+v", o.Report)
	}
	if o := r.invoke(`1`); string(o.Payload) != "2" || o.Report.Init != 0 {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	r.free()
	r.expect(initStart, "START RequestId: id1 Version: $LATEST", "begin", "unfinished",
		"<ts> id1 Task timed out after 0.08 seconds", "after the kill", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms|Status: timeout",
		"START RequestId: id2 Version: $LATEST", "END RequestId: id2",
		"REPORT RequestId: id2|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
}

func TestTheTailOfATimeoutHoldsItsReport(t *testing.T) {
	r := start(t, newBox(loop(func(p *proc, _ *reply) (string, error) {
		<-p.ctx.Done()
		return "", errors.New("killed")
	})), func(o *environment.Options) { o.Version.Config.Timeout = 30 * time.Millisecond })
	inv := r.invocation("{}")
	inv.WantTail = true
	o, err := r.free().Invoke(t.Context(), inv)
	if err != nil || !strings.Contains(string(o.Tail), "Task timed out after 0.03 seconds\nEND ") || !strings.HasSuffix(string(o.Tail), "\tStatus: timeout\n") {
		t.Errorf("got %q, %v", o.Tail, err)
	}
}

func TestAnExitIsNoticedAtOnce(t *testing.T) {
	for _, c := range []struct {
		status sandbox.ExitStatus
		text   string
	}{
		{sandbox.ExitStatus{}, "Runtime exited without providing a reason"},
		{sandbox.ExitStatus{Code: 127}, "Runtime exited with error: exit status 127"},
		{sandbox.ExitStatus{Signal: int(syscall.SIGKILL)}, "Runtime exited with error: signal: killed"},
		{sandbox.ExitStatus{Signal: int(syscall.SIGABRT)}, "Runtime exited with error: signal: aborted"},
	} {
		b := newBox(func(p *proc) sandbox.ExitStatus {
			event, err := p.next()
			if err == nil && p.nth == 1 {
				p.print("last words")
				return c.status
			}
			if err == nil {
				_, err = p.respond(event.id(), "2")
			}
			for err == nil {
				_, err = p.next()
			}
			return sandbox.ExitStatus{}
		})
		r := start(t, b, func(o *environment.Options) { o.Version.Config.Timeout = 900 * time.Second })
		o := r.invoke("{}")
		want := `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: ` + c.text + `"}`
		if !o.Failed || string(o.Payload) != want || o.Report.Status != kiln.StatusFailure || o.Report.Duration > 10*time.Second {
			t.Errorf("got %s, %+v", o.Payload, o.Report)
		}
		if o := r.invoke("{}"); string(o.Payload) != "2" {
			t.Errorf("the next call got %s", o.Payload)
		}
		r.free()
		r.expect(initStart, "START RequestId: id1 Version: $LATEST", "last words", "RequestId: id1 Error: "+c.text+"\nRuntime.ExitError", "END RequestId: id1",
			"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms|Status: error|Error Type: Runtime.ExitError",
			"START RequestId: id2 Version: $LATEST", "END RequestId: id2",
			"REPORT RequestId: id2|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
	}
}

func TestAChildThatOutlivesTheRuntimeHidesNothing(t *testing.T) {
	b := newBox(func(p *proc) sandbox.ExitStatus {
		if _, err := p.next(); err != nil {
			return sandbox.ExitStatus{}
		}
		return p.leave(3) // the child keeps the pipe and the connection
	})
	r := start(t, b, func(o *environment.Options) { o.Version.Config.Timeout = 900 * time.Second })
	if o := r.invoke("{}"); !strings.Contains(string(o.Payload), "exit status 3") {
		t.Errorf("got %s", o.Payload)
	}
}

func TestAnAnswerGivenBeforeTheExitCounts(t *testing.T) {
	for _, how := range []string{"waits for 202", "does not wait"} {
		t.Run(how, func(t *testing.T) {
			b := newBox(func(p *proc) sandbox.ExitStatus {
				event, err := p.next()
				if err != nil {
					return sandbox.ExitStatus{}
				}
				if how == "waits for 202" {
					_, _ = p.respond(event.id(), strconv.Itoa(p.nth))
				} else {
					_ = p.conn().send("POST", api+"invocation/"+event.id()+"/response", nil, strconv.Itoa(p.nth))
				}
				return sandbox.ExitStatus{Code: 4}
			})
			r := start(t, b)
			for i := 1; i <= 100; i++ {
				if o := r.invoke("{}"); o.Failed || string(o.Payload) != strconv.Itoa(i) {
					t.Fatalf("call %d: got %s", i, o.Payload)
				}
			}
			r.free()
			lines := r.sink.lines()
			if last := plain(lines[len(lines)-1:]); !strings.HasSuffix(last, "Status: error|Error Type: Runtime.ExitError") {
				t.Errorf("got %s", last)
			}
		})
	}
}

func TestAProcessThatIsGoneGetsNoInvocation(t *testing.T) {
	die, dead := make(chan struct{}), make(chan struct{})
	b := newBox(func(p *proc) sandbox.ExitStatus {
		event, err := p.next()
		if err == nil {
			_, err = p.respond(event.id(), strconv.Itoa(p.nth))
		}
		if err == nil {
			err = p.conn().send("GET", api+"invocation/next", nil, "")
		}
		if err == nil {
			select {
			case <-die:
				go func() {
					<-p.exited
					dead <- struct{}{}
				}()
			case <-p.ctx.Done():
			}
		}
		return sandbox.ExitStatus{Code: 1}
	})
	r := start(t, b)
	for i := 1; i <= 200; i++ {
		r.free()
		if i > 1 { // the last process has asked for work and exits now
			die <- struct{}{}
			<-dead
		}
		o, err := r.Invoke(t.Context(), r.invocation("{}"))
		if err != nil || o.Failed || string(o.Payload) != strconv.Itoa(i) {
			t.Fatalf("call %d: got %v, %v", i, o, err)
		}
	}
}

func TestARuntimeThatDiesBetweenTwoCallsIsReplaced(t *testing.T) {
	for _, rests := range []bool{false, true} {
		die := make(chan struct{})
		b := newBox(func(p *proc) sandbox.ExitStatus {
			if p.nth > 1 {
				return loop(echo)(p)
			}
			event, err := p.next()
			if err == nil {
				_, err = p.respond(event.id(), "1")
			}
			if err == nil {
				_ = p.conn().send("GET", api+"invocation/next", nil, "") // the connection may be gone
			}
			<-die
			return sandbox.ExitStatus{Code: 5}
		})
		r := start(t, b)
		r.invoke("1")
		r.free()
		if rests {
			r.Rest()
			poll(t, "frozen", func() bool { return r.State() == environment.Frozen })
		}
		close(die)
		poll(t, "the exit is noticed", func() bool { return r.State() == environment.Broken })
		o, err := r.Invoke(t.Context(), r.invocation("7"))
		if err != nil || string(o.Payload) != "7" {
			t.Errorf("got %v, %v", o, err)
		}
		b.mu.Lock()
		if b.frozen {
			t.Error("a process was started in a frozen box")
		}
		b.mu.Unlock()
	}
}

func TestAnOutOfMemoryKillShowsAllMemoryUsed(t *testing.T) {
	var b *box
	b = newBox(func(p *proc) sandbox.ExitStatus {
		if _, err := p.next(); err != nil {
			return sandbox.ExitStatus{}
		}
		b.mu.Lock()
		b.usage = sandbox.Usage{PeakMemoryBytes: 100 << 20, OOMKills: 1}
		b.mu.Unlock()
		return sandbox.ExitStatus{Signal: int(syscall.SIGKILL)}
	})
	r := start(t, b)
	o := r.invoke("{}")
	if !strings.Contains(string(o.Payload), "Runtime.ExitError") || !strings.Contains(string(o.Payload), "signal: killed") || o.Report.MaxMemoryMB != 128 {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	r.free()
	lines := r.sink.lines()
	if last := lines[len(lines)-1]; !strings.Contains(last, "Max Memory Used: 128 MB") {
		t.Errorf("got %s", last)
	}
}

func TestARuntimeThatAnswersAndNeverAsksAgainIsReset(t *testing.T) {
	b := newBox(func(p *proc) sandbox.ExitStatus {
		event, err := p.next()
		if err == nil {
			_, _ = p.respond(event.id(), strconv.Itoa(p.nth))
		}
		<-p.ctx.Done()
		return sandbox.ExitStatus{}
	})
	r := start(t, b, func(o *environment.Options) { o.Version.Config.Timeout = 60 * time.Millisecond })
	if o := r.invoke("{}"); string(o.Payload) != "1" {
		t.Errorf("got %s", o.Payload)
	}
	if o := r.invoke("{}"); string(o.Payload) != "2" {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	r.expect(initStart, "START RequestId: id1 Version: $LATEST", "<ts> id1 Task timed out after 0.06 seconds", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms|Status: timeout",
		"START RequestId: id2 Version: $LATEST", "<ts> id2 Task timed out after 0.06 seconds", "END RequestId: id2",
		"REPORT RequestId: id2|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Status: timeout")
}

func TestAnEventIsGivenAgainWhenItsConnectionWasLost(t *testing.T) {
	free := make(chan struct{})
	b := newBox(func(p *proc) sandbox.ExitStatus {
		// It asks and loses the connection, first idle, then with the event in it.
		idle := p.dial()
		_ = idle.send("GET", api+"invocation/next", nil, "")
		<-free
		_ = idle.Close()
		lost, err := p.next()
		if err != nil {
			return sandbox.ExitStatus{}
		}
		_ = p.main.Close()
		p.main = nil
		again, err := p.next()
		if err != nil || again.id() != lost.id() {
			return sandbox.ExitStatus{Code: 6}
		}
		_, err = p.respond(again.id(), fmt.Sprintf("%q", again.header.Get("Lambda-Runtime-Invocation-Id")))
		for err == nil {
			_, err = p.next()
		}
		return sandbox.ExitStatus{}
	})
	r := start(t, b)
	r.free()
	close(free)
	o, err := r.Invoke(t.Context(), r.invocation("{}"))
	if err != nil || string(o.Payload) != `"attempt-1"` {
		t.Errorf("got %v, %v", o, err)
	}
}

func TestTheEndOfTheBoxIsNoticed(t *testing.T) {
	end := func(b *box) {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.gone)
	}
	t.Run("while the function runs", func(t *testing.T) {
		running := make(chan struct{})
		b := newBox(loop(func(p *proc, _ *reply) (string, error) {
			close(running)
			<-p.ctx.Done()
			return "", errors.New("killed")
		}))
		r := start(t, b)
		go func() {
			<-running
			end(b)
		}()
		o := r.invoke("{}")
		want := `{"errorType":"Sandbox.Failure","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: The execution environment ended unexpectedly"}`
		if !o.Failed || string(o.Payload) != want {
			t.Errorf("got %s", o.Payload)
		}
		r.over()
	})
	t.Run("while it is idle", func(t *testing.T) {
		b := newBox(loop(echo))
		r := start(t, b)
		r.free()
		end(b)
		r.over()
	})
	t.Run("during init", func(t *testing.T) {
		b := newBox(func(p *proc) sandbox.ExitStatus { <-p.ctx.Done(); return sandbox.ExitStatus{} })
		r := start(t, b)
		end(b)
		r.over()
	})
}

// over waits until Idle is closed and tries an invocation.
func (r *rig) over() {
	r.t.Helper()
	for {
		select {
		case _, ok := <-r.Idle():
			if ok {
				continue
			}
		case <-time.After(20 * time.Second):
			r.t.Fatal("the environment does not end")
		}
		break
	}
	if _, err := r.Invoke(r.t.Context(), r.invocation("{}")); kiln.CodeOf(err) != kiln.Unavailable {
		r.t.Errorf("got %v", err)
	}
	r.Rest() // harmless
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
	if s := r.State(); s != environment.Dead {
		r.t.Errorf("got state %s", s)
	}
	if orders := r.box.log(); orders[len(orders)-1] != "destroy" {
		r.t.Errorf("got %q", orders)
	}
}

func TestABoxThatCannotBeThawedIsGivenUpAndTheFunctionSawNothing(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b)
	r.free().Rest()
	poll(t, "frozen", func() bool { return r.State() == environment.Frozen })
	b.mu.Lock()
	b.thawErr = errors.New("stuck")
	b.mu.Unlock()
	if _, err := r.Invoke(t.Context(), r.invocation("{}")); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("got %v", err)
	}
	r.expect(initStart)
	r.over()
}

func TestABoxThatCannotStartAnythingIsGivenUp(t *testing.T) {
	b := newBox(loop(echo))
	b.startErr = func(string) error { return errors.New("no more processes") }
	r := start(t, b)
	r.over()
}

func poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
