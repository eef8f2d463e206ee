package hostile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// full says whether the tests may take the time for the sizes that are asked for in
// the end; otherwise they take those of every run.
var full = os.Getenv("KILN_TEST_FULL") == "1"

// size is one of two, by full.
func size(usual, inFull int) int {
	if full {
		return inFull
	}
	return usual
}

// logOf reads the log of a function with kiln's own command.
func (x *trial) logOf(t testing.TB, name string, flags ...string) string {
	t.Helper()
	c := exec.CommandContext(harness.Within(t, time.Minute), kiln.Binary, append([]string{"logs", name, "-n", "100000"}, flags...)...)
	c.Env = append(x.server.Environ(), "KILN_ACCOUNT="+harness.Account, "KILN_REGION="+harness.Region)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("kiln logs %s: %v\n%s", name, err, out)
	}
	return string(out)
}

var droppedLines = regexp.MustCompile(`LOGS_DROPPED Records: (\d+)`)

func TestB15AFloodOfLogsIsBoundedAndCounted(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "", harness.Timeout(60))
	x.ask(t, name, event{Do: "flood", Limit: 4 * mega}) // what a server that logs at all needs
	before := x.resident(t)
	peak := x.peak(t)
	r := x.ask(t, name, event{Do: "flood", Limit: 1024 * mega})
	r.worked(t, "write")
	if r.Numbers["bytes"] < 1024*mega {
		t.Errorf("the flood had %d bytes", r.Numbers["bytes"])
	}
	one, tail := x.askForTail(t, name, event{Do: "flood", Limit: 100 * mega, Text: "one"})
	one.worked(t, "write")
	if grown := peak() - before; grown > 32*mega {
		t.Errorf("the server grew by %d MB while it was flooded", grown/mega)
	} else {
		t.Logf("the server grew by %d MB while it was flooded", grown/mega)
	}
	if !strings.Contains(tail, "REPORT RequestId") || len(tail) > 4096 {
		t.Errorf("the tail has %d bytes:\n%s", len(tail), tail)
	}
	log := x.logOf(t, name)
	if !droppedLines.MatchString(log) {
		t.Errorf("the log does not say how many records are missing; it has %d bytes", len(log))
	}
	for line := range strings.Lines(log) {
		if len(line) > 256<<10+100 {
			t.Errorf("a line of the log has %d bytes", len(line))
		}
	}
}

// peak begins to watch the server's memory; the result ends it and gives the most
// that was seen.
func (x *trial) peak(t testing.TB) func() int64 {
	stop, result := make(chan struct{}), make(chan int64, 1)
	go func() {
		var most int64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, x.resident(t))
			select {
			case <-stop:
				result <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

func TestB16AFloodOfConnectionsToTheRuntimeAPI(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "", harness.Timeout(120))
	r := x.ask(t, name, event{Do: "connections", Limit: 900, Millis: 300})
	if r.Numbers["alive"] > 64 || r.Numbers["opened"]+r.Numbers["refused"] < 900 {
		t.Errorf("of 900 connections %d live, want at most 64: %v", r.Numbers["alive"], r.Numbers)
	}
	if err := x.ping(name); err != nil {
		t.Errorf("the call after: %v", err)
	}
	// kiln's own API stands in the same network.
	r = x.ask(t, name, event{Do: "connections", Text: "api", Limit: 900, Millis: 300})
	if r.Numbers["opened"]+r.Numbers["refused"] < 900 {
		t.Errorf("kiln's own API: %v", r.Numbers)
	}
	if own := x.ask(t, name, event{Do: "signed", Text: harness.Account, Token: "own", Paths: []string{"/2015-03-31/functions/"}, Dir: harness.Region}); own.Results["/2015-03-31/functions/"] != "200" {
		t.Errorf("kiln's own API after the flood: %v", own.Results)
	}
	n := size(5_000, 100_000)
	r = x.ask(t, name, event{Do: "extensions", Limit: int64(n)})
	var answered int64
	for status, count := range r.Numbers {
		answered += count
		if status == "status 200" && count > 10 {
			t.Errorf("%d extensions were registered, want at most 10", count)
		}
	}
	if answered != int64(n) {
		t.Errorf("%d of %d requests were answered: %v", answered, n, r.Numbers)
	}
	if err := x.ping(name); err != nil {
		t.Errorf("the call after: %v", err)
	}
}

func TestB18ADeafFunctionIsEndedOnTime(t *testing.T) {
	x := common(t).trial(t)
	var names []string
	kinds := []string{"deaf", "deaf stopped", "deaf uninterruptible", "deaf stopped uninterruptible"}
	for i, kind := range kinds {
		names = append(names, x.attacker(t, fmt.Sprint(i), harness.Timeout(2)))
		if err := x.ping(names[i]); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	var all sync.WaitGroup
	for i, kind := range kinds {
		all.Go(func() {
			began := time.Now()
			out := x.call(t, names[i], event{Do: "stay", Text: kind})
			took := time.Since(began)
			errorType, message := harness.FailureOf(t, names[i], out)
			if errorType != "Sandbox.Timedout" || !strings.HasSuffix(message, "Task timed out after 2.00 seconds") {
				t.Errorf("%s: got %s: %s", kind, errorType, message)
			}
			if took < 2*time.Second || took > time.Minute {
				t.Errorf("%s: the answer came after %v, want a little more than 2 s", kind, took)
			}
			tail := harness.Tail(out)
			if !strings.Contains(tail, "staying") || strings.Contains(kind, "stopped") != strings.Contains(tail, "a stopped child") || strings.Contains(kind, "uninter") != strings.Contains(tail, "a thread that waits") {
				t.Errorf("%s: the attack does not show in the log:\n%s", kind, tail)
			}
			if err := x.ping(names[i]); err != nil {
				t.Errorf("%s: the call after: %v", kind, err)
			}
		})
	}
	all.Wait()
}

// rude makes a function whose runtime breaks the rules in one way.
func (x *trial) rude(t testing.TB, how string, set ...harness.Settings) string {
	t.Helper()
	return x.attacker(t, how, append(set, harness.Variables(map[string]string{"RUDE": how}))...)
}

// Whatever a runtime does to its API, each caller gets exactly one result, its own.
func TestB19ARuntimeThatBreaksTheRulesOfItsAPI(t *testing.T) {
	x := common(t).trial(t)
	for name, breach := range map[string]func(*testing.T, *trial){
		"never asks for work": neverAsks, "asks twice at once": asksTwice, "answers twice": answersTwice,
		"answers wrong requests": answersWrong, "answers when its time is over": answersLate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			breach(t, x)
		})
	}
}

