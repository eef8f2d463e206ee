package environment_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

var measures = strings.NewReplacer("00000000-0000-4000-8000-00000000000", "id", "\t", "|")
var (
	millis = regexp.MustCompile(`[0-9.]+ ms`)
	stamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
)

// plain gives log lines without what differs from run to run.
func plain(lines []string) string {
	text := measures.Replace(strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "\t\n", "\n")) // REPORT ends with a tab
	text = strings.TrimSuffix(text, "\n")
	return stamps.ReplaceAllString(millis.ReplaceAllString(text, "# ms"), "<ts>")
}

// expect compares the log so far.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if got := plain(r.sink.lines()); got != strings.Join(want, "\n") {
		r.t.Errorf("got log\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

const initStart = "INIT_START Runtime Version: provided:al2023.v1|Runtime Version ARN: arn:aws:lambda:eu-west-1::runtime:1"

func TestAnInvocationIsAnsweredWithWhatTheRuntimePosted(t *testing.T) {
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		p.print("working on " + string(event.body) + "\n")
		return string(event.body), nil
	})))
	for _, payload := range []string{`{"a":1}`, `null`, ``} {
		o := r.invoke(payload)
		if string(o.Payload) != payload || o.Failed || o.Version != "$LATEST" || o.Trace == "" || o.Report.Status != kiln.StatusSuccess {
			t.Errorf("got %+v", o)
		}
	}
	r.free()
	r.expect(initStart,
		"START RequestId: id1 Version: $LATEST", `working on {"a":1}`, "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms",
		"START RequestId: id2 Version: $LATEST", `working on null`, "END RequestId: id2",
		"REPORT RequestId: id2|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB",
		"START RequestId: id3 Version: $LATEST", `working on `, "END RequestId: id3",
		"REPORT RequestId: id3|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
}

func TestTheRuntimeSeesTheInvocation(t *testing.T) {
	seen := make(chan *reply, 1)
	r := start(t, newBox(loop(func(_ *proc, event *reply) (string, error) {
		seen <- event
		return "{}", nil
	})))
	inv := r.invocation("{}")
	inv.Qualifier, inv.Tenant, inv.ClientJSON = "prod", "blue", `{"custom":{}}`
	before := time.Now()
	if _, err := r.free().Invoke(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	h := (<-seen).header
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       inv.ID,
		"Lambda-Runtime-Invocation-Id":        inv.Attempt,
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:hello:prod",
		"Lambda-Runtime-Trace-Id":             inv.Trace,
		"Lambda-Runtime-Client-Context":       `{"custom":{}}`,
		"Lambda-Runtime-Aws-Tenant-Id":        "blue",
		"Content-Type":                        "application/json",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	var deadline int64
	if _, err := fmt.Sscan(h.Get("Lambda-Runtime-Deadline-Ms"), &deadline); err != nil {
		t.Fatal(err)
	}
	if first, last := before.Add(3*time.Second).UnixMilli(), time.Now().Add(3*time.Second).UnixMilli(); deadline < first || deadline > last {
		t.Errorf("deadline %d is not between %d and %d", deadline, first, last)
	}
}

func TestTheCallerHasItsAnswerBeforeTheRuntimeAsksAgain(t *testing.T) {
	ask := make(chan struct{})
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		for {
			event, err := p.next()
			if err != nil {
				return sandbox.ExitStatus{}
			}
			if _, err := p.respond(event.id(), "1"); err != nil {
				return sandbox.ExitStatus{}
			}
			<-ask
			p.print("after the answer\n")
		}
	}))
	o := r.invoke("{}")
	if string(o.Payload) != "1" || o.Report.Duration <= 0 || o.Report.Init <= 0 || o.Report.Billed < o.Report.Duration+o.Report.Init {
		t.Errorf("got %+v", o)
	}
	if s := r.State(); s != environment.Responded {
		t.Errorf("got state %s", s)
	}
	select {
	case <-r.Idle():
		t.Error("the slot is free before the runtime asked again")
	default:
	}
	close(ask)
	r.free()
	r.expect(initStart, "START RequestId: id1 Version: $LATEST", "after the answer", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms")
}

