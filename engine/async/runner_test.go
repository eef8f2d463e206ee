package async_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/async"
	"kiln/engine/async/queuetest"
)

// world is a runner with everything around it.
type world struct {
	queue *queuetest.Memory
	*async.Runner

	mu        sync.Mutex
	calls     []call
	delivered []delivery
	policies  map[string]kiln.EventPolicy
	invoke    func(inv *kiln.Invocation) (*kiln.Outcome, error)
	deliver   func(arn string) error
	running   map[string]int
	most      map[string]int
	began     time.Time
}

type call struct {
	at      time.Duration
	name    string
	id      string
	attempt string
}

type delivery struct {
	at   time.Duration
	arn  string
	text string
}

func done(string) (*kiln.Outcome, error) {
	return &kiln.Outcome{Payload: []byte(`"ok"`), Version: "$LATEST"}, nil
}

// begin starts a runner in the bubble of a test; o says what differs.
func begin(t *testing.T, change func(*async.Options)) *world {
	t.Helper()
	w := &world{queue: queuetest.NewMemory(), policies: map[string]kiln.EventPolicy{}, running: map[string]int{}, most: map[string]int{}, began: time.Now()}
	w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) { return done("") }
	w.deliver = func(string) error { return nil }
	w.restart(t, change)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *world) restart(t *testing.T, change func(*async.Options)) {
	t.Helper()
	o := async.Options{Queue: w.queue, Invoker: w, Settings: w, Destination: w}
	if change != nil {
		change(&o)
	}
	var err error
	if w.Runner, err = async.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (w *world) Invoke(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	name := inv.Function.Name
	w.mu.Lock()
	w.calls = append(w.calls, call{time.Since(w.began), name, inv.ID, inv.Attempt})
	w.running[name]++
	w.most[name] = max(w.most[name], w.running[name])
	f := w.invoke
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.running[name]--; w.mu.Unlock() }()
	return f(inv)
}

func (w *world) EventPolicy(id kiln.FunctionID, _ kiln.Qualifier) (kiln.EventPolicy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(id.Name, "missing") {
		return kiln.EventPolicy{}, kiln.Errorf(kiln.NotFound, "no %s", id.Name)
	}
	return w.policies[id.Name], nil
}

func (w *world) Deliver(_ context.Context, arn string, from *async.Event, r async.Record) error {
	text, err := r.JSON(from)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.deliver(arn); err != nil {
		return err
	}
	w.delivered = append(w.delivered, delivery{time.Since(w.began), arn, string(text)})
	return nil
}

func (w *world) put(t *testing.T, name, payload string) {
	t.Helper()
	id := kiln.FunctionID{Scope: kiln.Scope{Account: "000000000000", Region: "us-east-1"}, Name: name}
	if err := w.Enqueue(t.Context(), &async.Event{ID: kiln.NewID(), Function: id, Payload: []byte(payload), Accepted: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

// times gives when a function was called.
func (w *world) times(name string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at []time.Duration
	for _, c := range w.calls {
		if c.name == name {
			at = append(at, c.at)
		}
	}
	return at
}

// pass lets time go by until nothing more happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func seconds(s ...float64) []time.Duration {
	var at []time.Duration
	for _, x := range s {
		at = append(at, time.Duration(x*float64(time.Second)))
	}
	return at
}

func TestAnEventRunsOnceAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.put(t, "f", `{}`)
		pass(time.Hour)
		if got := w.times("f"); !slices.Equal(got, seconds(0)) || w.queue.Len() != 0 {
			t.Errorf("called at %v, %d are left", got, w.queue.Len())
		}
	})
}

