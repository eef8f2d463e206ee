package mapping

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln"
)

// Manager keeps mappings as requests want them, and has a goroutine for each, so that
// one that waits keeps no other from going on. It is safe for concurrent use.
type Manager struct {
	o   Options
	log *slog.Logger

	reading, calls context.Context
	stop, kill     context.CancelFunc
	work           sync.WaitGroup

	mu      sync.Mutex
	entries map[key]*entry
	started bool
}

type key struct {
	scope kiln.Scope
	id    string
}

// entry is one mapping. Its mapping is never changed but replaced.
type entry struct {
	m    *kiln.Mapping
	busy bool          // a request writes it down
	wake chan struct{} // holds a token when the mapping was replaced
}

// New reads the book. Nothing is read from sources before Start.
func New(o Options) *Manager {
	if o.Book == nil || o.Invoker == nil {
		panic("mapping: Book and Invoker are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Concurrency == 0 {
		o.Concurrency = kiln.DefaultAccountConcurrency
	}
	x := &Manager{o: o, log: o.Logger, entries: map[key]*entry{}}
	x.calls, x.kill = context.WithCancel(context.Background())
	x.reading, x.stop = context.WithCancel(x.calls)
	for _, m := range o.Book.Mappings() {
		known := *m
		known.State, known.Reason = settle(m.Enabled), userInitiated
		if m.Deleting {
			known.State = kiln.MappingDeleting
		}
		x.entries[key{m.Scope, m.ID}] = newEntry(&known)
	}
	return x
}

func newEntry(m *kiln.Mapping) *entry {
	e := &entry{m: m, wake: make(chan struct{}, 1)}
	e.wake <- struct{}{}
	return e
}

// Start begins to serve what the book has, and what comes.
func (x *Manager) Start() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.started || x.reading.Err() != nil {
		return
	}
	x.started = true
	for _, e := range x.entries {
		x.work.Go(func() { x.keep(e) })
	}
}

// Close reads nothing more and waits for the invocations that run. When ctx ends first,
// they are ended; their records come again.
func (x *Manager) Close(ctx context.Context) error {
	x.mu.Lock()
	x.stop()
	x.mu.Unlock()
	done := make(chan struct{})
	go func() { x.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		x.kill()
		<-done
	}
	x.kill()
	return nil
}

// Create makes a mapping and gives it as it is then: being created.
func (x *Manager) Create(ctx context.Context, m kiln.Mapping) (*kiln.Mapping, error) {
	if err := x.check(ctx, &m); err != nil {
		return nil, err
	}
	m.ID, m.Modified = kiln.NewID(), now()
	if err := x.o.Book.AddMapping(ctx, &m); err != nil {
		return nil, err
	}
	m.State, m.Reason = kiln.MappingCreating, userInitiated
	x.mu.Lock()
	defer x.mu.Unlock()
	e := newEntry(&m)
	x.entries[key{m.Scope, m.ID}] = e
	if x.started && x.reading.Err() == nil {
		x.work.Go(func() { x.keep(e) })
	}
	return &m, nil
}

// check refuses a mapping that cannot be.
func (x *Manager) check(ctx context.Context, m *kiln.Mapping) error {
	source := x.o.Sources[m.SourceService()]
	if source == nil {
		return unrecognized(m)
	}
	if _, err := newFilter(m.Filters); err != nil {
		return err
	}
	v, err := x.o.Book.Version(m.Function, m.Qualifier)
	if kiln.CodeOf(err) == kiln.NotFound {
		return kiln.Errorf(kiln.Invalid, "Function does not exist")
	}
	if err != nil {
		return err
	}
	if x.o.Permit != nil {
		if err := x.o.Permit(m, v); err != nil {
			return err
		}
	}
	return source.Check(ctx, m, v.Config.Timeout)
}

// readable are the services that AWS reads from by mappings.
var readable = []string{"kinesis", "dynamodb", "kafka", "mq", "rds", "docdb"}

