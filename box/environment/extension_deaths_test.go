package environment_test

import (
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// tragedy is an environment with two extensions, of which "hero" dies in its first life
// in some way. Everybody else does as it is told.
type tragedy struct {
	*rig
	moment chan struct{} // closed for the hero to die
}

func stage(t *testing.T, hero func(p *proc, moment chan struct{}) sandbox.ExitStatus, runtime func(*proc) sandbox.ExitStatus) *tragedy {
	t.Helper()
	moment := make(chan struct{})
	first := make(chan struct{}, 1)
	first <- struct{}{}
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": runtime,
		"hero": func(p *proc) sandbox.ExitStatus {
			select {
			case <-first:
				return hero(p, moment)
			default:
				return serve(both, nil)(p)
			}
		},
		"witness": serve(both, nil),
	}), with("hero", "witness"))
	return &tragedy{r, moment}
}

// again checks that the next invocation is served by new processes in the same box, and
// that the witness was told why the old ones had to end.
func (s *tragedy) again(reason string) {
	s.t.Helper()
	if o := s.invoke(`"again"`); string(o.Payload) != `"again"` || o.Failed {
		s.t.Errorf("the next one got %s", o.Payload)
	}
	s.free()
	log := s.box.said()
	if reason != "" && !strings.Contains(log, "witness leaves: "+reason) {
		s.t.Errorf("the witness was not told of the end:\n%s", log)
	}
	if strings.Count(log, "start /opt/extensions/hero") != 2 || strings.Count(log, "destroy") != 0 {
		s.t.Errorf("got\n%s", log)
	}
}

func TestAnExtensionThatDiesInInitFailsIt(t *testing.T) {
	for name, c := range map[string]struct {
		hero       func(p *proc, moment chan struct{}) sandbox.ExitStatus
		typ, state string
		reason     string
		runtime    func(*proc) sandbox.ExitStatus
	}{
		"before it registers": {
			hero:  func(*proc, chan struct{}) sandbox.ExitStatus { return sandbox.ExitStatus{Code: 3} },
			typ:   "Extension.Crash",
			state: "Exited|Events: []",
		},
		"as soon as it has": {
			hero: func(p *proc, _ chan struct{}) sandbox.ExitStatus {
				p.join("hero", both)
				return sandbox.ExitStatus{}
			},
			typ:   "Extension.Crash",
			state: "Exited|Events: [INVOKE, SHUTDOWN]",
		},
		"with init/error": {
			hero: func(p *proc, _ chan struct{}) sandbox.ExitStatus {
				m, _ := p.join("hero", both)
				if status := m.fail("init", "Hero.Tired"); status != 202 {
					t.Errorf("got %d", status)
				}
				return sandbox.ExitStatus{Code: 1}
			},
			typ:   "Extension.InitError",
			state: "InitError|Events: [INVOKE, SHUTDOWN]|Error Type: Hero.Tired",
		},
		"with init/error, and it does not end": {
			hero: func(p *proc, _ chan struct{}) sandbox.ExitStatus {
				m, _ := p.join("hero", "")
				m.fail("init", "Hero.Tired")
				<-p.ctx.Done()
				return sandbox.ExitStatus{}
			},
			typ:   "Extension.InitError",
			state: "InitError|Events: []|Error Type: Hero.Tired",
		},
		"with exit/error": {
			hero: func(p *proc, _ chan struct{}) sandbox.ExitStatus {
				m, _ := p.join("hero", both)
				m.fail("exit", "Hero.Fell")
				return sandbox.ExitStatus{Code: 1}
			},
			typ:   "Extension.ExitError",
			state: "ExitError|Events: [INVOKE, SHUTDOWN]|Error Type: Hero.Fell",
		},
		"while the runtime starts": {
			hero: func(p *proc, moment chan struct{}) sandbox.ExitStatus {
				m, _ := p.join("hero", both)
				go m.next()
				<-moment
				return sandbox.ExitStatus{Signal: 11}
			},
			typ:    "Extension.Crash",
			state:  "Exited|Events: [INVOKE, SHUTDOWN]",
			reason: "failure",
			runtime: func(p *proc) sandbox.ExitStatus {
				if p.env["AWS_LAMBDA_RUNTIME_API"] == "" {
					return sandbox.ExitStatus{Code: 1}
				}
				return polite(echo)(p)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			runtime := polite(echo)
			var s *tragedy
			if c.runtime != nil {
				started := make(chan struct{}, 2)
				runtime = func(p *proc) sandbox.ExitStatus {
					started <- struct{}{}
					if len(p.box.log()) < 4 { // the first of all runtimes never asks
						select {
						case <-p.signals:
						case <-p.ctx.Done():
						}
						return sandbox.ExitStatus{}
					}
					return c.runtime(p)
				}
				s = stage(t, c.hero, runtime)
				<-started
				close(s.moment)
			} else {
				s = stage(t, c.hero, runtime)
			}
			s.again(c.reason)
			if got := plain(s.sink.lines()); !strings.Contains(got, "EXTENSION|Name: hero|State: "+c.state+"\n") || !strings.Contains(got, "INIT_REPORT Init Duration: # ms|Phase: init|Status: error|Error Type: "+c.typ+"\n") {
				t.Errorf("got log\n%s", got)
			}
		})
	}
}

