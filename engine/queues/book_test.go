package queues_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
)

// want compares bodies with what is wanted.
func want(t testing.TB, what string, got []kiln.Received, list ...string) {
	t.Helper()
	if !slices.Equal(bodies(got), append([]string{}, list...)) {
		t.Errorf("%s: got %q, want %q", what, bodies(got), list)
	}
}

func TestAMessageIsHiddenFromOthersForItsTimeAndThenComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newMemory())
		q := create(t, b, "q", nil)
		send(t, b, q, kiln.Message{Body: "a"})
		first := receive(t, b, q, 10)
		want(t, "first", first, "a")
		time.Sleep(29 * time.Second)
		want(t, "hidden", receive(t, b, q, 10))
		if n, _ := b.Count(q); n != (kiln.QueueCount{Hidden: 1}) {
			t.Errorf("count %+v", n)
		}
		time.Sleep(time.Second)
		second := receive(t, b, q, 10)
		want(t, "back", second, "a")
		if second[0].Receives != 2 || !second[0].First.Equal(first[0].First) || second[0].Receipt == first[0].Receipt {
			t.Errorf("got %+v after %+v", second[0], first[0])
		}
		drop(t, b, q, first[0]) // somebody else has it: nothing happens
		time.Sleep(30 * time.Second)
		third := receive(t, b, q, 10)
		want(t, "still there", third, "a")
		drop(t, b, q, third[0])
		time.Sleep(time.Hour)
		want(t, "deleted", receive(t, b, q, 10))
	})
}

func TestWhoWaitsGetsAMessageAtTheMomentThatItCanBeReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newMemory())
		q := create(t, b, "q", nil)
		delay := 7 * time.Second
		wait := 20 * time.Second
		begin := time.Now()
		var got []kiln.Received
		var took time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			got, _ = b.Receive(t.Context(), q, kiln.ReceiveOptions{Max: 10, Wait: &wait})
			took = time.Since(begin)
		})
		synctest.Wait()
		time.Sleep(time.Second)
		send(t, b, q, kiln.Message{Body: "late", Delay: &delay})
		wg.Wait()
		want(t, "waited", got, "late")
		if took != 8*time.Second {
			t.Errorf("took %v", took)
		}
		begin = time.Now()
		got, err := b.Receive(t.Context(), q, kiln.ReceiveOptions{Max: 1, Wait: &wait})
		if len(got) != 0 || err != nil || time.Since(begin) != wait {
			t.Errorf("got %v %v after %v", got, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin = time.Now()
		if got, err := b.Receive(ctx, q, kiln.ReceiveOptions{Max: 1, Wait: &wait}); len(got) != 0 || err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("a client that has gone: %v %v after %v", got, err, time.Since(begin))
		}
	})
}

func TestAGroupIsReceivedInOrderAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newMemory())
		q := create(t, b, "q.fifo", nil)
		for _, m := range []string{"a1", "b1", "a2", "a3"} {
			send(t, b, q, kiln.Message{Body: m, Group: m[:1], Dedup: m})
		}
		a := receive(t, b, q, 2)
		want(t, "a group comes together", a, "a1", "a2")
		want(t, "another group", receive(t, b, q, 10), "b1")
		want(t, "all are locked", receive(t, b, q, 10))
		drop(t, b, q, a[1])
		want(t, "the first is still out", receive(t, b, q, 10))
		time.Sleep(30 * time.Second)
		want(t, "in order again", receive(t, b, q, 1), "a1")
		each, err := b.DeleteMessages(t.Context(), q, []string{a[0].Receipt})
		if err != nil || each[0] != nil {
			t.Errorf("the receipt of somebody who was too slow: %v %v", each, err)
		}
		want(t, "b", receive(t, b, q, 10), "b1")
		time.Sleep(30 * time.Second)
		want(t, "a1 was not deleted", receive(t, b, q, 10), "a1", "a3", "b1")
	})
}

func TestARepeatedMessageIsOneForFiveMinutesAlsoOverADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		b := open(t, store)
		q := create(t, b, "q.fifo", func(q *kiln.MessageQueue) { q.ContentBased = true })
		one := send(t, b, q, kiln.Message{Body: "x", Group: "g"})[0]
		drop(t, b, q, receive(t, b, q, 1)...)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = open(t, store)
		time.Sleep(5*time.Minute - time.Second)
		if two := send(t, b, q, kiln.Message{Body: "x", Group: "g"})[0]; two.ID != one.ID || two.Sequence != one.Sequence {
			t.Errorf("got %v, want %v", two, one)
		}
		want(t, "nothing came of it", receive(t, b, q, 1))
		time.Sleep(time.Second)
		if three := send(t, b, q, kiln.Message{Body: "x", Group: "g"})[0]; three.ID == one.ID || three.Sequence <= one.Sequence {
			t.Errorf("got %v after %v", three, one)
		}
		want(t, "it is another now", receive(t, b, q, 1), "x")
	})
}

