package logs_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/telemetry"
	"kiln/telemetry/logs"
)

func TestAFollowerSeesWhatComesFromTheCallOn(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{Linger: time.Millisecond})
	a, b := source("f", "a"), source("f", "b")
	s.Emit(print(a, "r0", "before"))
	q := logs.Query{Scope: home, Group: "/aws/lambda/f", Stream: "a"}
	records := s.Follow(t.Context(), q)
	s.Emit(print(b, "r1", "another stream"))
	s.Emit(print(a, "r1", "one"))
	s.Emit(print(source("g", "a"), "r1", "another group"))
	s.Emit(print(a, "r2", "two"))
	var got []string
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.RequestID+" "+r.Text)
		if len(got) == 2 {
			break
		}
	}
	same(t, got, []string{"r1 one", "r2 two"})
	for range records {
		t.Error("the sequence goes on a second time")
	}
}

func TestAFollowerFromATimeSeesEveryRecordOnce(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{Linger: time.Millisecond, FileBytes: 20000, Rotated: 9})
	src := source("f", "s")
	const n = 2000
	start := time.Now()
	s.Emit(telemetry.Event{Time: start.Add(-time.Hour), Type: telemetry.Line, Source: src, Line: []byte("long ago")})
	var wg sync.WaitGroup
	half := make(chan struct{})
	wg.Go(func() {
		for i := range n {
			if i == n/2 {
				close(half)
			}
			s.Emit(print(src, "", fmt.Sprint(i)))
			if i%10 == 0 {
				runtime.Gosched()
			}
		}
	})
	<-half
	i := 0
	for r, err := range s.Follow(t.Context(), logs.Query{Scope: home, Group: src.Group, Since: start, Limit: n}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Text != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", r.Text, i)
		}
		if i++; i == n {
			break
		}
	}
	wg.Wait()
}

func TestASlowFollowerHoldsUpNobodyAndLearnsWhatItMissed(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{QueueBytes: 64 << 20})
	src := source("f", "s")
	const n = 10000
	records := s.Follow(t.Context(), logs.Query{Scope: home, Group: src.Group})
	for i := range n {
		s.Emit(print(src, "", fmt.Sprint(i)))
	}
	if got := len(read(t, s, logs.Query{Group: src.Group, Limit: n})); got != n {
		t.Errorf("the file has %d records, want all %d: nobody waits for a follower", got, n)
	}
	s.Emit(print(src, "", fmt.Sprint(n)))
	var missed int64
	got, next := 0, 0
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		if r.Missed > 0 {
			missed += r.Missed
			next += int(r.Missed)
			if want := fmt.Sprintf("LOGS_DROPPED Records: %d", r.Missed); r.Text != want || r.Type != telemetry.Dropped {
				t.Errorf("got %+v, want %q", r, want)
			}
			s.Emit(print(src, "", "end"))
			continue
		}
		if r.Text == "end" {
			break
		}
		if r.Text != fmt.Sprint(next) {
			t.Fatalf("got %q, want %d", r.Text, next)
		}
		got++
		next++
	}
	if missed == 0 || got == 0 || got+int(missed) != n+1 {
		t.Errorf("got %d and missed %d of %d", got, missed, n+1)
	}
}

func TestAFollowerEndsWithItsContextOrWithTheStore(t *testing.T) {
	s, err := logs.Open(t.TempDir(), logs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := source("f", "s")
	s.Emit(print(src, "", "stored"))
	same(t, read(t, s, logs.Query{Group: src.Group}), []string{"stored"})
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	never := s.Follow(ctx, logs.Query{Scope: home, Group: src.Group, Since: time.Now().Add(-time.Hour)}) // opens the file
	records := s.Follow(ctx, logs.Query{Scope: home})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range records {
		}
	})
	cancel()
	wg.Wait()
	deadline := time.Now().Add(5 * time.Second)
	for openFiles(t) > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := openFiles(t); got > before {
		t.Errorf("%d files are open after followers have left, %d before", got, before)
	}
	for range never {
		t.Error("a follower whose context is over got a record")
	}
	other := s.Follow(t.Context(), logs.Query{})
	s.Emit(print(src, "", "at the end"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range other {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Text)
	}
	same(t, got, []string{"at the end"})
	for _, err := range s.Follow(t.Context(), logs.Query{}) {
		if err != logs.ErrClosed {
			t.Errorf("following a closed store: %v", err)
		}
	}
}