func TestAnExtensionThatDiesInEveryInitFailsTheInvocation(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": loop(echo), "x": func(*proc) sandbox.ExitStatus { return sandbox.ExitStatus{Code: 3} },
	}), with("x"))
	for range 2 {
		o := r.invoke("{}")
		if !o.Failed || !strings.HasSuffix(string(o.Payload), ` Error: exit status 3"}`) || !strings.HasPrefix(string(o.Payload), `{"errorType":"Extension.Crash",`) || o.Report.ErrorType != "Extension.Crash" {
			t.Errorf("got %s, %+v", o.Payload, o.Report)
		}
	}
	r.free()
	got := plain(r.sink.lines())
	if !strings.Contains(got, "INIT_REPORT Init Duration: # ms|Phase: invoke|Status: error|Error Type: Extension.Crash\nSTART RequestId: id1 Version: $LATEST\nRequestId: id1 Error: exit status 3\nExtension.Crash\nEND RequestId: id1\nREPORT RequestId: id1|") || !strings.Contains(got, "|Status: error|Error Type: Extension.Crash") {
		t.Errorf("got log\n%s", got)
	}
}

func TestAnExtensionThatDiesInAnInvocationFailsIt(t *testing.T) {
	for name, c := range map[string]struct {
		last func(m *member) sandbox.ExitStatus
		want string
	}{
		"with a code":     {func(*member) sandbox.ExitStatus { return sandbox.ExitStatus{Code: 1} }, `{"errorType":"Extension.Crash","errorMessage":"RequestId: id1 Error: exit status 1"}`},
		"without a word":  {func(*member) sandbox.ExitStatus { return sandbox.ExitStatus{} }, `{"errorType":"Extension.Crash","errorMessage":"RequestId: id1 Error: exit code 0"}`},
		"by a signal":     {func(*member) sandbox.ExitStatus { return sandbox.ExitStatus{Signal: 9} }, `{"errorType":"Extension.Crash","errorMessage":"RequestId: id1 Error: signal: killed"}`},
		"with exit/error": {func(m *member) sandbox.ExitStatus { m.fail("exit", "Hero.Fell"); return sandbox.ExitStatus{Code: 1} }, `{"errorType":"Extension.ExitError","errorMessage":"RequestId: id1 Error: Hero.Fell"}`},
		"with exit/error, alive": {func(m *member) sandbox.ExitStatus {
			m.fail("exit", "Hero.Fell")
			for n := m.next(); n != nil; n = m.next() {
				m.note("an event after exit/error")
			}
			return sandbox.ExitStatus{Code: 1}
		}, `{"errorType":"Extension.ExitError","errorMessage":"RequestId: id1 Error: Hero.Fell"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, func(p *proc, _ chan struct{}) sandbox.ExitStatus {
				m, _ := p.join("hero", both)
				m.next()
				return c.last(m)
			}, polite(func(p *proc, event *reply) (string, error) {
				if string(event.body) != `"again"` {
					<-p.ctx.Done() // the answer never comes
				}
				return string(event.body), nil
			}))
			o := s.invoke(`"first"`)
			if got := plain([]string{string(o.Payload)}); got != c.want || !o.Failed || o.Report.Status != kiln.StatusFailure {
				t.Errorf("got %s, %+v", got, o.Report)
			}
			s.again("failure")
			if strings.Contains(s.box.said(), "an event after") {
				t.Error("it was given an event")
			}
		})
	}
}

func TestAnExtensionThatDiesAfterTheAnswerLeavesTheAnswer(t *testing.T) {
	s := stage(t, func(p *proc, moment chan struct{}) sandbox.ExitStatus {
		m, _ := p.join("hero", both)
		m.next()
		<-moment
		return sandbox.ExitStatus{Code: 1}
	}, polite(echo))
	if o := s.invoke(`"first"`); string(o.Payload) != `"first"` || o.Failed {
		t.Errorf("got %s", o.Payload)
	}
	close(s.moment)
	s.again("failure")
	for _, e := range s.sink.all() {
		if e.Type == telemetry.Report {
			if e.Report.ErrorType != "Extension.Crash" {
				t.Errorf("got %+v", e.Report)
			}
			break
		}
	}
}

func TestAnExtensionThatDiesBetweenInvocationsIsReplaced(t *testing.T) {
	for _, rested := range []bool{false, true} {
		s := stage(t, func(p *proc, moment chan struct{}) sandbox.ExitStatus {
			m, _ := p.join("hero", both)
			go m.next()
			<-moment
			return sandbox.ExitStatus{Code: 1}
		}, polite(echo))
		s.free()
		if rested {
			s.Rest()
			until(t, "it rests", func() bool { return s.State() == environment.Frozen })
		}
		close(s.moment)
		// The token is still good, whether the death is known by now or not.
		o, err := s.Invoke(t.Context(), s.invocation(`"first"`))
		if err != nil || string(o.Payload) != `"first"` && o.Report.ErrorType != "Extension.Crash" {
			t.Errorf("got %v, %v", o, err)
		}
		s.again("failure")
		if rested && !strings.Contains(s.box.said(), "freeze\nthaw\n") {
			t.Errorf("nobody was thawed to end\n%s", s.box.said())
		}
	}
}

func TestAnInvocationWaitsForTheFarewellsBeforeIt(t *testing.T) {
	leave := make(chan struct{})
	s := stage(t, func(p *proc, moment chan struct{}) sandbox.ExitStatus {
		m, _ := p.join("hero", both)
		go m.next()
		<-moment
		return sandbox.ExitStatus{Code: 1}
	}, func(p *proc) sandbox.ExitStatus {
		go func() {
			select {
			case <-p.signals:
				<-leave
				p.exit(sandbox.ExitStatus{})
			case <-p.ctx.Done():
			}
		}()
		return loop(echo)(p)
	})
	s.free()
	close(s.moment)
	until(t, "the runtime is told", func() bool { return s.State() == environment.Stopping })
	done := make(chan *kiln.Outcome, 1)
	inv := s.invocation(`"held"`)
	go func() {
		o, err := s.Invoke(t.Context(), inv)
		if err != nil {
			t.Error(err)
		}
		done <- o
	}()
	select {
	case <-done:
		t.Error("it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	if o := <-done; o == nil || string(o.Payload) != `"held"` || o.Failed {
		t.Errorf("got %v", o)
	}
	s.free()
	select {
	case <-s.Idle():
		t.Error("one slot gave two tokens")
	case <-time.After(20 * time.Millisecond):
	}
	if got := s.box.said(); !strings.Contains(got, "witness leaves: failure") {
		t.Errorf("got\n%s", got)
	}
}
