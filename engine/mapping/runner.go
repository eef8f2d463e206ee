package mapping

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"kiln"
)

// commitTime bounds a commit when the server goes down meanwhile: what is done should
// not come again.
const commitTime = 10 * time.Second

// runner serves one mapping as it is at one moment: one loop for each lane, and one
// goroutine for each batch.
type runner struct {
	m       *kiln.Mapping
	filter  filter
	invoker Invoker
	book    Book
	slots   *slots
	log     *slog.Logger
	report  func(result string) // what is wrong, or "" that nothing is

	stop  context.CancelFunc // reading ends
	calls context.Context    // of invocations, which outlive the reading
	work  sync.WaitGroup
}

// startRunner begins to read lanes. Invocations run until calls ends at the latest.
func startRunner(calls context.Context, r *runner, lanes []Lane) *runner {
	reading, stop := context.WithCancel(calls)
	r.stop, r.calls = stop, calls
	for _, l := range lanes {
		r.work.Go(func() { r.serve(reading, l) })
	}
	return r
}

// end stops the reading and waits for the batches that run.
func (r *runner) end() {
	r.stop()
	r.work.Wait()
}

// serve is the loop of a lane.
func (r *runner) serve(ctx context.Context, l Lane) {
	troubles := 0
	for r.slots.take(ctx) {
		if !r.functionThere() {
			r.slots.give(false)
			r.report(resultMissing)
			troubles++
			sleep(ctx, pause(troubles))
			continue
		}
		haul, since, err := r.collect(ctx, l)
		if err != nil && ctx.Err() == nil {
			troubles++
			r.report("PROBLEM: " + err.Error())
			r.log.Warn("a source cannot be read", "mapping", r.m.ID, "source", r.m.Source, "error", err, "again", pause(troubles))
		}
		if len(haul) == 0 {
			r.slots.give(false)
			if err != nil {
				sleep(ctx, pause(troubles))
			}
			continue
		}
		troubles = 0
		r.work.Go(func() { r.slots.give(r.deliver(l, haul, since)) })
	}
}

// functionThere reports whether there is something to run: records that are read for
// nothing would be counted as tried.
func (r *runner) functionThere() bool {
	_, err := r.book.Version(r.m.Function, r.m.Qualifier)
	return kiln.CodeOf(err) != kiln.NotFound || err == nil
}

// collect reads until there is a batch, and gives it with the time at which its first
// record was read. What was read before an error comes with it.
func (r *runner) collect(ctx context.Context, l Lane) (haul []Record, since time.Time, err error) {
	limits := r.limits()
	var t tally
	for {
		most, wait := limits.step(t, time.Now())
		if most == 0 {
			return haul, since, nil
		}
		before := time.Now()
		records, err := l.Read(ctx, most, wait)
		if err != nil || len(records) == 0 && t.records == 0 {
			return haul, since, err
		}
		if t.records == 0 {
			since, t.first = before, time.Now()
		}
		for _, rec := range records {
			haul = append(haul, rec)
			t.records++
			t.bytes += len(rec.JSON)
		}
		if ctx.Err() != nil {
			return haul, since, nil
		}
	}
}

func (r *runner) limits() limits {
	return limits{records: r.m.BatchSize, bytes: kiln.MaxSyncPayload, window: r.m.Window}
}

// deliver gives what was read to the function, batch by batch, and reports whether all
// went well.
func (r *runner) deliver(l Lane, haul []Record, since time.Time) (well bool) {
	terms := l.Terms()
	var wanted, unwanted []Record
	for i := range haul {
		if r.filter.wants(&haul[i]) {
			wanted = append(wanted, haul[i])
		} else {
			unwanted = append(unwanted, haul[i])
		}
	}
	if len(unwanted) > 0 {
		r.commit(l, unwanted, nil)
	}
	sizes := make([]int, len(wanted))
	for i := range wanted {
		sizes[i] = len(wanted[i].JSON)
	}
	well = true
	broken := map[string]bool{} // groups of which a record failed
	for _, n := range r.limits().cut(sizes) {
		batch := wanted[:n]
		wanted = wanted[n:]
		var held []Record
		if terms.Ordered {
			batch, held = apart(batch, broken)
		}
		if len(batch) > 0 {
			v := r.try(batch, terms, since)
			r.report(v.result)
			done, failed := split(batch, v.failed)
			for _, rec := range failed {
				broken[rec.Group] = true
			}
			well = well && len(failed) == 0
			r.commit(l, done, append(failed, held...))
			continue
		}
		r.commit(l, nil, held)
	}
	return well
}

// apart divides records into those whose groups are whole and those whose groups are
// broken.
func apart(records []Record, broken map[string]bool) (whole, held []Record) {
	for _, rec := range records {
		if broken[rec.Group] {
			held = append(held, rec)
		} else {
			whole = append(whole, rec)
		}
	}
	return whole, held
}

func split(records []Record, failed []bool) (done, not []Record) {
	for i, rec := range records {
		if failed[i] {
			not = append(not, rec)
		} else {
			done = append(done, rec)
		}
	}
	return done, not
}

// try runs the function with a batch. While the platform has no room, and the records are
// held, it tries again.
func (r *runner) try(batch []Record, terms Terms, since time.Time) verdict {
	payload := event(batch)
	for refusals := 1; ; refusals++ {
		out, err := r.invoker.Invoke(r.calls, &kiln.Invocation{
			ID: kiln.NewID(), Attempt: kiln.NewID(), Function: r.m.Function, Qualifier: r.m.Qualifier, Payload: payload, Accepted: time.Now(),
		})
		v := judge(batch, r.m.Partial, terms.Ordered, out, err)
		if err != nil {
			r.log.Debug("a batch could not be given to a function", "mapping", r.m.ID, "function", r.m.FunctionARN(), "error", err)
		}
		if !v.again {
			return v
		}
		r.slots.shrink()
		wait := pause(refusals)
		if !mayWait(time.Since(since), wait, r.timeout(), terms.Hold) || !sleep(r.calls, wait) {
			return v
		}
	}
}

// timeout is how long an invocation may take.
func (r *runner) timeout() time.Duration {
	v, err := r.book.Version(r.m.Function, r.m.Qualifier)
	if err != nil {
		return kiln.DefaultTimeout
	}
	return v.Config.Timeout
}

// event is the payload with the records of a batch.
func event(batch []Record) []byte {
	size := frame + len(batch)
	for _, rec := range batch {
		size += len(rec.JSON)
	}
	out := append(make([]byte, 0, size), `{"Records":[`...)
	for i, rec := range batch {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, rec.JSON...)
	}
	return append(out, "]}"...)
}

// commit tells a lane what became of records, also while the server goes down. What
// cannot be told comes again.
func (r *runner) commit(l Lane, done, failed []Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.calls), commitTime)
	defer cancel()
	if err := l.Commit(ctx, done, failed); err != nil {
		r.log.Warn("records that are done will come again", "mapping", r.m.ID, "source", r.m.Source, "error", err)
	}
}

// sleep waits and reports whether it was not disturbed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
