package environment_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// receiver is where an extension gets its telemetry.
type receiver struct {
	*httptest.Server
	t      testing.TB
	arrive chan struct{} // a token for each batch

	mu     sync.Mutex
	events []telemetryEvent
	done   chan struct{} // a token for each runtime that is done
	block  chan struct{} // not nil: every request waits for it
}

type telemetryEvent struct {
	Time   time.Time
	Type   string
	Record json.RawMessage
}

func newReceiver(t testing.TB) *receiver {
	l := &receiver{t: t, arrive: make(chan struct{}, 1000), done: make(chan struct{}, 100)}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *receiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var batch []telemetryEvent
	if err := json.Unmarshal(body, &batch); err != nil {
		l.t.Errorf("%v: %s", err, body)
	}
	l.mu.Lock()
	block := l.block
	l.events = append(l.events, batch...)
	l.mu.Unlock()
	for _, e := range batch {
		if e.Type == "platform.runtimeDone" {
			l.done <- struct{}{}
		}
	}
	l.arrive <- struct{}{}
	if block != nil {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	}
}

// types gives the types of the events that arrived, and the texts of lines.
func (l *receiver) types() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, e := range l.events {
		s := strings.TrimPrefix(e.Type, "platform.")
		if e.Type == "function" {
			s += string(e.Record)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// wait waits until the events are these.
func (l *receiver) wait(want string) {
	l.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if got := l.types(); got == want {
			return
		}
		select {
		case <-l.arrive:
		case <-deadline:
			l.t.Fatalf("got  %s\nwant %s", l.types(), want)
		}
	}
}

// record gives the record of the first event of a type.
func (l *receiver) record(typ string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Type == typ {
			return string(e.Record)
		}
	}
	return ""
}

// subscription writes a request for everything.
func (l *receiver) subscription(schema string, timeout int) string {
	_, port, _ := net.SplitHostPort(l.Listener.Addr().String())
	return fmt.Sprintf(`{"schemaVersion":"%s","types":["platform","function","extension"],"buffering":{"timeoutMs":%d},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:%s"}}`, schema, timeout, port)
}

const (
	telemetryPath = "/2022-07-01/telemetry"
	logsPath      = "/2020-08-15/logs"
)

// subscribe asks for telemetry and gives status and body.
func (p *proc) subscribe(path, id, body string) string {
	answer, err := p.conn().do("PUT", path, map[string]string{"Lambda-Extension-Identifier": id}, body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(answer.status, " ", string(answer.body))
}

// enlist registers an internal extension, which asks for its events on a connection of
// its own as long as there are any, and gives its identifier. Before it asks again it
// waits until the receivers know that the runtime is done.
func (p *proc) enlist(name string, told ...*receiver) string {
	c := p.dial()
	answer, err := c.do("POST", "/2020-01-01/extension/register", map[string]string{"Lambda-Extension-Name": name}, `{"events":["INVOKE"]}`)
	if err != nil || answer.status != 200 {
		return ""
	}
	id := answer.header.Get("Lambda-Extension-Identifier")
	go func() {
		for {
			if _, err := c.do("GET", "/2020-01-01/extension/event/next", map[string]string{"Lambda-Extension-Identifier": id}, ""); err != nil {
				return // the process has ended
			}
			for _, l := range told {
				select {
				case <-l.done:
				case <-p.ctx.Done():
					return
				}
			}
		}
	}()
	return id
}

func TestASubscriberGetsEveryEventInItsOrder(t *testing.T) {
	l := newReceiver(t)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		p.print("early\n")
		if got := p.subscribe(telemetryPath, p.enlist("first"), l.subscription("2022-12-13", 25)); got != `200 "OK"` {
			t.Errorf("got %s", got)
		}
		return loop(func(p *proc, event *reply) (string, error) {
			p.print("in " + event.id()[35:] + "\n")
			return `"four"`, nil
		})(p)
	}))
	r.invoke("{}")
	const init = `initStart function"early" telemetrySubscription extension initRuntimeDone initReport`
	l.wait(init + ` start function"in 1" runtimeDone report`)
	var done struct {
		RequestID string
		Status    string
		Spans     []struct{ Name string }
		Metrics   struct {
			DurationMs    float64
			ProducedBytes int
		}
		Tracing struct{ Value string }
	}
	if err := json.Unmarshal([]byte(l.record("platform.runtimeDone")), &done); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %v %d %v %s", done.Status, done.Spans, done.Metrics.ProducedBytes, done.Metrics.DurationMs > 0, done.Tracing.Value); got !=
		"success [{responseLatency} {responseDuration} {runtimeOverhead}] 6 true Root=1-5759e988-bd862e3fe1be46a994272793" || done.RequestID != "00000000-0000-4000-8000-000000000001" {
		t.Errorf("got %+v", done)
	}
	if got, want := l.record("platform.telemetrySubscription"), `{"name":"first","state":"Subscribed","types":["platform","function","extension"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := l.record("platform.initReport"); !strings.HasPrefix(got, `{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":`) {
		t.Errorf("got %s", got)
	}
	if got := l.record("platform.report"); !strings.Contains(got, `"initDurationMs":`) || !strings.Contains(got, `"status":"success"`) {
		t.Errorf("got %s", got)
	}
	r.invoke("{}")
	r.free()
	l.wait(init + ` start function"in 1" runtimeDone report start function"in 2" runtimeDone report`)
	if got := strings.Join(r.sink.lines(), "\n"); !strings.Contains(got, "TELEMETRY\tName: first\tState: Subscribed\tTypes: [Platform, Function, Extension]") {
		t.Errorf("the log says\n%s", got)
	}
}