func TestTheTailComesWithTheAnswerWhenItIsWanted(t *testing.T) {
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		if string(event.body) == `"much"` {
			p.print(strings.Repeat("x", 5000) + "\nlast\n")
		}
		p.print("no end")
		return "{}", nil
	})))
	inv := r.invocation(`{}`)
	inv.WantTail = true
	o, err := r.free().Invoke(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	want := "START RequestId: id1 Version: $LATEST\nno end\nEND RequestId: id1\nREPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms\n"
	if got := plain([]string{string(o.Tail)}); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if o.Report.MaxMemoryMB != 9 {
		t.Errorf("got report %+v", o.Report)
	}

	inv = r.invocation(`"much"`)
	inv.WantTail = true
	if o, err = r.free().Invoke(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	if got := string(o.Tail); len(got) != kiln.LogTailSize || !strings.HasPrefix(got, "xxx") || !strings.Contains(got, "x\nlast\nno end\nEND RequestId: ") || !strings.HasSuffix(got, "Max Memory Used: 9 MB\t\n") {
		t.Errorf("got %d bytes: …%q", len(got), got[len(got)-300:])
	}
	if o := r.invoke(`"much"`); o.Tail != nil {
		t.Errorf("a tail that nobody wanted: %q", o.Tail)
	}
}

func TestAnErrorOfTheHandlerIsPassedThroughAndTheProcessLivesOn(t *testing.T) {
	b := newBox(loop(func(_ *proc, event *reply) (string, error) {
		if string(event.body) == `"bad"` {
			return "", errors.New("no")
		}
		return "{}", nil
	}))
	r := start(t, b)
	o := r.invoke(`"bad"`)
	if !o.Failed || string(o.Payload) != `{"errorMessage":"no","errorType":"Failed"}` || o.Report.Status != kiln.StatusError || o.Report.ErrorType != "Function.Failed" {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	if o := r.invoke(`"good"`); o.Failed {
		t.Errorf("the next one failed too: %s", o.Payload)
	}
	r.free()
	if b.started != 1 {
		t.Errorf("%d processes were started", b.started)
	}
	r.expect(initStart, "START RequestId: id1 Version: $LATEST", "END RequestId: id1",
		"REPORT RequestId: id1|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB|Init Duration: # ms",
		"START RequestId: id2 Version: $LATEST", "END RequestId: id2",
		"REPORT RequestId: id2|Duration: # ms|Billed Duration: # ms|Memory Size: 128 MB|Max Memory Used: 9 MB")
}

func TestAnAnswerAboveTheLimitFailsTheInvocation(t *testing.T) {
	statuses := make(chan *reply, 2)
	b := newBox(func(p *proc) sandbox.ExitStatus {
		for {
			event, err := p.next()
			if err != nil {
				return sandbox.ExitStatus{}
			}
			answer := "{}"
			if string(event.body) == `"large"` {
				answer = strings.Repeat("x", kiln.MaxResponsePayload+1)
			}
			verdict, err := p.respond(event.id(), answer)
			if err != nil {
				return sandbox.ExitStatus{}
			}
			statuses <- verdict
		}
	})
	r := start(t, b)
	o := r.invoke(`"large"`)
	want := `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
	if !o.Failed || string(o.Payload) != want || o.Report.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %s, %+v", o.Payload, o.Report)
	}
	if v := <-statuses; v.status != 413 || string(v.body) != `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}` {
		t.Errorf("the runtime got %d %s", v.status, v.body)
	}
	if o := r.invoke(`"small"`); o.Failed || b.started != 1 {
		t.Errorf("then got %s from process %d", o.Payload, b.started)
	}
}

func TestInvokeObeysItsContextOnlyUntilTheFunctionRuns(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	r := start(t, newBox(loop(func(*proc, *reply) (string, error) {
		close(running)
		<-finish
		return "1", nil
	})))
	r.free()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Invoke(ctx, r.invocation("{}")); kiln.CodeOf(err) != kiln.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
		close(finish)
	}()
	if o, err := r.Invoke(ctx, r.invocation("{}")); err != nil || string(o.Payload) != "1" {
		t.Errorf("got %v, %v", o, err)
	}
}

func TestASecondInvocationWithoutATokenIsAnError(t *testing.T) {
	running, finish := make(chan struct{}), make(chan struct{})
	r := start(t, newBox(loop(func(*proc, *reply) (string, error) {
		close(running)
		<-finish
		return "1", nil
	})))
	done := make(chan *kiln.Outcome)
	r.free()
	first, second := r.invocation("{}"), r.invocation("{}")
	go func() {
		o, err := r.Invoke(t.Context(), first)
		if err != nil {
			t.Error(err)
		}
		done <- o
	}()
	<-running
	if _, err := r.Invoke(t.Context(), second); kiln.CodeOf(err) != kiln.Internal {
		t.Errorf("got %v", err)
	}
	close(finish)
	if o := <-done; string(o.Payload) != "1" {
		t.Errorf("the one in flight was harmed: %s", o.Payload)
	}
}

func TestTheQuotaHoldsDuringInvocationsAndNotDuringInit(t *testing.T) {
	b := newBox(loop(func(_ *proc, event *reply) (string, error) {
		if string(event.body) == `"exit"` {
			return "", errors.New("exit")
		}
		return "{}", nil
	}))
	program := b.program
	b.program = func(p *proc) sandbox.ExitStatus {
		if p.nth == 1 {
			p.conn()
			event, err := p.next()
			if err == nil && string(event.body) == "{}" {
				_, err = p.respond(event.id(), "{}")
			}
			if err == nil {
				_, _ = p.next() // and exit without an answer
			}
			return sandbox.ExitStatus{Code: 3}
		}
		return program(p)
	}
	r := start(t, b, func(o *environment.Options) { o.MilliCPU = 72 })
	r.invoke("{}")
	r.invoke("{}") // the process exits
	r.invoke("{}") // in a new one
	r.invoke("{}")
	r.free()
	var got []string
	for _, o := range b.log() {
		if !strings.HasPrefix(o, "usage") && !strings.HasPrefix(o, "kill") {
			got = append(got, o)
		}
	}
	want := []string{"start /var/task/bootstrap", "limit 72", "limit 0", "start /var/task/bootstrap", "limit 72"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestMemoryIsMeasuredRarelyOnAHotPath(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b)
	began := time.Now()
	const calls = 300
	for range calls {
		r.invoke("{}")
	}
	took := time.Since(began)
	r.free()
	n := 0
	for _, o := range b.log() {
		if o == "usage" {
			n++
		}
	}
	if most := 2 + int(took/(100*time.Millisecond)); n > most || n < 1 {
		t.Errorf("measured %d times in %v, at most %d times are right", n, took, most)
	}
}

func TestStampNamesWhatTheEnvironmentIsBoundTo(t *testing.T) {
	r := start(t, newBox(loop(echo)), func(o *environment.Options) { o.Version.RevisionID, o.Version.Number = "rev", 7 })
	s := r.Stamp()
	if s.ID != "e1" || s.Function != version().Function || s.Version != "7" || s.Revision != "rev" || s.InitType != kiln.OnDemand || s.Born.IsZero() {
		t.Errorf("got %+v", s)
	}
	if u, err := r.Usage(); err != nil || u.PeakMemoryBytes != 9<<20 {
		t.Errorf("got usage %+v, %v", u, err)
	}
}
