package worker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/engine/worker"
)

// Part makes the fake an environment whose processes take their time to end.
func (e *environment) Part() { time.Sleep(e.world.farewell) }

func TestManyEnvironmentsTakeTheTimeToEndOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &world{farewell: 2 * time.Second}
		world.handle = func(*environment, *kiln.Invocation) (*kiln.Outcome, error) {
			time.Sleep(time.Second)
			return &kiln.Outcome{}, nil
		}
		w := open(t, world, worker.Options{MaxStarting: 1000})
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() { run(t, w, call("f")) })
		}
		wg.Wait()
		synctest.Wait()
		if _, alive := world.count(); alive < 200 {
			t.Fatalf("%d environments live, want more than can be closed at once", alive)
		}
		began := time.Now()
		_ = w.Close()
		if took := time.Since(began); took != world.farewell {
			t.Errorf("it took %v to close them all, want %v", took, world.farewell)
		}
	})
}
