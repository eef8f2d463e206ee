package environment_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

const extensionsAPI = "/2020-01-01/extension/"

// member is a registered extension: its connection and its identifier.
type member struct {
	*proc
	c  *client
	id string
}

// join registers an extension.
func (p *proc) join(name, events string) (*member, *reply) {
	c := p.dial()
	if c == nil {
		return nil, nil
	}
	answer, err := c.do("POST", extensionsAPI+"register", map[string]string{"Lambda-Extension-Name": name, "Lambda-Extension-Accept-Feature": "accountId"}, `{"events":[`+events+`]}`)
	if err != nil {
		return nil, nil
	}
	return &member{p, c, answer.header.Get("Lambda-Extension-Identifier")}, answer
}

// news is an event of an extension.
type news struct {
	EventType, RequestID, InvokedFunctionArn, ShutdownReason string
	DeadlineMS                                               int64
	Tracing                                                  struct{ Type, Value string }
}

// next waits for an event; nil is the end of the API.
func (m *member) next() *news {
	answer, err := m.c.do("GET", extensionsAPI+"event/next", map[string]string{"Lambda-Extension-Identifier": m.id}, "")
	if err != nil || answer.status != 200 {
		return nil
	}
	n := &news{}
	if json.Unmarshal(answer.body, n) != nil {
		return nil
	}
	return n
}

// fail gives an error; kind is init or exit.
func (m *member) fail(kind, errorType string) int {
	answer, err := m.c.do("POST", extensionsAPI+kind+"/error", map[string]string{"Lambda-Extension-Identifier": m.id, "Lambda-Extension-Function-Error-Type": errorType}, "{}")
	if err != nil {
		return 0
	}
	return answer.status
}

const both, onlyInvoke, onlyShutdown = `"INVOKE","SHUTDOWN"`, `"INVOKE"`, `"SHUTDOWN"`

// serve is an extension that does what it is told to, until SHUTDOWN.
func serve(events string, handle func(m *member, n *news)) func(*proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		m, answer := p.join(p.name, events)
		if m == nil || answer.status != 200 {
			return sandbox.ExitStatus{Code: 9}
		}
		for {
			n := m.next()
			if n == nil {
				return sandbox.ExitStatus{Code: 1}
			}
			if handle != nil {
				handle(m, n)
			}
			if n.EventType == "SHUTDOWN" {
				p.note("%s leaves: %s", p.name, n.ShutdownReason)
				return sandbox.ExitStatus{}
			}
		}
	}
}

// cast is a box in which each program is one of these; "bootstrap" is the runtime.
func cast(programs map[string]func(*proc) sandbox.ExitStatus) *box {
	return newBox(func(p *proc) sandbox.ExitStatus { return programs[p.name](p) })
}

// polite is a runtime that ends when it is told to.
func polite(handle func(p *proc, event *reply) (string, error)) func(*proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		go func() {
			select {
			case s := <-p.signals:
				p.note("bootstrap hears: %s", s)
				p.exit(sandbox.ExitStatus{})
			case <-p.ctx.Done():
			}
		}()
		return loop(handle)(p)
	}
}

// with gives an environment external extensions.
func with(names ...string) func(*environment.Options) {
	return func(o *environment.Options) { o.Extensions = names }
}

// orders gives what was asked of the box and what its processes noted, measures apart.
func (b *box) said() string {
	return strings.Join(slices.DeleteFunc(b.log(), func(s string) bool { return s == "usage" }), "\n")
}