func TestAFunctionThatFailsIsTriedAfterOneAndThreeMinutesAndThenGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.policies["f"] = kiln.EventPolicy{OnFailure: "arn:fails", OnSuccess: "arn:succeeds"}
		w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) {
			return &kiln.Outcome{Payload: []byte(`{"errorType":"E"}`), Failed: true, Version: "3"}, nil
		}
		w.put(t, "f", `{"a":1}`)
		pass(24 * time.Hour)
		if got := w.times("f"); !slices.Equal(got, seconds(0, 60, 180)) || w.queue.Len() != 0 {
			t.Errorf("called at %v, %d are left", got, w.queue.Len())
		}
		ids, attempts := map[string]bool{}, map[string]bool{}
		for _, c := range w.calls {
			ids[c.id], attempts[c.attempt] = true, true
		}
		if len(ids) != 1 || len(attempts) != 3 {
			t.Errorf("%d request ids and %d attempts, want 1 and 3", len(ids), len(attempts))
		}
		if len(w.delivered) != 1 || w.delivered[0].arn != "arn:fails" || w.delivered[0].at != 3*time.Minute {
			t.Fatalf("delivered: %+v", w.delivered)
		}
		var r struct {
			Version, Timestamp string
			RequestContext     struct {
				RequestID, FunctionARN, Condition string
				ApproximateInvokeCount            int
			}
			RequestPayload  json.RawMessage
			ResponseContext struct {
				StatusCode                     int
				ExecutedVersion, FunctionError string
			}
			ResponsePayload json.RawMessage
		}
		if err := json.Unmarshal([]byte(w.delivered[0].text), &r); err != nil {
			t.Fatal(err)
		}
		c := r.RequestContext
		if r.Version != "1.0" || r.Timestamp != "2000-01-01T00:03:00.000Z" || !ids[c.RequestID] || c.FunctionARN != "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST" ||
			c.Condition != "RetriesExhausted" || c.ApproximateInvokeCount != 3 || string(r.RequestPayload) != `{"a":1}` ||
			r.ResponseContext.StatusCode != 200 || r.ResponseContext.ExecutedVersion != "3" || r.ResponseContext.FunctionError != "Unhandled" || string(r.ResponsePayload) != `{"errorType":"E"}` {
			t.Errorf("got %s", w.delivered[0].text)
		}
	})
}

func TestRefusalsUseUpNoRetryAndEndWithTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		age := 20 * time.Minute
		w.policies["f"] = kiln.EventPolicy{OnFailure: "arn:fails", MaxAge: &age}
		w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) {
			return nil, kiln.Errorf(kiln.Throttled, "Rate Exceeded.")
		}
		w.put(t, "f", `{}`)
		pass(24 * time.Hour)
		at := w.times("f")
		if !slices.Equal(at[:10], seconds(0, 1, 3, 7, 15, 31, 63, 127, 255, 511)) || at[10]-at[9] != 5*time.Minute {
			t.Errorf("called at %v", at)
		}
		if len(w.delivered) != 1 || !strings.Contains(w.delivered[0].text, `"condition":"EventAgeExceeded","approximateInvokeCount":0`) || strings.Contains(w.delivered[0].text, "response") {
			t.Errorf("delivered: %+v", w.delivered)
		}
		if got := w.delivered[0].at; got < age || got > age+5*time.Minute {
			t.Errorf("given up after %v", got)
		}
	})
}

func TestAFunctionThatIsSwitchedOffOrGoneIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.policies["off"] = kiln.EventPolicy{Off: true, OnFailure: "arn:fails"}
		w.put(t, "off", `{}`)
		w.put(t, "missing", `{}`)
		pass(time.Second)
		if len(w.calls) != 0 || w.queue.Len() != 0 || len(w.delivered) != 1 {
			t.Errorf("calls %v, %d are left, delivered %v", w.calls, w.queue.Len(), w.delivered)
		}
	})
}

func TestALaneGoesOnAsFastAsItsFunctionMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		const may = 3
		w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) {
			w.mu.Lock()
			n := w.running["f"]
			w.mu.Unlock()
			if n > may {
				return nil, kiln.Errorf(kiln.Throttled, "Rate Exceeded.")
			}
			time.Sleep(100 * time.Millisecond)
			return done("")
		}
		const events = 300
		for range events {
			w.put(t, "f", `{}`)
		}
		synctest.Wait()
		for begin := time.Now(); w.queue.Len() > 0; time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 3*events/may*100*time.Millisecond {
				t.Fatalf("%d events are left", w.queue.Len())
			}
		}
	})
}

func TestManyEventsOfOneFunctionDoNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(o *async.Options) { o.Running = 20; o.Lane = 10 })
		w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) { time.Sleep(time.Second); return done("") }
		for range 2000 {
			w.put(t, "busy", `{}`)
		}
		synctest.Wait()
		pass(5 * time.Second)
		before := time.Since(w.began)
		w.put(t, "other", `{}`)
		pass(2 * time.Second)
		if got := w.times("other"); len(got) != 1 || got[0]-before > time.Second {
			t.Errorf("called at %v, put at %v", got, before)
		}
		if w.most["busy"] != 10 {
			t.Errorf("%d of one function ran at once, want 10", w.most["busy"])
		}
	})
}

