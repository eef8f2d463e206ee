package environment_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

// failing is a runtime that posts init/error in its first processes.
func failing(times int, then func(p *proc) sandbox.ExitStatus) func(p *proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		if p.nth > times {
			return then(p)
		}
		p.print("cannot load\n")
		if _, err := p.failInit("Runtime.ImportModuleError", `{"errorMessage":"Unable to import module 'x'","errorType":"Runtime.ImportModuleError"}`); err != nil {
			return sandbox.ExitStatus{Code: 9}
		}
		return sandbox.ExitStatus{Code: 1}
	}
}

func TestAFailedInitIsRetriedInsideTheFirstInvocation(t *testing.T) {
	r := start(t, newBox(failing(1, loop(echo))))
	if o := r.invoke("1"); o.Failed || string(o.Payload) != "1" || o.Report.Init != 0 {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	r.free()
	r.expect(initStart, "cannot load", "INIT_REPORT Init Duration: # ms|Phase: init|Status: error|Error Type: Runtime.ImportModuleError",
		"START RequestId: id1 Version: $LATEST", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
}

func TestWhenTheRetryFailsAsWellTheCallerGetsTheInitError(t *testing.T) {
	r := start(t, newBox(failing(3, loop(echo))))
	for range 2 {
		inv := r.invocation("{}")
		inv.WantTail = true
		o, err := r.free().Invoke(t.Context(), inv)
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"errorMessage":"Unable to import module 'x'","errorType":"Runtime.ImportModuleError"}`; !o.Failed || string(o.Payload) != want || o.Report.Status != kiln.StatusFailure {
			t.Errorf("got %s, %+v", o.Payload, o.Report)
		}
		if !strings.Contains(string(o.Tail), "cannot load\n") {
			t.Errorf("the tail does not say why: %q", o.Tail)
		}
	}
	if o := r.invoke("1"); string(o.Payload) != "1" {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	fail := func(id string) []string {
		return []string{"cannot load", "INIT_REPORT Init Duration: # ms|Phase: invoke|Status: error|Error Type: Runtime.ImportModuleError",
			"START RequestId: " + id + " Version: $LATEST", "END RequestId: " + id,
			"REPORT RequestId: " + id + "|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Status: error|Error Type: Runtime.ImportModuleError"}
	}
	want := append([]string{initStart, "cannot load", "INIT_REPORT Init Duration: # ms|Phase: init|Status: error|Error Type: Runtime.ImportModuleError"}, fail("id1")...)
	want = append(append(want, fail("id2")...), "START RequestId: id3 Version: $LATEST", "END RequestId: id3",
		"REPORT RequestId: id3|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
	r.expect(want...)
	for _, e := range r.sink.all() {
		if text := string(e.Line); text == "cannot load" && e.RequestID != "" && !strings.HasSuffix(e.RequestID, "1") && !strings.HasSuffix(e.RequestID, "2") {
			t.Errorf("a line of an init belongs to %q", e.RequestID)
		}
	}
}

func TestARuntimeThatLingersAfterInitErrorIsEnded(t *testing.T) {
	b := newBox(func(p *proc) sandbox.ExitStatus {
		if _, err := p.failInit("Function.Broken", `{}`); err != nil {
			return sandbox.ExitStatus{}
		}
		<-p.ctx.Done()
		return sandbox.ExitStatus{}
	})
	r := start(t, b)
	o := r.invoke("{}")
	if !o.Failed || string(o.Payload) != `{}` || o.Report.ErrorType != "Function.Broken" {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	if o.Report.Duration >= 3*time.Second {
		t.Errorf("it was waited for until the timeout: %v", o.Report.Duration)
	}
}

func TestAnExitDuringInitIsToldInAWSsWords(t *testing.T) {
	for _, c := range []struct {
		status sandbox.ExitStatus
		text   string
	}{
		{sandbox.ExitStatus{Code: 0}, "Runtime exited without providing a reason"},
		{sandbox.ExitStatus{Code: 127}, "Runtime exited with error: exit status 127"},
		{sandbox.ExitStatus{Signal: 9}, "Runtime exited with error: signal: killed"},
		{sandbox.ExitStatus{Signal: 11}, "Runtime exited with error: signal: segmentation fault"},
	} {
		r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
			p.print("goodbye\n")
			return c.status
		}))
		o := r.invoke("{}")
		want := `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: ` + c.text + `"}`
		if !o.Failed || string(o.Payload) != want || o.Report.Status != kiln.StatusFailure {
			t.Errorf("got %s, %+v, want %s", o.Payload, o.Report, want)
		}
		r.free()
		r.expect(initStart, "goodbye", "INIT_REPORT Init Duration: # ms|Phase: init|Status: error|Error Type: Runtime.ExitError",
			"goodbye", "INIT_REPORT Init Duration: # ms|Phase: invoke|Status: error|Error Type: Runtime.ExitError",
			"START RequestId: id1 Version: $LATEST", "RequestId: id1 Error: "+c.text+"\nRuntime.ExitError", "END RequestId: id1",
			"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Status: error|Error Type: Runtime.ExitError")
	}
}

func TestAnInitThatTakesTooLongIsRetriedUnderTheFunctionsTimeout(t *testing.T) {
	b := newBox(func(p *proc) sandbox.ExitStatus {
		<-p.ctx.Done()
		return sandbox.ExitStatus{}
	})
	r := start(t, b, func(o *environment.Options) {
		o.InitTimeout = 30 * time.Millisecond
		o.Version.Config.Timeout = 60 * time.Millisecond
	})
	o := r.invoke("{}")
	want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Task timed out after 0.06 seconds"}`
	if !o.Failed || string(o.Payload) != want || o.Report.Status != kiln.StatusTimeout || o.Report.Duration < 60*time.Millisecond {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	r.free()
	r.expect(initStart, "INIT_REPORT Init Duration: # ms|Phase: init|Status: timeout",
		"INIT_REPORT Init Duration: # ms|Phase: invoke|Status: timeout",
		"START RequestId: id1 Version: $LATEST", "<ts> id1 Task timed out after 0.06 seconds", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Status: timeout")
}

func TestTheTimeOfASuppressedInitCounts(t *testing.T) {
	var deadline string
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		if p.nth == 1 {
			return sandbox.ExitStatus{Code: 1}
		}
		time.Sleep(50 * time.Millisecond) // the init's own pace
		return loop(func(_ *proc, event *reply) (string, error) {
			deadline = event.header.Get("Lambda-Runtime-Deadline-Ms")
			return "1", nil
		})(p)
	}))
	r.free()
	began := time.Now()
	o, err := r.Invoke(t.Context(), r.invocation("{}"))
	if err != nil || o.Failed {
		t.Fatalf("got %v, %v", o, err)
	}
	if o.Report.Duration < 50*time.Millisecond || o.Report.Init != 0 {
		t.Errorf("got %+v", o.Report)
	}
	if first, last := began.Add(3*time.Second).UnixMilli(), began.Add(3*time.Second+45*time.Millisecond).UnixMilli(); len(deadline) != 13 || deadline < itoa(first) || deadline > itoa(last) {
		t.Errorf("the deadline %s does not count from the start of the init at %d", deadline, began.UnixMilli())
	}
}

