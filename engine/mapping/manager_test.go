package mapping_test

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
	"kiln/engine/mapping"
)

// shelf is a book in memory with functions that are there or not.
type shelf struct {
	mu       sync.Mutex
	m        map[string]*kiln.Mapping
	missing  bool
	writable error
}

func (s *shelf) Mappings() (out []*kiln.Mapping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.m {
		out = append(out, m)
	}
	return out
}

func (s *shelf) AddMapping(ctx context.Context, m *kiln.Mapping) error { return s.SetMapping(ctx, m) }

func (s *shelf) SetMapping(_ context.Context, m *kiln.Mapping) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writable != nil {
		return s.writable
	}
	kept := *m
	kept.State = ""
	s.m[m.ID] = &kept
	return nil
}

func (s *shelf) DropMapping(_ context.Context, _ kiln.Scope, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}

func (s *shelf) Version(id kiln.FunctionID, _ kiln.Qualifier) (*kiln.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing {
		return nil, kiln.Errorf(kiln.NotFound, "no %s", id.Name)
	}
	return &kiln.Version{Function: id, Config: kiln.Config{Timeout: 3 * time.Second}}, nil
}

// belt is a source of one queue in memory: what is read is hidden for a time.
type belt struct {
	mu      sync.Mutex
	ready   []mapping.Record
	hidden  map[string]mapping.Record
	done    []string
	failed  []string
	reads   int
	trouble error
	ordered bool
	hold    time.Duration
	more    chan struct{}
}

func newBelt(ids ...string) *belt {
	b := &belt{hidden: map[string]mapping.Record{}, hold: 30 * time.Second, more: make(chan struct{}, 1)}
	b.put(ids...)
	return b
}

// put adds records: "id" or "id/group"; those that begin with x no filter wants.
func (b *belt) put(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		id, group, _ := strings.Cut(name, "/")
		text := []byte(fmt.Sprintf(`{"messageId":%q,"kind":%q}`, id, id[:1]))
		b.ready = append(b.ready, mapping.Record{ID: id, Group: group, JSON: text, Document: text})
	}
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *belt) Check(context.Context, *kiln.Mapping, time.Duration) error { return b.fault() }

func (b *belt) Open(context.Context, *kiln.Mapping) ([]mapping.Lane, error) {
	return []mapping.Lane{b}, b.fault()
}

func (b *belt) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trouble
}

func (b *belt) Terms() mapping.Terms { return mapping.Terms{Ordered: b.ordered, Hold: b.hold} }

func (b *belt) Read(ctx context.Context, most int, wait time.Duration) ([]mapping.Record, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		b.mu.Lock()
		b.reads++
		if b.trouble != nil {
			defer b.mu.Unlock()
			return nil, b.trouble
		}
		if n := min(most, len(b.ready), 10); n > 0 {
			out := slices.Clone(b.ready[:n])
			b.ready = b.ready[n:]
			for _, r := range out {
				b.hidden[r.ID] = r
			}
			b.mu.Unlock()
			return out, nil
		}
		b.mu.Unlock()
		select {
		case <-b.more:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (b *belt) Commit(_ context.Context, done, failed []mapping.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range done {
		delete(b.hidden, r.ID)
		b.done = append(b.done, r.ID)
	}
	for _, r := range failed {
		b.failed = append(b.failed, r.ID)
	}
	return nil
}

// result gives what was done and what failed, sorted.
func (b *belt) result() (done, failed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.done)
	slices.Sort(b.failed)
	return strings.Join(b.done, " "), strings.Join(b.failed, " ")
}

// functions is an invoker: what each call got, and what it says.
type functions struct {
	mu    sync.Mutex
	calls []string
	now   int
	most  int
	say   func(ids []string) (*kiln.Outcome, error)
}

func (f *functions) Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	var e struct {
		Records []struct{ MessageID string }
	}
	if err := json.Unmarshal(inv.Payload, &e); err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range e.Records {
		ids = append(ids, r.MessageID)
	}
	f.mu.Lock()
	f.calls = append(f.calls, strings.Join(ids, "+"))
	f.now++
	f.most = max(f.most, f.now)
	say := f.say
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.now--; f.mu.Unlock() }()
	if say == nil {
		return &kiln.Outcome{Payload: []byte("null")}, nil
	}
	return say(ids)
}