func (r *rig) ordered(want ...string) {
	r.t.Helper()
	if got := r.box.said(); got != strings.Join(want, "\n") {
		r.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestExtensionsAreStartedBeforeTheRuntimeAndToldOfEveryInvocation(t *testing.T) {
	seen := make(chan *news, 10)
	registered := make(chan *reply, 1)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": polite(echo),
		"first": func(p *proc) sandbox.ExitStatus {
			m, answer := p.join("first", both)
			registered <- answer
			for {
				n := m.next()
				if n == nil || n.EventType == "SHUTDOWN" {
					return sandbox.ExitStatus{}
				}
				seen <- n
			}
		},
		"second": serve(onlyShutdown, nil),
	}), with("first", "second"))
	for i := range 3 {
		before := time.Now()
		if o := r.invoke(fmt.Sprint(i)); string(o.Payload) != fmt.Sprint(i) || o.Failed {
			t.Errorf("got %s", o.Payload)
		}
		n := <-seen
		if n.EventType != "INVOKE" || n.RequestID != fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1) || n.InvokedFunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:hello" ||
			n.Tracing.Type != "X-Amzn-Trace-Id" || n.Tracing.Value != "Root=1-5759e988-bd862e3fe1be46a994272793" || n.DeadlineMS < before.Add(2*time.Second).UnixMilli() {
			t.Errorf("got %+v", n)
		}
	}
	r.free()
	answer := <-registered
	if got := string(answer.body); got != `{"functionName":"hello","functionVersion":"$LATEST","handler":"function.handler","accountId":"123456789012"}` {
		t.Errorf("got %s", got)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(answer.header.Get("Lambda-Extension-Identifier")) {
		t.Errorf("got %v", answer.header)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r.ordered("start /opt/extensions/first", "start /opt/extensions/second", "start /var/task/bootstrap",
		"terminated bootstrap", "bootstrap hears: terminated", "second leaves: spindown", "kill", "destroy")
	if got := plain(r.sink.lines()[:4]); got != strings.Join([]string{
		initStart, "EXTENSION|Name: first|State: Ready|Events: [INVOKE, SHUTDOWN]", "EXTENSION|Name: second|State: Ready|Events: [SHUTDOWN]", "START RequestId: id1 Version: $LATEST",
	}, "\n") {
		t.Errorf("got log\n%s", got)
	}
}

func TestAnExtensionHasTheVariablesOfAWSAndNoOthers(t *testing.T) {
	envs := make(chan map[string]string, 2)
	dirs := make(chan string, 2)
	look := func(run func(*proc) sandbox.ExitStatus) func(*proc) sandbox.ExitStatus {
		return func(p *proc) sandbox.ExitStatus {
			envs <- p.env
			dirs <- p.dir
			return run(p)
		}
	}
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": look(loop(echo)), "x": look(serve(both, nil))}), with("x"), func(o *environment.Options) {
		o.Version.Config.Environment = map[string]string{"STAGE": "prod", "_HIDDEN": "1"}
		o.Runtime.Env = map[string]string{"PYTHONPATH": "/var/runtime"}
		o.Runtime.Family = "python"
	})
	r.free()
	extension, runtime := <-envs, <-envs
	if dir := <-dirs; dir != "/" {
		t.Errorf("it runs in %q", dir)
	}
	for _, name := range []string{
		"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "PYTHONPATH", "SHLVL", "PWD",
		"_LAMBDA_TELEMETRY_LOG_FD",
	} {
		if _, there := runtime[name]; !there {
			t.Errorf("the runtime itself has no %s", name)
		}
		if v, there := extension[name]; there {
			t.Errorf("an extension has %s=%s", name, v)
		}
		delete(runtime, name)
	}
	if fmt.Sprint(extension) != fmt.Sprint(runtime) || extension["STAGE"] != "prod" || extension["AWS_LAMBDA_RUNTIME_API"] == "" || extension["_HIDDEN"] != "" {
		t.Errorf("got  %v\nwant %v", extension, runtime)
	}
}

func TestWhatExtensionsPrintIsTheirs(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": loop(func(p *proc, _ *reply) (string, error) { p.print("function\n"); return "{}", nil }),
		"x": serve(both, func(m *member, n *news) {
			m.print("extension " + n.EventType + "\n")
		}),
	}), with("x"))
	r.invoke("{}")
	r.free()
	r.Close()
	kinds := map[string]telemetry.Type{}
	for _, e := range r.sink.all() {
		if e.Line != nil {
			kinds[string(e.Line)] = e.Type
		}
	}
	if kinds["function"] != telemetry.Line || kinds["extension INVOKE"] != telemetry.ExtensionLine || kinds["extension SHUTDOWN"] != telemetry.ExtensionLine {
		t.Errorf("got %v", kinds)
	}
}

func TestTheInvocationEndsWhenEveryExtensionThatWasToldAsksAgain(t *testing.T) {
	finish := make(chan struct{})
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": loop(echo),
		"slow":      serve(onlyInvoke, func(*member, *news) { <-finish }),
		"idle":      serve(onlyShutdown, nil),
	}), with("idle", "slow"))
	o := r.invoke(`"answer"`) // which does not wait for the extension
	if string(o.Payload) != `"answer"` || o.Failed {
		t.Errorf("got %s", o.Payload)
	}
	until(t, "the runtime is done", func() bool { return r.State() == environment.Responded })
	select {
	case <-r.Idle():
		t.Error("the slot is free while an extension works")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	r.free()
	for _, e := range r.sink.all() {
		if e.Type == telemetry.Report && e.Report.Duration < 50*time.Millisecond {
			t.Errorf("the extension's time is not in the report: %+v", e.Report)
		}
	}
	r.Rest()
	until(t, "it rests", func() bool { return r.State() == environment.Frozen })
	r.Close()
	r.ordered("start /opt/extensions/idle", "start /opt/extensions/slow", "start /var/task/bootstrap", "freeze", "thaw",
		"terminated bootstrap", "killed bootstrap", "killed slow", "idle leaves: spindown", "kill", "destroy")
}

