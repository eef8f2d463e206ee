package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln"
	"kiln/box/sandbox"
	"kiln/engine/worker"
)

// quick is an environment that answers at once and is free again at once.
type quick struct {
	idle chan struct{}
	gate chan struct{} // closed when enough environments are there
	out  kiln.Outcome
}

func (q *quick) Idle() <-chan struct{}         { return q.idle }
func (q *quick) Rest()                         {}
func (q *quick) Usage() (sandbox.Usage, error) { return sandbox.Usage{MemoryBytes: 8 << 20}, nil }
func (q *quick) Close() error                  { return nil }

func (q *quick) Invoke(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
	<-q.gate
	q.idle <- struct{}{}
	return &q.out, nil
}

type quickLauncher struct{ gate chan struct{} }

func (l quickLauncher) Launch(context.Context, kiln.EnvironmentKey, kiln.Target) (worker.Environment, error) {
	q := &quick{idle: make(chan struct{}, 1), gate: l.gate}
	q.idle <- struct{}{}
	return q, nil
}

// benchWorker gives a worker with warm environments for some functions, more than
// there are callers, so that nobody waits for one.
func benchWorker(b *testing.B, functions int) *worker.Worker {
	gate := make(chan struct{})
	w := worker.New(worker.Options{Launcher: quickLauncher{gate}, IdleTimeout: time.Hour, Host: host{total: 64 << 30, available: 64 << 30}})
	b.Cleanup(func() { _ = w.Close() })
	var wg sync.WaitGroup
	for i := range functions {
		for range 8 {
			wg.Go(func() { run(b, w, call(fmt.Sprint("f", i+1))) })
		}
	}
	for w.Load().Running < functions*8 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	wg.Wait()
	return w
}

// One caller finds an environment warm.
func BenchmarkWarmRunOfOneFunction(b *testing.B) {
	w := benchWorker(b, 1)
	inv := call("f1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Run(b.Context(), inv); err != nil {
			b.Fatal(err)
		}
	}
}

// Each goroutine calls a function of its own: compared with one function this shows
// what functions cost each other.
func BenchmarkWarmRunOfManyFunctions(b *testing.B) {
	w := benchWorker(b, runtime.GOMAXPROCS(0))
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		inv := call(fmt.Sprint("f", n.Add(1)))
		for pb.Next() {
			if _, err := w.Run(b.Context(), inv); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