var scope = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

func order() kiln.Mapping {
	return kiln.Mapping{Scope: scope, Source: "arn:aws:belt:eu-west-1:111111111111:b", Function: kiln.FunctionID{Scope: scope, Name: "f"}, Enabled: true, BatchSize: 10}
}

// world is a manager with one source, and the mapping of a test.
type world struct {
	*mapping.Manager
	t     *testing.T
	shelf *shelf
	belt  *belt
	f     *functions
	id    string
}

// live runs a story in a bubble with one mapping.
func live(t *testing.T, b *belt, change func(*kiln.Mapping), story func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, shelf: &shelf{m: map[string]*kiln.Mapping{}}, belt: b, f: &functions{}}
		b.more = make(chan struct{}, 1)
		w.open()
		m := order()
		if change != nil {
			change(&m)
		}
		made, err := w.Create(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if made.State != kiln.MappingCreating {
			t.Errorf("it is %s", made.State)
		}
		w.id = made.ID
		story(w)
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// says changes what the function says.
func (w *world) says(say func([]string) (*kiln.Outcome, error)) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.say = say
}

func (w *world) open() {
	w.Manager = mapping.New(mapping.Options{Book: w.shelf, Invoker: w.f, Sources: map[string]mapping.Source{"belt": w.belt}})
	w.Start()
}

// after lets time pass and checks what became of the records by then.
func (w *world) after(d time.Duration, done, failed string) {
	w.t.Helper()
	time.Sleep(d) // in the bubble
	synctest.Wait()
	if gotDone, gotFailed := w.belt.result(); gotDone != done || gotFailed != failed {
		w.t.Errorf("after %v: done %q, failed %q, want %q and %q", d, gotDone, gotFailed, done, failed)
	}
}

func (w *world) is(state kiln.MappingState, result string) {
	w.t.Helper()
	synctest.Wait()
	m, err := w.Mapping(scope, w.id)
	if err != nil || m.State != state || m.Result != result || m.Reason != "USER_INITIATED" {
		w.t.Errorf("got %+v, %v, want %s %q", m, err, state, result)
	}
}

func TestRecordsReachTheFunctionAndAreDone(t *testing.T) {
	live(t, newBelt("a", "b", "x1"), func(m *kiln.Mapping) { m.Filters = []string{`{"kind":["a"]}`, `{"kind":["b"]}`} }, func(w *world) {
		w.after(0, "a b x1", "")
		w.is(kiln.MappingEnabled, "")
		if !slices.Equal(w.f.calls, []string{"a+b"}) {
			t.Errorf("calls %q: what no filter wants is done without one", w.f.calls)
		}
	})
}

func TestAWindowCollects(t *testing.T) {
	live(t, newBelt("a"), func(m *kiln.Mapping) { m.BatchSize, m.Window = 25, 5*time.Second }, func(w *world) {
		w.after(3*time.Second, "", "")
		for i := range 20 {
			w.belt.put(fmt.Sprintf("b%02d", i))
		}
		w.after(time.Second, "", "")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(w.f.calls) != 1 || strings.Count(w.f.calls[0], "+") != 20 {
			t.Errorf("calls %q, want one of 21 records", w.f.calls)
		}
		for i := range 26 {
			w.belt.put(fmt.Sprintf("c%02d", i))
		}
		synctest.Wait()
		if len(w.f.calls) != 2 || strings.Count(w.f.calls[1], "+") != 24 {
			t.Errorf("calls %q, want a full one at once", w.f.calls)
		}
	})
}