func TestAnExtensionThatNeverAsksAgainTimesOutAfterTheAnswer(t *testing.T) {
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": polite(echo),
		"deaf":      serve(onlyInvoke, func(m *member, _ *news) { <-m.ctx.Done() }),
		"good":      serve(both, nil),
	}), with("deaf", "good"), func(o *environment.Options) { o.Version.Config.Timeout = 100 * time.Millisecond })
	if o := r.invoke("1"); string(o.Payload) != "1" || o.Failed {
		t.Errorf("got %s", o.Payload)
	}
	if o := r.invoke("2"); string(o.Payload) != "2" || o.Failed {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	var reports []string
	for _, e := range r.sink.all() {
		if e.Type == telemetry.Report {
			reports = append(reports, string(e.Report.Status))
		}
	}
	if got := strings.Join(reports, " "); got != "timeout timeout" {
		t.Errorf("got %s", got)
	}
	if got := r.box.said(); !strings.Contains(got, "terminated bootstrap\nbootstrap hears: terminated\nkilled deaf\ngood leaves: timeout\nkill\nstart /opt/extensions/deaf") && !strings.Contains(got, "good leaves: timeout\nstart /opt/extensions/deaf") {
		t.Errorf("got\n%s", got)
	}
}

// until waits for a state that somebody else brings about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond) // the environment's own pace, not the test's
	}
}

func TestInternalExtensionsAreToldAndWaitedFor(t *testing.T) {
	said := make(chan string, 20)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": func(p *proc) sandbox.ExitStatus {
			for _, c := range []struct{ name, events string }{{"in", onlyInvoke}, {"in", onlyInvoke}, {"out", onlyInvoke}, {"late", both}, {"quiet", ""}} {
				m, answer := p.join(c.name, c.events)
				said <- fmt.Sprint(c.name, " ", answer.status, " ", string(answer.body))
				if answer.status != 200 {
					continue
				}
				go func() {
					for n := m.next(); n != nil; n = m.next() {
						said <- c.name + " " + n.EventType
					}
				}()
			}
			return loop(func(p *proc, event *reply) (string, error) {
				_, answer := p.join("after", onlyInvoke)
				said <- fmt.Sprint("after ", answer.status, " ", string(answer.body))
				return "{}", nil
			})(p)
		},
		"out": serve(onlyShutdown, nil),
	}), with("out"))
	r.invoke("{}")
	r.free()
	got := make([]string, 7)
	for i := range got {
		got[i] = <-said
	}
	slices.Sort(got)
	want := []string{
		`after 403 {"errorMessage":"Extension registration closed already","errorType":"Extension.RegistrationClosed"}`,
		`in 200 {"functionName":"hello","functionVersion":"$LATEST","handler":"function.handler","accountId":"123456789012"}`,
		`in 403 {"errorMessage":"Extension with this name already registered","errorType":"Extension.InvalidExtensionState"}`,
		`in INVOKE`,
		`late 403 {"errorMessage":"SHUTDOWN: an internal extension cannot register for it","errorType":"Extension.InvalidEventType"}`,
		`out 403 # `,
		`quiet 200 {"functionName":"hello","functionVersion":"$LATEST","handler":"function.handler","accountId":"123456789012"}`,
	}
	got[5] = regexp.MustCompile(`\{.* from (Ready|Registered) to Registered failed for extension .*"Extension.InvalidExtensionState"\}`).ReplaceAllString(got[5], "# ")
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := plain(r.sink.lines()); !strings.Contains(got, "EXTENSION|Name: in|State: Ready|Events: [INVOKE]\nEXTENSION|Name: quiet|State: Ready|Events: []\nSTART") {
		t.Errorf("got log\n%s", got)
	}
}

func TestTheEleventhExtensionIsRefused(t *testing.T) {
	last := make(chan *reply, 2)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": func(p *proc) sandbox.ExitStatus {
			for i := range kiln.MaxExtensions - 1 {
				m, answer := p.join(fmt.Sprint("in", i), onlyInvoke)
				if answer.status != 200 {
					last <- answer
				} else {
					go func() {
						for m.next() != nil {
						}
					}()
				}
			}
			_, answer := p.join("eleventh", onlyInvoke)
			last <- answer
			return loop(echo)(p)
		},
		"out": serve(both, nil),
	}), with("out"))
	r.invoke("{}")
	r.free()
	if answer := <-last; answer.status != 403 || string(answer.body) != `{"errorMessage":"Extension limit (10) reached","errorType":"Extension.TooManyExtensions"}` {
		t.Errorf("got %d %s", answer.status, answer.body)
	}
}

