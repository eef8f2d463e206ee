package environment_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/box/environment"
	"kiln/box/sandbox"
)

// took checks that something took at least some time, and not as long as what it must
// not have waited for.
func took(t *testing.T, what string, since time.Time, least, below time.Duration) {
	t.Helper()
	if d := time.Since(since); d < least || d >= below {
		t.Errorf("%s took %v, want at least %v and less than %v", what, d, least, below)
	}
}

// obstinate is a runtime that hears SIGTERM and goes on.
func obstinate(p *proc) sandbox.ExitStatus {
	go func() {
		for {
			select {
			case s := <-p.signals:
				p.note("bootstrap hears: %s", s)
			case <-p.ctx.Done():
				return
			}
		}
	}()
	return loop(echo)(p)
}

// internal is a runtime with an extension inside that does nothing.
func internal(next func(*proc) sandbox.ExitStatus) func(*proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		m, _ := p.join("inside", "")
		go m.next()
		return next(p)
	}
}

func TestTheTimeToEndIsThatOfAWS(t *testing.T) {
	sigterm := func(o *environment.Options) { o.Version.Config.SigTERM = true }
	const patience = 20 * time.Second // far longer than any of the times, for a busy machine
	for name, c := range map[string]struct {
		programs    map[string]func(*proc) sandbox.ExitStatus
		change      func(*environment.Options)
		least, most time.Duration
		want        string
	}{
		"nobody registered": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": obstinate}, with(), 0, patience,
			"start bootstrap, kill, destroy",
		},
		"an internal extension: 150 ms for the runtime": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": internal(obstinate)}, with(), 150 * time.Millisecond, patience,
			"start bootstrap, terminated bootstrap, bootstrap hears: terminated, killed bootstrap, kill, destroy",
		},
		"an external extension: 600 ms for the runtime": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": obstinate, "x": serve(both, nil)}, with("x"), 600 * time.Millisecond, patience,
			"start x, start bootstrap, terminated bootstrap, bootstrap hears: terminated, killed bootstrap, x leaves: spindown, kill, destroy",
		},
		"and 2,000 ms for both": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": obstinate, "x": func(p *proc) sandbox.ExitStatus {
				m, _ := p.join("x", both)
				p.note("x is told: %s", m.next().ShutdownReason)
				<-p.ctx.Done()
				return sandbox.ExitStatus{}
			}}, with("x"), 2000 * time.Millisecond, patience,
			"start x, start bootstrap, terminated bootstrap, bootstrap hears: terminated, killed bootstrap, x is told: spindown, kill, destroy",
		},
		"an extension that did not register for SHUTDOWN has no time": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": polite(echo), "x": serve(onlyInvoke, nil)}, with("x"), 0, patience,
			"start x, start bootstrap, terminated bootstrap, bootstrap hears: terminated, killed x, kill, destroy",
		},
		"SIGTERM without an extension": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": polite(echo)}, sigterm, 0, patience,
			"start bootstrap, terminated bootstrap, bootstrap hears: terminated, kill, destroy",
		},
		"SIGTERM without an extension: 2,000 ms": {
			map[string]func(*proc) sandbox.ExitStatus{"bootstrap": obstinate}, sigterm, 2000 * time.Millisecond, patience,
			"start bootstrap, terminated bootstrap, bootstrap hears: terminated, killed bootstrap, kill, destroy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, cast(c.programs), c.change)
			r.free()
			began := time.Now()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			took(t, "the end", began, c.least, c.most)
			got := strings.NewReplacer("/opt/extensions/", "", "/var/task/", "", "\n", ", ").Replace(r.box.said())
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestThoseWhoMayEndAreThawedAndOthersAreNot(t *testing.T) {
	for _, c := range []struct {
		change func(*environment.Options)
		want   string
	}{
		{with(), "start /var/task/bootstrap, freeze, kill, destroy"},
		{func(o *environment.Options) { o.Version.Config.SigTERM = true }, "start /var/task/bootstrap, freeze, thaw, terminated bootstrap, bootstrap hears: terminated, kill, destroy"},
	} {
		r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": polite(echo)}), c.change)
		r.free()
		r.Rest()
		until(t, "it rests", func() bool { return r.State() == environment.Frozen })
		r.Close()
		if got := strings.ReplaceAll(r.box.said(), "\n", ", "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestATimeoutGivesEverybodyTheTimeToEndAndKeepsTheBox(t *testing.T) {
	stuck := func(p *proc, event *reply) (string, error) {
		if string(event.body) == `"stuck"` {
			<-p.ctx.Done()
		}
		return string(event.body), nil
	}
	deadline := make(chan time.Duration, 4)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": polite(stuck),
		"x": serve(both, func(m *member, n *news) {
			if n.EventType == "SHUTDOWN" {
				deadline <- time.Until(time.UnixMilli(n.DeadlineMS))
			}
			m.print("told of " + n.EventType + "\n")
		}),
	}), with("x"), func(o *environment.Options) { o.Version.Config.Timeout = 100 * time.Millisecond })
	inv := r.invocation(`"stuck"`)
	inv.WantTail = true
	o, err := r.free().Invoke(t.Context(), inv)
	if err != nil || !strings.Contains(string(o.Payload), "Task timed out after 0.10 seconds") || !strings.Contains(string(o.Tail), "REPORT RequestId") {
		t.Fatalf("got %+v, %v", o, err)
	}
	if strings.Contains(string(o.Tail), "SHUTDOWN") {
		t.Errorf("the caller waited for the farewells:\n%s", o.Tail)
	}
	if o := r.invoke(`"well"`); string(o.Payload) != `"well"` {
		t.Errorf("got %s", o.Payload)
	}
	if d := <-deadline; d <= 0 || d > 2*time.Second {
		t.Errorf("the extension was told to end within %v", d)
	}
	r.free()
	r.ordered("start /opt/extensions/x", "start /var/task/bootstrap", "terminated bootstrap", "bootstrap hears: terminated", "x leaves: timeout", "kill",
		"start /opt/extensions/x", "start /var/task/bootstrap")
}

func TestACrashWithoutExtensionsWaitsForNobody(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": loop(func(p *proc, event *reply) (string, error) {
		if string(event.body) == "1" {
			p.exit(sandbox.ExitStatus{Code: 7})
		}
		return "{}", nil
	})}), func(o *environment.Options) { o.Version.Config.SigTERM = true })
	if o := r.invoke("1"); o.Report.ErrorType != "Runtime.ExitError" {
		t.Errorf("got %+v", o.Report)
	}
	r.invoke("2")
	r.free()
	if got := r.box.said(); strings.Contains(got, syscall.SIGTERM.String()) {
		t.Errorf("a dead process was told to end\n%s", got)
	}
}