func neverAsks(t *testing.T, x *trial) {
	name := x.rude(t, "never-next", harness.Timeout(2))
	kind, message := harness.Failure(t, x.client, name, `{}`)
	if kind != "Sandbox.Timedout" || !strings.Contains(message, "timed out") {
		t.Errorf("got %s: %s", kind, message)
	}
}

func asksTwice(t *testing.T, x *trial) {
	name := x.rude(t, "next-twice")
	ids := map[string]bool{}
	for range 50 {
		var a struct{ Loop, ID string }
		if err := json.Unmarshal([]byte(harness.Answer(t, x.client, name, `{}`)), &a); err != nil || ids[a.ID] {
			t.Fatalf("request %q came twice or not at all: %v", a.ID, err)
		}
		ids[a.ID] = true
	}
}

func answersTwice(t *testing.T, x *trial) {
	name := x.rude(t, "respond-twice")
	ids := map[string]bool{}
	for n := range 20 {
		var a struct {
			Last int
			ID   string
		}
		got := harness.Answer(t, x.client, name, `{}`)
		if err := json.Unmarshal([]byte(got), &a); err != nil || a.ID == "" || ids[a.ID] {
			t.Fatalf("call %d got the answer of another one: %s, %v", n, got, err)
		}
		ids[a.ID] = true
		if n > 0 && (a.Last < 400 || a.Last > 499) {
			t.Errorf("the second answer to one request got status %d, want a 4xx", a.Last)
		}
	}
}

func answersWrong(t *testing.T, x *trial) {
	name := x.rude(t, "wrong-id")
	for range 10 {
		var a struct{ Made, Old, Odd int }
		got := harness.Answer(t, x.client, name, `{}`)
		if err := json.Unmarshal([]byte(got), &a); err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		for _, status := range []int{a.Made, a.Old, a.Odd} {
			if status < 400 || status > 499 {
				t.Errorf("an answer to a wrong request got status %d, want a 4xx: %s", status, got)
			}
		}
	}
}

func answersLate(t *testing.T, x *trial) {
	name := x.rude(t, "respond-late", harness.Timeout(1))
	answered, timedOut := 0, 0
	for _, millis := range []int64{980, 995, 999, 1000, 1001, 1010} {
		out := x.call(t, name, event{Millis: millis})
		var a struct{ ID, ErrorType string }
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			t.Fatalf("%v in %s", err, out.Payload)
		}
		id := requestOf(t, harness.Tail(out))
		switch {
		case out.FunctionError == nil && a.ID == id:
			answered++
		case out.FunctionError != nil && a.ErrorType == "Sandbox.Timedout":
			timedOut++
		default:
			t.Errorf("after %d ms: request %s got %s", millis, id, out.Payload)
		}
	}
	t.Logf("%d answers, %d timeouts", answered, timedOut)
	// Whatever came too late was thrown away: the next call gets its own answer.
	out := x.call(t, name, event{})
	var a struct{ ID string }
	if err := json.Unmarshal(out.Payload, &a); err != nil || a.ID != requestOf(t, harness.Tail(out)) {
		t.Errorf("the next call got %s, %v", out.Payload, err)
	}
}