func TestARecordWaitsForItsDestinationAndTheFunctionRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.policies["f"] = kiln.EventPolicy{OnSuccess: "arn:down"}
		w.deliver = func(string) error {
			if time.Since(w.began) < time.Hour {
				return kiln.Errorf(kiln.Unavailable, "down")
			}
			return nil
		}
		w.put(t, "f", `{}`)
		pass(2 * time.Hour)
		if len(w.calls) != 1 || len(w.delivered) != 1 || w.queue.Len() != 0 {
			t.Errorf("calls %v, delivered %v, %d are left", w.calls, w.delivered, w.queue.Len())
		}
		w.mu.Lock()
		w.deliver = func(string) error { return kiln.Errorf(kiln.Invalid, "there is no such thing") }
		w.mu.Unlock()
		w.put(t, "f", `{}`)
		pass(time.Minute)
		if w.queue.Len() != 0 {
			t.Error("an event waits for a destination that cannot be")
		}
	})
}

func TestWhatWasNotOverRunsAgainAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		stuck := make(chan struct{})
		w.invoke = func(inv *kiln.Invocation) (*kiln.Outcome, error) {
			if inv.Function.Name == "stuck" {
				<-stuck
				return nil, kiln.Errorf(kiln.Internal, "its environment was closed")
			}
			return &kiln.Outcome{Failed: true, Payload: []byte("1")}, nil
		}
		w.put(t, "stuck", `{}`)
		w.put(t, "fails", `{}`)
		synctest.Wait()
		w.Stop()
		if err := w.Enqueue(t.Context(), &async.Event{}); kiln.CodeOf(err) != kiln.Unavailable {
			t.Errorf("accepted while it stops: %v", err)
		}
		close(stuck)
		if err := w.Close(); err != nil || w.queue.Len() != 2 {
			t.Fatalf("%v, %d events are left, want 2", err, w.queue.Len())
		}
		w.invoke = func(*kiln.Invocation) (*kiln.Outcome, error) { return done("") }
		w.restart(t, nil)
		pass(time.Hour)
		if got := w.times("fails"); !slices.Equal(got, seconds(0, 60)) || len(w.times("stuck")) != 2 || w.queue.Len() != 0 {
			t.Errorf("called at %v and %v, %d are left", got, w.times("stuck"), w.queue.Len())
		}
	})
}

func TestAQueueThatFailsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		broken := errors.New("the disk is gone")
		var mu sync.Mutex
		faults := map[string]int{}
		w.queue.Fault = func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			if faults[op]++; faults[op]%2 == 1 {
				return fmt.Errorf("%s: %w", op, broken)
			}
			return nil
		}
		id := kiln.FunctionID{Name: "f"}
		if err := w.Enqueue(t.Context(), &async.Event{Function: id, Accepted: time.Now()}); !errors.Is(err, broken) {
			t.Errorf("an event was accepted that is not kept: %v", err)
		}
		for range 10 {
			mu.Lock()
			faults["put"] = 1
			mu.Unlock()
			w.put(t, "f", `{}`)
		}
		pass(24 * time.Hour)
		if w.queue.Len() != 0 || len(w.times("f")) < 10 {
			t.Errorf("%d are left after %d calls", w.queue.Len(), len(w.times("f")))
		}
		if faults["drop"] < 2 || faults["load"] < 2 || faults["heads"] < 2 {
			t.Errorf("the queue did not fail: %v", faults)
		}
	})
}

func TestThousandsOfLanesLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		for n := range 3000 {
			w.put(t, fmt.Sprint("f", n%1500), `{}`)
		}
		pass(time.Minute)
		if w.queue.Len() != 0 || len(w.calls) != 3000 {
			t.Errorf("%d are left after %d calls", w.queue.Len(), len(w.calls))
		}
	})
}

func TestTheMemoryQueueKeepsToTheContract(t *testing.T) {
	queuetest.Suite(t, queuetest.NewMemory(), nil)
}