func TestACrashOfTheRuntimeTellsTheExtensions(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": func(p *proc) sandbox.ExitStatus {
			go func() { <-p.signals }()
			return loop(func(p *proc, event *reply) (string, error) {
				if string(event.body) == "1" {
					p.exit(sandbox.ExitStatus{Code: 7})
				}
				return string(event.body), nil
			})(p)
		},
		"x": serve(both, nil),
	}), with("x"))
	if o := r.invoke("1"); o.Report.ErrorType != "Runtime.ExitError" || !strings.Contains(string(o.Payload), "exit status 7") {
		t.Errorf("got %s", o.Payload)
	}
	if o := r.invoke("2"); string(o.Payload) != "2" {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	if got := r.box.said(); !strings.Contains(got, "x leaves: failure") || strings.Contains(got, "terminated") {
		t.Errorf("got\n%s", got)
	}
}

func TestPartWaitsForTheFarewellsAndLeavesTheBox(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": polite(echo), "x": serve(both, nil)}), with("x"))
	r.free()
	r.Part()
	r.Part()
	if got := r.box.said(); !strings.HasSuffix(got, "x leaves: spindown") {
		t.Errorf("got\n%s", got)
	}
	if _, err := r.Invoke(t.Context(), r.invocation("{}")); err == nil {
		t.Error("it takes an invocation")
	}
	r.Close()
	if got := r.box.said(); !strings.HasSuffix(got, "destroy") {
		t.Errorf("got\n%s", got)
	}
	r.Part() // and is over
}

func TestClosingDuringAnInvocationTellsEverybody(t *testing.T) {
	running := make(chan struct{})
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": polite(func(p *proc, _ *reply) (string, error) { close(running); <-p.ctx.Done(); return "", nil }),
		"x":         serve(both, nil),
	}), with("x"))
	r.free()
	inv := r.invocation("{}")
	go func() {
		<-running
		r.Close()
	}()
	if o, err := r.Invoke(t.Context(), inv); err == nil || o != nil {
		t.Errorf("got %+v, %v", o, err)
	}
	r.Close()
	r.ordered("start /opt/extensions/x", "start /var/task/bootstrap", "terminated bootstrap", "bootstrap hears: terminated", "x leaves: spindown", "kill", "destroy")
}