func TestFailuresStayWithTheSource(t *testing.T) {
	live(t, newBelt(), func(m *kiln.Mapping) { m.Partial = true }, func(w *world) {
		w.says(func([]string) (*kiln.Outcome, error) {
			return &kiln.Outcome{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"b"}]}`)}, nil
		})
		w.belt.put("a", "b", "c")
		w.after(0, "a c", "b")
		w.is(kiln.MappingEnabled, "PROBLEM: Function call failed")
		w.says(nil)
		w.belt.put("d")
		w.after(0, "a c d", "b")
		w.is(kiln.MappingEnabled, "")
	})
}

func TestOrderIsKeptWithinAGroup(t *testing.T) {
	b := newBelt()
	b.ordered = true
	live(t, b, func(m *kiln.Mapping) { m.Partial = true }, func(w *world) {
		w.says(func([]string) (*kiln.Outcome, error) {
			return &kiln.Outcome{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`)}, nil
		})
		w.belt.put("a/1", "b/2", "c/1", "d/2")
		w.after(0, "b d", "a c")
	})
}

func TestThrottlesAreWaitedForWhileTheRecordsAreHeld(t *testing.T) {
	live(t, newBelt(), nil, func(w *world) {
		w.says(func([]string) (*kiln.Outcome, error) { return nil, kiln.Errorf(kiln.Throttled, "no room") })
		w.belt.put("a")
		w.after(10*time.Second, "", "")
		w.f.mu.Lock()
		n := len(w.f.calls) // after 0, 1, 3 and 7 seconds
		w.f.mu.Unlock()
		w.says(nil)
		if n != 4 {
			t.Errorf("%d attempts in 10 seconds, want 4", n)
		}
		w.after(10*time.Second, "a", "")
		w.says(func([]string) (*kiln.Outcome, error) { return nil, kiln.Errorf(kiln.Throttled, "no room") })
		w.belt.put("b")
		w.after(31*time.Second, "a", "b") // it will come again from the source
	})
}

func TestConcurrencyIsBoundedAndGrows(t *testing.T) {
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("r%03d", i)
	}
	for _, c := range []struct{ limit, least, most int }{{2, 2, 2}, {0, 20, 1000}} {
		live(t, newBelt(), func(m *kiln.Mapping) { m.BatchSize, m.MaxConcurrency = 1, c.limit }, func(w *world) {
			w.says(func([]string) (*kiln.Outcome, error) {
				time.Sleep(time.Second)
				return &kiln.Outcome{}, nil
			})
			w.belt.put(names...)
			w.after(5*time.Minute, strings.Join(names, " "), "")
			if w.f.most < c.least || w.f.most > c.most {
				t.Errorf("limit %d: %d at once", c.limit, w.f.most)
			}
		})
	}
}

func TestNothingIsReadForAFunctionThatIsGone(t *testing.T) {
	live(t, newBelt(), nil, func(w *world) {
		synctest.Wait()
		w.shelf.mu.Lock()
		w.shelf.missing = true
		w.shelf.mu.Unlock()
		time.Sleep(time.Minute) // until the read that waits is over
		w.belt.put("a")
		time.Sleep(time.Minute)
		w.is(kiln.MappingEnabled, "PROBLEM: Function not found")
		w.after(0, "", "")
		if len(w.belt.hidden) != 0 {
			t.Error("a record was read for nothing")
		}
		w.shelf.mu.Lock()
		w.shelf.missing = false
		w.shelf.mu.Unlock()
		w.after(time.Minute, "a", "")
	})
}

func TestASourceThatIsGoneIsTriedAgainWithPauses(t *testing.T) {
	live(t, newBelt(), nil, func(w *world) {
		synctest.Wait()
		w.belt.mu.Lock()
		w.belt.trouble, w.belt.reads = errors.New("no such queue"), 0
		w.belt.mu.Unlock()
		time.Sleep(5 * time.Minute)
		w.is(kiln.MappingEnabled, "PROBLEM: no such queue")
		w.belt.mu.Lock()
		reads := w.belt.reads
		w.belt.trouble = nil
		w.belt.mu.Unlock()
		if reads < 5 || reads > 20 {
			t.Errorf("%d reads in 5 minutes", reads)
		}
		w.belt.put("a")
		w.after(time.Minute, "a", "")
		w.is(kiln.MappingEnabled, "")
	})
}