func TestElevenFilesCannotAllBeStarted(t *testing.T) {
	programs := map[string]func(*proc) sandbox.ExitStatus{"bootstrap": loop(echo)}
	var names []string
	for i := range kiln.MaxExtensions + 1 {
		names = append(names, fmt.Sprintf("x%02d", i))
		programs[names[i]] = serve(both, nil)
	}
	r := start(t, cast(programs), with(names...))
	o := r.invoke("{}")
	if want := `{"errorType":"Extension.LaunchError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: Extension limit (10) reached"}`; string(o.Payload) != want {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	if got := plain(r.sink.lines()); !strings.Contains(got, "EXTENSION|Name: x10|State: LaunchError|Events: []|Error Type: TooManyExtensions\nINIT_REPORT Init Duration: # ms|Phase: init|Status: error|Error Type: Extension.LaunchError") {
		t.Errorf("got log\n%s", got)
	}
	if got := r.box.said(); strings.Contains(got, "x10") || strings.Contains(got, "bootstrap") {
		t.Errorf("got\n%s", got)
	}
}

func TestAnExtensionIsRefusedWhatItsStateDoesNotAllow(t *testing.T) {
	said := make(chan string, 20)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{
		"bootstrap": loop(echo),
		"x": func(p *proc) sandbox.ExitStatus {
			m, answer := p.join("y", both)
			said <- fmt.Sprint(answer.status, " ", string(answer.body))
			m = &member{p, m.c, "00000000-0000-4000-8000-000000000000"}
			for _, kind := range []string{"init", "exit"} {
				said <- fmt.Sprint(m.fail(kind, "X.Y"))
			}
			unknown, _ := m.c.do("GET", extensionsAPI+"event/next", map[string]string{"Lambda-Extension-Identifier": m.id}, "")
			said <- string(unknown.body)
			m, _ = p.join("x", both)
			m.next()
			said <- fmt.Sprint(m.fail("init", "X.Y"))
			m.next()
			return sandbox.ExitStatus{}
		},
	}), with("x"))
	r.invoke("{}")
	r.free()
	for _, want := range []string{
		`403 {"errorMessage":"There is no file of this name in /opt/extensions/","errorType":"Extension.InvalidExtensionName"}`,
		"403", "403", `{"errorMessage":"Unknown extension 00000000-0000-4000-8000-000000000000","errorType":"Extension.UnknownExtensionIdentifier"}`, "403",
	} {
		if got := <-said; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAFileThatCannotBeStartedFailsTheInit(t *testing.T) {
	for errno, errorType := range map[syscall.Errno]string{syscall.EACCES: "PermissionDenied", syscall.ENOEXEC: "UnknownError"} {
		b := cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": loop(echo), "good": serve(both, nil)})
		b.startErr = func(path string) error {
			if path == "/opt/extensions/x" {
				return &sandbox.StartError{Path: path, Err: errno}
			}
			return nil
		}
		r := start(t, b, with("good", "x"))
		o := r.invoke("{}")
		if want := `{"errorType":"Extension.LaunchError","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: fork/exec /opt/extensions/x: ` + errno.Error() + `"}`; string(o.Payload) != want {
			t.Errorf("got %s, want %s", o.Payload, want)
		}
		r.free()
		if got := plain(r.sink.lines()); !strings.Contains(got, "EXTENSION|Name: x|State: LaunchError|Events: []|Error Type: "+errorType+"\n") {
			t.Errorf("got log\n%s", got)
		}
		r.Close()
	}
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": loop(echo)}), with("a\nb"))
	if o := r.invoke("{}"); o.Report.ErrorType != "Extension.LaunchError" || !strings.Contains(string(o.Payload), `\"a\\nb\"`) {
		t.Errorf("got %s", o.Payload)
	}
}

func TestAFloodOfRegistrationsTakesTenInAndHarmsNobody(t *testing.T) {
	taken := make(chan int, 1)
	r := start(t, cast(map[string]func(*proc) sandbox.ExitStatus{"bootstrap": func(p *proc) sandbox.ExitStatus {
		n := 0
		c := p.dial()
		for i := range 5000 {
			answer, err := c.do("POST", extensionsAPI+"register", map[string]string{"Lambda-Extension-Name": fmt.Sprint("x", i)}, `{"events":["INVOKE"]}`)
			if err != nil {
				break
			}
			if answer.status == 200 {
				n++
				m := &member{p, p.dial(), answer.header.Get("Lambda-Extension-Identifier")}
				go func() {
					for m.next() != nil {
					}
				}()
			}
		}
		taken <- n
		return loop(echo)(p)
	}}))
	if o := r.invoke("1"); string(o.Payload) != "1" {
		t.Errorf("got %s", o.Payload)
	}
	if n := <-taken; n != kiln.MaxExtensions {
		t.Errorf("%d were taken in, want %d", n, kiln.MaxExtensions)
	}
	r.free()
	if n := strings.Count(strings.Join(r.sink.lines(), "\n"), "EXTENSION\t"); n != kiln.MaxExtensions {
		t.Errorf("the log has %d extensions", n)
	}
}
