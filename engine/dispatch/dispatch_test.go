package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kiln"
	"kiln/engine/dispatch"
)

var home = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

// book is a catalog of functions with their reserved concurrency; nil is none.
type book struct {
	mu       sync.Mutex
	reserved map[string]*int
	resolved atomic.Int64
}

func (b *book) Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error) {
	b.resolved.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.reserved[id.Name]
	if !ok {
		return kiln.Target{}, kiln.Errorf(kiln.NotFound, "Function not found: %s", id.QualifiedARN(q))
	}
	v := &kiln.Version{Function: id, Config: kiln.Config{MemoryMB: 128}}
	return kiln.Target{Version: v, Revision: kiln.Revision("rev-" + id.Name), Reserved: r}, nil
}

func (b *book) Reserved(scope kiln.Scope) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.reserved {
		if r != nil {
			n += *r
		}
	}
	return n
}

func (b *book) set(name string, r *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved[name] = r
}

// machine is a worker that measures how many invocations it really runs.
type machine struct {
	run     func(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
	load    kiln.Load
	mu      sync.Mutex
	now     map[string]int
	highest map[string]int
	calls   int
}

func (m *machine) ID() string      { return "m" }
func (m *machine) Load() kiln.Load { return m.load }

func (m *machine) Run(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	m.count(inv.Function.Name, 1)
	defer m.count(inv.Function.Name, -1)
	if m.run == nil {
		return &kiln.Outcome{Version: "$LATEST"}, nil
	}
	return m.run(ctx, inv)
}

func (m *machine) count(name string, by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
		m.now, m.highest = map[string]int{}, map[string]int{}
	}
	if by > 0 {
		m.calls++
	}
	for _, key := range []string{name, ""} {
		m.now[key] += by
		m.highest[key] = max(m.highest[key], m.now[key])
	}
}

func call(name string) *kiln.Invocation {
	return &kiln.Invocation{ID: kiln.NewID(), Function: kiln.FunctionID{Scope: home, Name: name}}
}

func reason(err error) string {
	var e *kiln.Error
	if errors.As(err, &e) && e.Code == kiln.Throttled && e.Message == "Rate Exceeded." && e.RetryAfter > 0 {
		return e.Reason
	}
	return fmt.Sprint(err)
}

// held makes a worker whose calls last until release is closed; started gets a
// token for each.
func held() (m *machine, started chan string, release chan struct{}) {
	started, release = make(chan string, 4000), make(chan struct{})
	m = &machine{run: func(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		started <- inv.Function.Name
		<-release
		return &kiln.Outcome{}, nil
	}}
	return m, started, release
}

func TestAnInvocationIsResolvedOnceAndRun(t *testing.T) {
	b := &book{reserved: map[string]*int{"f": nil}}
	m := &machine{run: func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		return &kiln.Outcome{Payload: []byte(inv.Target.Revision)}, nil
	}}
	d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}})
	out, err := d.Invoke(t.Context(), call("f"))
	if err != nil || string(out.Payload) != "rev-f" || b.resolved.Load() != 1 {
		t.Errorf("got %v, %v after %d resolutions; want rev-f after 1", out, err, b.resolved.Load())
	}
	if got := d.Usage(home).Running; got != 0 {
		t.Errorf("%d permits are held after the call, want 0", got)
	}
}

func TestTheErrorOfTheCatalogOrTheWorkerReachesTheCallerAndNoPermitStays(t *testing.T) {
	b := &book{reserved: map[string]*int{"f": nil}}
	m := &machine{run: func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		return nil, kiln.Errorf(kiln.BadRuntime, "no interpreter")
	}}
	d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}})
	if _, err := d.Invoke(t.Context(), call("g")); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("got %v, want not found", err)
	}
	if _, err := d.Invoke(t.Context(), call("f")); kiln.CodeOf(err) != kiln.BadRuntime {
		t.Errorf("got %v, want the worker's error", err)
	}
	if got := d.Usage(home).Running; got != 0 {
		t.Errorf("%d permits are held, want 0", got)
	}
	none := dispatch.New(dispatch.Options{Catalog: b})
	if _, err := none.Invoke(t.Context(), call("f")); kiln.CodeOf(err) != kiln.Unavailable || none.Usage(home).Running != 0 {
		t.Errorf("without a worker got %v and %d permits", err, none.Usage(home).Running)
	}
}

func TestAPanickingWorkerKeepsNoPermit(t *testing.T) {
	b := &book{reserved: map[string]*int{"f": nil}}
	m := &machine{run: func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) { panic("worker") }}
	d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}})
	func() {
		defer func() { _ = recover() }()
		_, _ = d.Invoke(t.Context(), call("f"))
	}()
	if got := d.Usage(home).Running; got != 0 {
		t.Errorf("%d permits are held, want 0", got)
	}
}

func TestADryRunTakesNoPermitAndRunsNothing(t *testing.T) {
	zero := 0
	m := &machine{}
	d := dispatch.New(dispatch.Options{Catalog: &book{reserved: map[string]*int{"f": &zero}}, Workers: []dispatch.Worker{m}})
	target, err := d.Resolve(kiln.FunctionID{Scope: home, Name: "f"}, "")
	if err != nil || target.Revision != "rev-f" || m.calls != 0 || d.Usage(home).Running != 0 {
		t.Errorf("got %v, %v, %d calls", target, err, m.calls)
	}
}

func TestEachLimitAnswersWithItsOwnReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zero, two := 0, 2
		b := &book{reserved: map[string]*int{"off": &zero, "two": &two, "free": nil, "other": nil}}
		m, started, release := held()
		d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}, AccountConcurrency: 5})
		var wg sync.WaitGroup
		start := func(name string) {
			wg.Go(func() {
				if _, err := d.Invoke(t.Context(), call(name)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			<-started
		}
		refused := func(name, want string) {
			t.Helper()
			if _, err := d.Invoke(t.Context(), call(name)); reason(err) != want {
				t.Errorf("%s: got %v, want %s", name, reason(err), want)
			}
		}
		refused("off", kiln.ReasonReservedConcurrency)
		start("free")
		start("other")
		start("free")
		refused("free", kiln.ReasonAccountConcurrency) // 5 − 2 reserved = 3
		refused("other", kiln.ReasonAccountConcurrency)
		start("two") // the guarantee holds though the pool is empty
		start("two")
		refused("two", kiln.ReasonReservedConcurrency)
		if got, want := d.Usage(home), (dispatch.Usage{AccountLimit: 5, Reserved: 2, UnreservedLimit: 3, Running: 5, Unreserved: 3}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		close(release)
		wg.Wait()
		if got := d.Usage(home); got.Running != 0 || got.Unreserved != 0 {
			t.Errorf("after the calls %+v is held", got)
		}
	})
}

func TestReservationsThatChangeUnderRunningCallsNeverRaiseTheAccountsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		three := 3
		b := &book{reserved: map[string]*int{"a": nil, "b": nil}}
		m, started, release := held()
		d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}, AccountConcurrency: 4})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _, _ = d.Invoke(t.Context(), call("a")) })
			<-started
		}
		b.set("b", &three)
		wg.Go(func() { _, _ = d.Invoke(t.Context(), call("b")) })
		<-started
		if _, err := d.Invoke(t.Context(), call("b")); reason(err) != kiln.ReasonAccountConcurrency {
			t.Errorf("the fifth call of four: got %v", err)
		}
		b.set("a", &three)
		if _, err := d.Invoke(t.Context(), call("a")); reason(err) != kiln.ReasonReservedConcurrency {
			t.Errorf("calls that began unreserved do not count against the new reservation: got %v", err)
		}
		b.set("a", nil)
		close(release)
		wg.Wait()
		if got := d.Usage(home); got.Running != 0 || got.Unreserved != 0 {
			t.Errorf("after the calls %+v is held", got)
		}
	})
}

func TestTwoScopesDoNotShareALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{reserved: map[string]*int{"f": nil}}
		m, started, release := held()
		d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}, AccountConcurrency: 1})
		var wg sync.WaitGroup
		for _, account := range []string{"1", "2"} {
			inv := call("f")
			inv.Function.Account = account
			wg.Go(func() {
				if _, err := d.Invoke(t.Context(), inv); err != nil {
					t.Errorf("account %s: %v", account, err)
				}
			})
			<-started
		}
		close(release)
		wg.Wait()
	})
}

func TestABurstNeverExceedsALimit(t *testing.T) {
	const account, reserved, callers = 100, 30, 2000
	r := reserved
	b := &book{reserved: map[string]*int{"r": &r, "x": nil, "y": nil}}
	m := &machine{}
	full := make(chan struct{}) // closed by the first refusal: a limit was really met
	m.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		<-full
		for range 20 { // give the others a chance to be here at the same time
			runtime.Gosched()
		}
		return &kiln.Outcome{}, nil
	}
	d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}, AccountConcurrency: account})
	var callersDone sync.WaitGroup
	var served, refused atomic.Int64
	gate := make(chan struct{})
	for i := range callers {
		name := []string{"r", "x", "y"}[i%3]
		callersDone.Go(func() {
			<-gate
			for {
				_, err := d.Invoke(t.Context(), call(name))
				if err == nil {
					served.Add(1)
					return
				}
				if kiln.CodeOf(err) != kiln.Throttled {
					t.Errorf("got %v", err)
					return
				}
				if refused.Add(1) == 1 {
					close(full)
				}
				runtime.Gosched()
			}
		})
	}
	close(gate)
	callersDone.Wait()
	if served.Load() != callers {
		t.Errorf("%d calls were served, want %d", served.Load(), callers)
	}
	if m.highest[""] > account || m.highest["r"] > reserved || m.highest["x"] > account-reserved || m.highest["y"] > account-reserved {
		t.Errorf("running at once: %v; want at most %d, r %d, others %d", m.highest, account, reserved, account-reserved)
	}
	if u := d.Usage(home); u.Running != 0 || u.Unreserved != 0 {
		t.Errorf("%+v is held after the burst", u)
	}
	t.Logf("highest %v, refused %d", m.highest, refused.Load())
}

func TestABurstOfHeldCallsFillsTheLimitExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ten := 10
		b := &book{reserved: map[string]*int{"r": &ten, "x": nil}}
		m, _, release := held()
		d := dispatch.New(dispatch.Options{Catalog: b, Workers: []dispatch.Worker{m}, AccountConcurrency: 200})
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 2000 {
			name := []string{"r", "x"}[i%2]
			wg.Go(func() {
				_, err := d.Invoke(t.Context(), call(name))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got[name]++
				} else {
					got[name+" "+reason(err)]++
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		want := map[string]int{"r": 10, "x": 190,
			"r " + kiln.ReasonReservedConcurrency: 990, "x " + kiln.ReasonAccountConcurrency: 810}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