// requestOf gives the request id of a log tail, which must be that of one request.
func requestOf(t testing.TB, tail string) string {
	t.Helper()
	ids := regexp.MustCompile(`START RequestId: ([0-9a-f-]{36})`).FindAllStringSubmatch(tail, -1)
	if len(ids) != 1 {
		t.Fatalf("%d requests in the tail:\n%s", len(ids), tail)
	}
	return ids[0][1]
}

// once is one call that the SDK does not repeat.
func once(o *lambda.Options) { o.RetryMaxAttempts = 1 }

// crowd calls a function n times at once and sorts what the callers get: good
// answers, and refusals by their reason. Everything else fails the test.
func (x *trial) crowd(t testing.TB, name string, n int, e event) (good []report, refused map[types.ThrottleReason]int) {
	t.Helper()
	refused = map[types.ThrottleReason]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	body := []byte(payload(t, e))
	for range n {
		all.Go(func() {
			out, err := x.client.Invoke(harness.Within(t, 3*time.Minute), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: body}, once)
			mu.Lock()
			defer mu.Unlock()
			var slow *types.TooManyRequestsException
			switch {
			case errors.As(err, &slow):
				refused[slow.Reason]++
			case err != nil:
				t.Errorf("a call: %v", err)
			case out.FunctionError != nil:
				t.Errorf("a call: %s", out.Payload)
			default:
				good = append(good, reportOf(t, out.Payload))
			}
		})
	}
	all.Wait()
	return good, refused
}

// together is how many of these calls ran at one moment at most.
func together(reports []report) int {
	type edge struct {
		at   int64
		step int
	}
	var edges []edge
	for _, r := range reports {
		edges = append(edges, edge{r.Numbers["from"], 1}, edge{r.Numbers["to"], -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return int(a.at - b.at) })
	now, most := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}

func TestB20ACrowdThatHoldsMemoryIsAdmittedByWhatThereIs(t *testing.T) {
	const budget = 640
	x := private(t, harness.Options{Args: []string{"--memory-budget", fmt.Sprint(budget, "MB"), "--max-wait", "1500ms", "--max-waiting", "50"}}).trial(t)
	name := x.attacker(t, "", harness.Memory(128))
	x.ask(t, name, event{Do: "work", Limit: 80 * mega, Millis: 500}) // the server learns what such a call needs
	n := size(200, 1024)
	good, refused := x.crowd(t, name, n, event{Do: "work", Limit: 80 * mega, Millis: 1000})
	if len(good) == 0 || refused[types.ThrottleReasonCallerRateLimitExceeded] == 0 {
		t.Errorf("of %d calls %d were served and %v refused, want both, with the reason %s", n, len(good), refused, types.ThrottleReasonCallerRateLimitExceeded)
	}
	for reason := range refused {
		if reason != types.ThrottleReasonCallerRateLimitExceeded && reason != types.ThrottleReasonConcurrentInvocationLimitExceeded {
			t.Errorf("refused for the reason %q", reason)
		}
	}
	// The budget counts what was measured: calls that begin together are seen to grow
	// a moment later.
	if most := together(good); most*80 > 2*budget {
		t.Errorf("%d calls of 80 MB ran at once in a budget of %d MB", most, budget)
	} else {
		t.Logf("%d served, at most %d at once, refused: %v", len(good), most, refused)
	}
	if err := x.ping(name); err != nil {
		t.Errorf("the call after: %v", err)
	}
}

func TestI3NoMoreRunThanTheLimitAllows(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	if _, err := x.client.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String(name), ReservedConcurrentExecutions: aws.Int32(5)}); err != nil {
		t.Fatal(err)
	}
	var good []report
	for range 3 {
		served, refused := x.crowd(t, name, 40, event{Do: "work", Limit: 4 * mega, Millis: 200})
		good = append(good, served...)
		if refused[types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded] == 0 {
			t.Errorf("none of 40 calls at once was refused: %v", refused)
		}
	}
	if most := together(good); most > 5 || most == 0 {
		t.Errorf("%d calls ran at once, want at most the 5 that are reserved", most)
	}
}

func TestB22AFunctionThatCrashesAtInitDoesNotGoOnByItself(t *testing.T) {
	x := common(t).trial(t)
	name := x.rude(t, "crash")
	const calls = 15
	began := time.Now()
	for range calls {
		kind, message := harness.Failure(t, x.client, name, `{}`)
		if kind != "Runtime.ExitError" || !strings.HasSuffix(message, "exit status 7") {
			t.Fatalf("got %s: %s", kind, message)
		}
	}
	took := time.Since(began)
	starts := func() int { return strings.Count(x.logOf(t, name), "crashing") }
	n := starts()
	if n < calls/2 || n > calls+2 {
		t.Errorf("%d calls made %d starts", calls, n)
	}
	t.Logf("%d calls made %d starts in %v", calls, n, took)
	<-time.After(3 * time.Second) // in which nobody calls: the subject of the test
	if after := starts(); after != n {
		t.Errorf("%d more starts without a call", after-n)
	}
}