func TestAPoisonMessageBecomesADeadLetterAndCanBeBroughtBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, newMemory())
		dead := create(t, b, "dead", nil)
		q := create(t, b, "q", func(q *kiln.MessageQueue) { q.DeadLetters, q.MaxReceives = dead, 2 })
		send(t, b, q, kiln.Message{Body: "poison"}, kiln.Message{Body: "good"})
		for range 2 {
			got := receive(t, b, q, 1)
			want(t, "a try", got, "poison")
			if each, err := b.Hide(t.Context(), q, []kiln.Hiding{{Receipt: got[0].Receipt}}); err != nil || each[0] != nil {
				t.Fatal(each, err)
			}
		}
		want(t, "the one behind it", receive(t, b, q, 10), "good")
		got := receive(t, b, dead, 10)
		want(t, "dead", got, "poison")
		if got[0].Source != q.ARN() || got[0].Receives != 3 {
			t.Errorf("got %+v", got[0])
		}
		time.Sleep(30 * time.Second)
		if _, err := b.Move(kiln.MoveTask{Source: dead}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		back := receive(t, b, q, 10)
		want(t, "back", back, "good", "poison")
		if back[1].Receives != 1 || back[1].ID == got[0].ID {
			t.Errorf("got %+v", back[1])
		}
		if tasks, _ := b.Tasks(dead); len(tasks) != 1 || tasks[0].Status != "COMPLETED" || tasks[0].Moved != 1 {
			t.Errorf("got %+v", tasks)
		}
	})
}

func TestMessagesAreDroppedWhenTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		b := open(t, store)
		q := create(t, b, "q", nil)
		send(t, b, q, kiln.Message{Body: "old"})
		time.Sleep(time.Hour + time.Second)
		want(t, "too old", receive(t, b, q, 1))
		send(t, b, q, kiln.Message{Body: "nobody asks for it"})
		time.Sleep(time.Hour + 2*time.Minute)
		store.mu.Lock()
		defer store.mu.Unlock()
		if len(store.heads) != 0 || len(store.messages) != 0 {
			t.Errorf("the store still has %v", store.heads)
		}
	})
}

func TestWhatTheStoreDoesNotTakeDidNotHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		b := open(t, store)
		q, f := create(t, b, "q", nil), create(t, b, "q.fifo", nil)
		send(t, b, q, kiln.Message{Body: "a"})
		full := errors.New("the disk is full")
		store.fail = full
		if _, err := b.Send(t.Context(), f, []kiln.Message{{Body: "b", Group: "g", Dedup: "d"}}); !errors.Is(err, full) {
			t.Errorf("send: %v", err)
		}
		if _, err := b.Receive(t.Context(), q, kiln.ReceiveOptions{Max: 1}); !errors.Is(err, full) {
			t.Errorf("receive: %v", err)
		}
		store.fail = nil
		got := receive(t, b, q, 1)
		want(t, "it was not received", got, "a")
		if got[0].Receives != 1 {
			t.Errorf("receives %d", got[0].Receives)
		}
		store.fail = full
		if _, err := b.DeleteMessages(t.Context(), q, []string{got[0].Receipt}); !errors.Is(err, full) {
			t.Errorf("delete: %v", err)
		}
		store.fail = nil
		drop(t, b, q, got[0])
		time.Sleep(time.Minute)
		want(t, "deleted at last", receive(t, b, q, 1))
		send(t, b, f, kiln.Message{Body: "b", Group: "g", Dedup: "d"})
		want(t, "it was not taken for a repetition", receive(t, b, f, 1), "b")
	})
}

func TestADeletedQueueLeavesNothingAndAnswersWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		b := open(t, store)
		q := create(t, b, "q", nil)
		send(t, b, q, kiln.Message{Body: "a"})
		receive(t, b, q, 1)
		var err error
		wait := 20 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { _, err = b.Receive(t.Context(), q, kiln.ReceiveOptions{Max: 1, Wait: &wait}) })
		synctest.Wait()
		if err := b.Delete(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("got %v", err)
		}
		if len(store.heads)+len(store.messages)+len(store.queues) != 0 {
			t.Errorf("left: %v %v", store.heads, store.queues)
		}
	})
}
