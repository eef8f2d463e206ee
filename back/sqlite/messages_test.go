package sqlite_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"kiln"
	"kiln/back/sqlite"
	"kiln/engine/queues"
)

func openMessages(t testing.TB, path string) *sqlite.Messages {
	t.Helper()
	m, err := sqlite.OpenMessages(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestMessagesAndTheirQueuesOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sqs.db")
	m := openMessages(t, path)
	at := func(s int64) time.Time { return time.Unix(1700000000+s, 7) }
	id := kiln.QueueID{Scope: kiln.Scope{Account: "111111111111", Region: "eu-west-1"}, Name: "q.fifo"}
	settings := kiln.MessageQueue{
		ID: id, Visibility: time.Second, Delay: 2 * time.Second, Retention: time.Hour, Wait: time.Second, MaxMessage: 2000,
		DeadLetters: kiln.QueueID{Scope: id.Scope, Name: "dead.fifo"}, MaxReceives: 3, ContentBased: true, PerGroup: true,
		Attributes: map[string]string{"Policy": "{}"}, Tags: map[string]string{"a": "b"}, Created: at(0).UTC(), Modified: at(1).UTC(),
	}
	head := queues.Head{Number: 7, Queue: 3, Group: "g", Source: "s", Sent: at(2), Visible: at(3)}
	text := kiln.Message{ID: "id", Body: "body", Attributes: map[string]kiln.MessageAttribute{"k": {Type: "Binary", Binary: []byte{0}}}, Trace: "t", Sender: "w", Group: "g", Dedup: "d"}
	seen := queues.Seen{Queue: 3, Key: "d", ID: "id", Number: 7, Until: at(9)}
	commit := func(c *queues.Changes) {
		t.Helper()
		if err := m.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	second := head
	second.Number = 8
	commit(&queues.Changes{Queues: []queues.Entry{{Number: 3, Queue: settings}}, Put: []queues.Put{{Head: head, Message: text}, {Head: second, Message: text}}, Seen: []queues.Seen{seen}})
	head.Receives, head.First, head.Before = 2, at(4), 1
	commit(&queues.Changes{Set: []queues.Head{head}, Drop: []uint64{8}})
	late := head
	late.Receives, late.Visible = 1, at(99)
	commit(&queues.Changes{Set: []queues.Head{late}}) // it comes too late
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = openMessages(t, path)
	got, err := m.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &queues.Contents{Queues: []queues.Entry{{Number: 3, Queue: settings}}, Heads: []queues.Head{head}, Seen: []queues.Seen{seen}, Last: 8}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	messages, err := m.Messages(t.Context(), []uint64{7, 8})
	if err != nil || !reflect.DeepEqual(messages, map[uint64]kiln.Message{7: text}) {
		t.Errorf("got %+v %v", messages, err)
	}
	commit(&queues.Changes{Gone: []uint64{3}, Forget: at(9)})
	if got, err = m.Load(t.Context()); err != nil || len(got.Queues)+len(got.Seen) != 0 || len(got.Heads) != 1 {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestAFileOfMessagesIsNotTakenForAQueueOfEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sqs.db")
	if err := openMessages(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenQueue(t.Context(), path); err == nil {
		t.Error("it was")
	}
}