// unrecognized refuses a source that nothing here reads.
func unrecognized(m *kiln.Mapping) error {
	if service := m.SourceService(); slices.Contains(readable, service) {
		return kiln.Errorf(kiln.Invalid, "kiln does not support %s as the source of a mapping yet; it reads from SQS.", service)
	}
	return kiln.Errorf(kiln.Invalid, "Unrecognized event source.")
}

// Update lets change edit a copy of a mapping. The result is what the mapping is then:
// on its way to what was asked for.
func (x *Manager) Update(ctx context.Context, in kiln.Scope, id string, change func(*kiln.Mapping) error) (*kiln.Mapping, error) {
	return x.write(in, id, func(old *kiln.Mapping) (*kiln.Mapping, error) {
		next := *old
		if err := change(&next); err != nil {
			return nil, err
		}
		w := toUpdate
		switch {
		case next.Enabled && !old.Enabled:
			w = toEnable
		case !next.Enabled && old.Enabled:
			w = toDisable
		}
		state, err := begin(old.State, w)
		if err != nil {
			return nil, err
		}
		if w == toDisable { // what is switched off need not be there any more
			_, err = newFilter(next.Filters)
		} else {
			err = x.check(ctx, &next)
		}
		if err != nil {
			return nil, err
		}
		next.Modified = now()
		if err := x.o.Book.SetMapping(ctx, &next); err != nil {
			return nil, err
		}
		next.State, next.Reason, next.Result = state, userInitiated, ""
		return &next, nil
	})
}

// Delete takes a mapping away as soon as what runs is over.
func (x *Manager) Delete(ctx context.Context, in kiln.Scope, id string) (*kiln.Mapping, error) {
	return x.write(in, id, func(old *kiln.Mapping) (*kiln.Mapping, error) {
		state, err := begin(old.State, toDelete)
		if err != nil {
			return nil, err
		}
		next := *old
		next.Deleting, next.Modified = true, now()
		if err := x.o.Book.SetMapping(ctx, &next); err != nil {
			return nil, err
		}
		next.State, next.Reason = state, userInitiated
		return &next, nil
	})
}

// Retag lets change edit a copy of the tags of a mapping, which goes on as it is.
func (x *Manager) Retag(ctx context.Context, in kiln.Scope, id string, change func(map[string]string) error) error {
	_, err := x.write(in, id, func(old *kiln.Mapping) (*kiln.Mapping, error) {
		next := *old
		next.Tags = map[string]string{}
		for k, v := range old.Tags {
			next.Tags[k] = v
		}
		if err := change(next.Tags); err != nil {
			return nil, err
		}
		return &next, x.o.Book.SetMapping(ctx, &next)
	})
	return err
}

// write replaces a mapping by what revise makes of it. One that is being written already is
// in use.
func (x *Manager) write(in kiln.Scope, id string, revise func(old *kiln.Mapping) (*kiln.Mapping, error)) (*kiln.Mapping, error) {
	x.mu.Lock()
	e := x.entries[key{in, id}]
	switch {
	case e == nil:
		x.mu.Unlock()
		return nil, errNotThere
	case e.busy:
		x.mu.Unlock()
		return nil, kiln.Errorf(kiln.Conflict, "Cannot update the event source mapping because it is in use.")
	}
	e.busy = true
	old := e.m
	x.mu.Unlock()

	next, err := revise(old)

	x.mu.Lock()
	defer x.mu.Unlock()
	e.busy = false
	if err != nil {
		return nil, err
	}
	if next.State == old.State { // what was learnt meanwhile
		next.State, next.Reason, next.Result = e.m.State, e.m.Reason, e.m.Result
	}
	e.m = next
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return next, nil
}

// errNotThere is AWS's answer.
var errNotThere = &kiln.Error{Code: kiln.NotFound, Message: "The resource you requested does not exist."}

// Mapping gives one.
func (x *Manager) Mapping(in kiln.Scope, id string) (*kiln.Mapping, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key{in, id}]; e != nil {
		return e.m, nil
	}
	return nil, errNotThere
}