func TestAMappingIsSwitchedOffOnChangedAndDeleted(t *testing.T) {
	live(t, newBelt(), nil, func(w *world) {
		t := w.t
		set := func(change func(*kiln.Mapping), want kiln.MappingState) {
			t.Helper()
			m, err := w.Update(t.Context(), scope, w.id, func(m *kiln.Mapping) error { change(m); return nil })
			if err != nil || m.State != want {
				t.Errorf("got %+v, %v, want %s", m, err, want)
			}
		}
		w.is(kiln.MappingEnabled, "")
		release := make(chan struct{})
		w.says(func([]string) (*kiln.Outcome, error) { <-release; return &kiln.Outcome{}, nil })
		w.belt.put("a")
		synctest.Wait()
		set(func(m *kiln.Mapping) { m.Enabled = false }, kiln.MappingDisabling)
		w.is(kiln.MappingDisabling, "") // a runs
		if _, err := w.Update(t.Context(), scope, w.id, func(*kiln.Mapping) error { return nil }); kiln.CodeOf(err) != kiln.Conflict {
			t.Errorf("a change meanwhile: %v", err)
		}
		if _, err := w.Delete(t.Context(), scope, w.id); kiln.CodeOf(err) != kiln.Conflict {
			t.Errorf("a deletion meanwhile: %v", err)
		}
		close(release)
		w.is(kiln.MappingDisabled, "")
		w.belt.put("b")
		w.after(time.Hour, "a", "")
		set(func(m *kiln.Mapping) { m.Enabled = true }, kiln.MappingEnabling)
		w.after(0, "a b", "")
		w.is(kiln.MappingEnabled, "")
		set(func(m *kiln.Mapping) { m.BatchSize = 1 }, kiln.MappingUpdating)
		w.is(kiln.MappingEnabled, "")
		w.f.mu.Lock()
		w.f.calls = nil
		w.f.mu.Unlock()
		w.belt.put("c", "d")
		w.after(0, "a b c d", "")
		if len(w.f.calls) != 2 {
			t.Errorf("calls %q, want batches of one", w.f.calls)
		}
		w.belt.put("x")
		if err := w.Close(context.Background()); err != nil { // as the server ends
			t.Error(err)
		}
		w.open()
		w.after(0, "a b c d x", "")
		if _, err := w.Delete(t.Context(), scope, w.id); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := w.Mapping(scope, w.id); kiln.CodeOf(err) != kiln.NotFound || len(w.shelf.m) != 0 || len(w.Mappings(scope)) != 0 {
			t.Errorf("it is still there: %v", err)
		}
	})
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	b := newBelt()
	m := mapping.New(mapping.Options{Book: &shelf{m: map[string]*kiln.Mapping{}}, Invoker: &functions{}, Sources: map[string]mapping.Source{"belt": b},
		Permit: func(m *kiln.Mapping, _ *kiln.Version) error {
			if m.Function.Name == "barred" {
				return kiln.Errorf(kiln.Invalid, "not allowed")
			}
			return nil
		}})
	for want, change := range map[string]func(*kiln.Mapping){
		"Unrecognized event source.":                                                        func(m *kiln.Mapping) { m.Source = "x" },
		"Invalid filter pattern definition.":                                                func(m *kiln.Mapping) { m.Filters = []string{"null"} },
		"FilterCriteria has 6 filters, and at most 5 are allowed.":                          func(m *kiln.Mapping) { m.Filters = make([]string, 6) },
		"kiln does not support dynamodb as the source of a mapping yet; it reads from SQS.": func(m *kiln.Mapping) { m.Source = "arn:aws:dynamodb:eu-west-1:1:table/t/stream/s" },
		"not allowed": func(m *kiln.Mapping) { m.Function.Name = "barred" },
	} {
		o := order()
		change(&o)
		var e *kiln.Error
		if _, err := m.Create(t.Context(), o); !errors.As(err, &e) || e.Message != want || e.Code != kiln.Invalid {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
