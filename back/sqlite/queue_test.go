package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/back/sqlite"
	"kiln/engine/async"
	"kiln/engine/async/queuetest"
)

func openQueue(t testing.TB, path string) *sqlite.Queue {
	t.Helper()
	q, err := sqlite.OpenQueue(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func TestQueueKeepsTheContract(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir with ?#% in it", "queue.db")
	q := openQueue(t, path)
	queuetest.Suite(t, q, func(t *testing.T) async.Queue {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		return openQueue(t, path)
	})
}

func TestAFileThatIsNoQueueIsNotTakenForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenQueue(t.Context(), path); err == nil {
		t.Error("the catalog was opened as a queue")
	}
}

func TestAClosedQueueTakesNothing(t *testing.T) {
	q := openQueue(t, filepath.Join(t.TempDir(), "queue.db"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(t.Context(), &async.Event{}); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("got %v", err)
	}
}

// BenchmarkEnqueue is durable events of 1 KiB by 64 clients.
func BenchmarkEnqueue(b *testing.B) {
	q := openQueue(b, filepath.Join(b.TempDir(), "queue.db"))
	payload := []byte(fmt.Sprintf("%01024d", 1))
	var wg sync.WaitGroup
	next := make(chan struct{})
	for w := range 64 {
		id := kiln.FunctionID{Scope: kiln.Scope{Account: kiln.DefaultAccount, Region: kiln.DefaultRegion}, Name: fmt.Sprint("f", w)}
		wg.Go(func() {
			for range next {
				if err := q.Put(b.Context(), &async.Event{ID: kiln.NewID(), Function: id, Payload: payload, Accepted: time.Now()}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
}