// Mappings gives those of a scope by their IDs.
func (x *Manager) Mappings(in kiln.Scope) []*kiln.Mapping {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []*kiln.Mapping
	for k, e := range x.entries {
		if k.scope == in {
			out = append(out, e.m)
		}
	}
	slices.SortFunc(out, func(a, b *kiln.Mapping) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// keep serves one mapping as requests want it, until it is deleted or the server ends.
func (x *Manager) keep(e *entry) {
	var r *runner
	end := func() {
		if r != nil {
			r.end()
			r = nil
		}
	}
	defer end()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for tries := 0; ; {
		select {
		case <-e.wake:
			tries = 0
		case <-again.C:
		case <-x.reading.Done():
			return
		}
		again.Stop()
		want := x.current(e)
		if r != nil && (!want.Enabled || want.Deleting || !same(r.m, want)) {
			end()
		}
		var err error
		switch {
		case want.Deleting:
			if err = x.o.Book.DropMapping(x.reading, want.Scope, want.ID); err == nil {
				x.mu.Lock()
				delete(x.entries, key{want.Scope, want.ID})
				x.mu.Unlock()
				return
			}
		case want.Enabled && r == nil:
			r, err = x.open(e, want)
		}
		if err != nil {
			tries++
			x.log.Warn("a mapping cannot be served", "mapping", want.ID, "source", want.Source, "error", err, "again", pause(tries))
			again.Reset(pause(tries))
		}
		x.settle(e, want, err)
	}
}

// same reports whether two forms of a mapping are served alike.
func same(a, b *kiln.Mapping) bool {
	return a.Function == b.Function && a.Qualifier == b.Qualifier && a.BatchSize == b.BatchSize && a.Window == b.Window &&
		slices.Equal(a.Filters, b.Filters) && a.Partial == b.Partial && a.MaxConcurrency == b.MaxConcurrency
}

func (x *Manager) current(e *entry) *kiln.Mapping {
	x.mu.Lock()
	defer x.mu.Unlock()
	return e.m
}

// settle notes that a mapping is what a request wanted, or what is in the way. A source
// that cannot be opened does not keep a mapping from being enabled: it may come back, and
// requests must be able to change the mapping.
func (x *Manager) settle(e *entry, want *kiln.Mapping, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.m != want {
		return // there is another token
	}
	next := *e.m
	next.Result = ""
	if err != nil {
		next.Result = "PROBLEM: " + text(err)
	}
	if !want.Deleting {
		next.State = settle(want.Enabled)
	}
	e.m = &next
}

// report notes how the last batch went.
func (x *Manager) report(e *entry, result string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.m.Result != result && settled(e.m.State) {
		next := *e.m
		next.Result = result
		e.m = &next
	}
}

// text is what a client learns of an error.
func text(err error) string {
	var e *kiln.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// open begins to read the source of a mapping.
func (x *Manager) open(e *entry, m *kiln.Mapping) (*runner, error) {
	source := x.o.Sources[m.SourceService()]
	if source == nil {
		return nil, unrecognized(m)
	}
	f, err := newFilter(m.Filters)
	if err != nil {
		return nil, err
	}
	if x.o.Permit != nil {
		v, err := x.o.Book.Version(m.Function, m.Qualifier)
		if err != nil {
			return nil, err
		}
		if err := x.o.Permit(m, v); err != nil {
			return nil, err
		}
	}
	lanes, err := source.Open(x.reading, m)
	if err != nil {
		return nil, err
	}
	most := m.MaxConcurrency
	if most == 0 {
		most = x.o.Concurrency
	}
	r := &runner{m: m, filter: f, invoker: x.o.Invoker, book: x.o.Book, slots: newSlots(most), log: x.log, report: func(s string) { x.report(e, s) }}
	return startRunner(x.calls, r, lanes), nil
}

// now gives the time with the precision of what is kept.
func now() time.Time { return time.Now().UTC().Round(time.Microsecond) }
