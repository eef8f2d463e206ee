package catalog

import (
	"context"
	"sync"
	"time"

	"kiln"
)

// job is a version whose package has to be put in place.
type job struct {
	id     kiln.FunctionID
	number int
	tries  int // how often it was tried already
	// restore says that the version was in place, and may lack its image now.
	restore bool
}

// jobs is the list of what has to be prepared, in order. It is as long as the
// number of versions that wait, which the book bounds.
type jobs struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []job
	open    int              // jobs that are queued, wait for their time or are at work
	once    map[job]struct{} // those of addOnce
	idle    chan struct{}    // closed while open is 0
	timers  map[*time.Timer]struct{}
	closed  bool
}

func newJobs() *jobs {
	j := &jobs{idle: make(chan struct{}), once: map[job]struct{}{}, timers: map[*time.Timer]struct{}{}}
	j.changed = sync.NewCond(&j.mu)
	close(j.idle)
	return j
}

// add puts a job at the end of the list.
func (j *jobs) add(one job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begin()
	j.push(one)
}

// addOnce is add for a job that many ask for: as long as it is open, it is not added
// again.
func (j *jobs) addOnce(one job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.once[one]; known || j.closed {
		return
	}
	j.once[one] = struct{}{}
	j.begin()
	j.push(one)
}

// forget lets addOnce add a job again.
func (j *jobs) forget(one job) {
	one.tries = 0
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.once, one)
}

// later adds a job when a time has passed, unless the list is closed before.
func (j *jobs) later(one job, wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.begin()
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.timers, t)
		j.push(one)
	})
	j.timers[t] = struct{}{}
}

func (j *jobs) begin() {
	if j.open++; j.open == 1 {
		j.idle = make(chan struct{})
	}
}

func (j *jobs) push(one job) {
	j.queue = append(j.queue, one)
	j.changed.Signal()
}

// next waits for a job; false is that the list was closed.
func (j *jobs) next() (job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && !j.closed {
		j.changed.Wait()
	}
	if j.closed {
		return job{}, false
	}
	one := j.queue[0]
	j.queue = j.queue[1:]
	return one, true
}

// done says that a job that next gave is over.
func (j *jobs) done() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open--; j.open == 0 {
		close(j.idle)
	}
}

// close ends the waiting of next; what was not done is left.
func (j *jobs) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	for t := range j.timers {
		t.Stop()
	}
	j.changed.Broadcast()
}

func (j *jobs) waitIdle(ctx context.Context) error {
	j.mu.Lock()
	idle := j.idle
	j.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