func TestAFloodOfOneSourceCostsItselfRecordsAndSaysHowMany(t *testing.T) {
	// The writer is busy with nothing for a minute, so that the queue fills up.
	s := open(t, t.TempDir(), logs.Options{QueueBytes: 100000, Linger: time.Minute})
	loud, quiet := source("loud", "s"), source("quiet", "s")
	line := strings.Repeat("x", 10000)
	const n = 1000
	for i := range n {
		s.Emit(print(loud, "", fmt.Sprint(i, " ", line)))
		if i%100 == 0 {
			s.Emit(print(quiet, "", fmt.Sprint(i/100)))
		}
	}
	same(t, read(t, s, logs.Query{Group: quiet.Group}), []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
	records, err := s.Read(logs.Query{Scope: home, Group: loud.Group, Limit: 2 * n})
	if err != nil {
		t.Fatal(err)
	}
	var kept, dropped int
	for _, r := range records {
		if r.Type == telemetry.Dropped {
			var d int
			if _, err := fmt.Sscanf(r.Text, "LOGS_DROPPED Records: %d", &d); err != nil || r.Stream != "s" || r.Function.Name != "loud" {
				t.Errorf("got %+v", r)
			}
			dropped += d
			continue
		}
		kept++
	}
	if kept == 0 || dropped == 0 || kept+dropped != n {
		t.Errorf("%d kept and %d dropped of %d", kept, dropped, n)
	}
}

func TestAHundredThousandLinesFromManySourcesAreAllThereAndInOrder(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{QueueBytes: 512 << 20})
	const sources, lines = 20, 5000
	var wg sync.WaitGroup
	for n := range sources {
		wg.Go(func() {
			src := source("f", fmt.Sprint("stream-", n))
			for i := range lines {
				s.Emit(print(src, fmt.Sprint("r", i/10), fmt.Sprintf("%d line %d of a function that prints much", n, i)))
			}
		})
	}
	wg.Wait()
	records, err := s.Read(logs.Query{Scope: home, Group: "/aws/lambda/f", Limit: sources * lines})
	if err != nil || len(records) != sources*lines {
		t.Fatalf("%d records, %v; want %d", len(records), err, sources*lines)
	}
	next := map[string]int{}
	for _, r := range records {
		var n, i int
		if _, err := fmt.Sscanf(r.Text, "%d line %d of", &n, &i); err != nil || r.Stream != fmt.Sprint("stream-", n) || i != next[r.Stream] {
			t.Fatalf("got %+v, want line %d of its stream", r, next[r.Stream])
		}
		next[r.Stream]++
	}
	if got := read(t, s, logs.Query{Group: "/aws/lambda/f", RequestID: "r123", Stream: "stream-7"}); len(got) != 10 || !strings.HasPrefix(got[0], "7 line 1230 ") {
		t.Errorf("one request's lines are %q", got)
	}
}

func BenchmarkEmit(b *testing.B) {
	s, err := logs.Open(b.TempDir(), logs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	src := &telemetry.Source{Function: kiln.FunctionID{Scope: home, Name: "f"}, Version: "$LATEST", Group: "g", Stream: "s"}
	e := telemetry.Event{Time: time.Now(), Type: telemetry.Line, Source: src, RequestID: "8a7f0c2e-0000-4000-8000-000000000000", Line: []byte("one line of a function")}
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(e)
	}
}