func TestAProgramThatCannotBeExecuted(t *testing.T) {
	bootstrap := []string{"/var/task/bootstrap"}
	python := []string{"/var/lang/bin/python3.11", "/var/runtime/bootstrap.py"}
	for _, c := range []struct {
		name    string
		family  string
		command []string
		wrapper string
		errs    map[string]error
		answer  string // type and message
		tried   string
	}{
		{"no bootstrap", "provided", bootstrap, "", map[string]error{"/var/task/bootstrap": syscall.ENOENT, "/opt/bootstrap": syscall.ENOENT},
			"Runtime.InvalidEntrypoint Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]", "/var/task/bootstrap /opt/bootstrap"},
		{"a bootstrap in a layer", "provided", bootstrap, "", map[string]error{"/var/task/bootstrap": syscall.ENOENT}, "", "/var/task/bootstrap /opt/bootstrap"},
		{"not executable", "provided", bootstrap, "", map[string]error{"/var/task/bootstrap": syscall.EACCES},
			"Runtime.InvalidEntrypoint fork/exec /var/task/bootstrap: permission denied", "/var/task/bootstrap"},
		{"another machine's", "provided", bootstrap, "", map[string]error{"/var/task/bootstrap": syscall.ENOEXEC},
			"Runtime.InvalidEntrypoint fork/exec /var/task/bootstrap: exec format error", "/var/task/bootstrap"},
		{"no interpreter", "python", python, "", map[string]error{python[0]: syscall.ENOENT},
			"Runtime.InvalidEntrypoint fork/exec /var/lang/bin/python3.11: no such file or directory", python[0]},
		{"no wrapper", "python", python, "/opt/wrapper", map[string]error{"/opt/wrapper": syscall.ENOENT},
			"Runtime.ExitError Runtime exited with error: exit status 127", "/opt/wrapper"},
		{"a wrapper that is no program", "python", python, "/opt/wrapper", map[string]error{"/opt/wrapper": syscall.EACCES},
			"Runtime.ExitError Runtime exited with error: exit status 126", "/opt/wrapper"},
		{"a wrapper", "python", python, "/opt/wrapper", nil, "", "/opt/wrapper"},
		{"a wrapper for a custom runtime", "provided", bootstrap, "/opt/wrapper", nil, "", "/var/task/bootstrap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(loop(echo))
			var tried []string
			b.startErr = func(path string) error {
				tried = append(tried, path)
				if err := c.errs[path]; err != nil {
					return &sandbox.StartError{Path: path, Err: err}
				}
				return nil
			}
			r := start(t, b, func(o *environment.Options) {
				o.Runtime.Family, o.Runtime.Identifier, o.Runtime.Command = c.family, c.family, c.command
				if c.wrapper != "" {
					o.Version.Config.Environment = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": c.wrapper}
				}
			})
			r.free()
			b.mu.Lock()
			got := strings.Join(tried, " ")
			b.mu.Unlock()
			if got != c.tried {
				t.Errorf("tried %s, want %s", got, c.tried)
			}
			o, err := r.Invoke(t.Context(), r.invocation("1"))
			if err != nil {
				t.Fatal(err)
			}
			if c.answer == "" {
				if o.Failed {
					t.Errorf("got %s", o.Payload)
				}
				return
			}
			errorType, message, _ := strings.Cut(c.answer, " ")
			want := `{"errorType":"` + errorType + `","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: ` + message + `"}`
			if !o.Failed || string(o.Payload) != want {
				t.Errorf("got  %s\nwant %s", o.Payload, want)
			}
		})
	}
}

func TestTheWrapperGetsTheCommandAsItsArguments(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b, func(o *environment.Options) {
		o.Runtime.Family, o.Runtime.Command = "python", []string{"/var/lang/bin/python3.11", "/var/runtime/bootstrap.py"}
		o.Version.Config.Environment = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}
	})
	r.free()
	if got := b.log()[0]; got != "start /opt/wrapper /var/lang/bin/python3.11 /var/runtime/bootstrap.py" {
		t.Errorf("got %q", got)
	}
}

func TestAnAddressThatIsStillTakenIsWaitedFor(t *testing.T) {
	b := newBox(loop(echo))
	b.taken = 5
	if o := start(t, b).invoke("1"); o.Failed {
		t.Errorf("got %s", o.Payload)
	}
}