func TestNothingIsSentWhileTheBoxIsFrozen(t *testing.T) {
	l := newReceiver(t)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		p.subscribe(telemetryPath, p.enlist("first", l), l.subscription("2025-01-29", 200))
		return loop(echo)(p)
	}))
	r.free()
	want := "initStart telemetrySubscription extension initRuntimeDone initReport"
	const invocation = " start runtimeDone report"
	for { // until the last report waits for its batch; on a busy machine it may have gone before the freeze
		if _, err := r.Invoke(t.Context(), r.invocation("1")); err != nil {
			t.Fatal(err)
		}
		want += invocation
		r.free().Rest()
		for deadline := time.Now().Add(20 * time.Second); r.State() != environment.Frozen; {
			if time.Now().After(deadline) {
				t.Fatal("it does not rest")
			}
			time.Sleep(time.Millisecond) // polled: nothing tells of the state
		}
		if l.types()+" report" == want {
			break
		}
		if r.n == 50 {
			t.Fatalf("no report waits: %s", l.types())
		}
	}
	for len(l.arrive) > 0 {
		<-l.arrive
	}
	select {
	case <-l.arrive:
		t.Errorf("a frozen box was sent %s", l.types())
	case <-time.After(600 * time.Millisecond): // three times as long as a batch waits
	}
	if _, err := r.Invoke(t.Context(), r.invocation("2")); err != nil {
		t.Fatal(err)
	}
	r.free()
	l.wait(want + invocation)
}

func TestSubscribingIsForExtensionsDuringInitAndByOneAPI(t *testing.T) {
	l, other := newReceiver(t), newReceiver(t)
	late := make(chan string, 1)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		body, first, second := l.subscription("2025-01-29", 25), p.enlist("first"), p.enlist("second")
		for _, c := range []struct{ name, path, id, body, want string }{
			{"no identifier", telemetryPath, "", body, `403 {"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`},
			{"a stranger", telemetryPath, "id-3", body, `403 {"errorMessage":"Unknown extension id-3","errorType":"Extension.UnknownExtensionIdentifier"}`},
			{"nonsense", telemetryPath, first, `{"types":[],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain"}}`, `400 {"errorMessage":"types should not be empty; URI port is not provided","errorType":"Telemetry.ValidationError"}`},
			{"a good one", telemetryPath, first, body, `200 "OK"`},
			{"again", telemetryPath, first, body, `200 "OK"`},
			{"the other API", logsPath, first, l.subscription("2021-03-18", 25), `400 {"errorMessage":"The extension first is already subscribed to the TelemetryAPI. You must either subscribe to the LogsAPI or the TelemetryAPI","errorType":"Logs.AccessDenied"}`},
			{"another extension", logsPath, second, other.subscription("2020-08-15", 25), `200 "OK"`},
		} {
			if got := p.subscribe(c.path, c.id, c.body); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
		}
		for n := 26; n < 29; n++ { // others to the same place
			if got := p.subscribe(telemetryPath, first, l.subscription("2025-01-29", 30000+25-n)); got != `200 "OK"` {
				t.Errorf("got %s", got)
			}
		}
		if got := p.subscribe(telemetryPath, first, l.subscription("2025-01-29", 29)); !strings.HasPrefix(got, "400 ") {
			t.Errorf("one more: got %s", got)
		}
		return loop(func(p *proc, event *reply) (string, error) {
			c := p.dial()
			answer, err := c.do("PUT", telemetryPath, map[string]string{"Lambda-Extension-Identifier": second}, body)
			if err != nil {
				return "", err
			}
			late <- fmt.Sprint(answer.status, " ", string(answer.body))
			return "{}", nil
		})(p)
	}))
	r.invoke("{}")
	r.free()
	if got, want := <-late, `403 {"errorMessage":"Telemetry API subscription is closed already","errorType":"Telemetry.SubscriptionClosed"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other.wait("logsSubscription extension extension start end report")
}

func TestAReceiverThatNeverAnswersHoldsNoInvocation(t *testing.T) {
	l := newReceiver(t)
	l.block = make(chan struct{})
	defer close(l.block)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		p.subscribe(telemetryPath, p.enlist("first"), l.subscription("2025-01-29", 25))
		return loop(func(p *proc, event *reply) (string, error) {
			p.print(strings.Repeat("line\n", 4000))
			return "{}", nil
		})(p)
	}))
	for range 20 {
		r.invoke("{}")
	}
	r.free()
	if got := len(r.sink.function()); got != 20*4000 {
		t.Errorf("the log has %d lines", got)
	}
}

func TestWhoeverSubscribedBeforeACrashMustDoSoAgain(t *testing.T) {
	l := newReceiver(t)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		if p.nth == 1 {
			p.subscribe(telemetryPath, p.enlist("first"), l.subscription("2025-01-29", 25))
		}
		return loop(func(p *proc, event *reply) (string, error) {
			if string(event.body) == "1" {
				p.exit(sandbox.ExitStatus{Code: 7})
			}
			return "{}", nil
		})(p)
	}))
	r.invoke("1")
	r.invoke("2")
	r.free()
	var again []string
	for _, e := range r.sink.all() {
		if e.Type == telemetry.InitStart || e.Type == telemetry.InitRuntimeDone || e.Type == telemetry.RuntimeDone {
			again = append(again, fmt.Sprint(strings.TrimPrefix(string(e.Type), "platform."), " ", e.Phase, e.Report.Status, e.Report.ErrorType))
		}
	}
	if got, want := strings.Join(again, ", "), "initStart init, initRuntimeDone initsuccess, initStart invoke, initRuntimeDone invokesuccess"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
