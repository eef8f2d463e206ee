package tap_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiln"
	"kiln/telemetry"
	"kiln/telemetry/tap"
)

// receiver is an extension's listener without a network.
type receiver struct {
	conns chan net.Conn
	srv   *http.Server

	mu     sync.Mutex
	absent bool
	answer func(n int, w http.ResponseWriter, r *http.Request) // nil: 200
	bodies []string
	heads  []http.Header
	at     []time.Time
}

func (r *receiver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r.mu.Lock()
	absent := r.absent
	r.mu.Unlock()
	if absent {
		return nil, errors.New("connection refused")
	}
	if network != "tcp" || address != "127.0.0.1:8080" {
		return nil, fmt.Errorf("dialled %s %s", network, address)
	}
	mine, theirs := net.Pipe()
	select {
	case r.conns <- theirs:
		return mine, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *receiver) Accept() (net.Conn, error) {
	if c, ok := <-r.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (r *receiver) Close() error   { close(r.conns); return nil }
func (r *receiver) Addr() net.Addr { return &net.TCPAddr{} }

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.bodies, r.heads, r.at = append(r.bodies, string(body)), append(r.heads, q.Header), append(r.at, time.Now())
	n, answer := len(r.bodies), r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(n, w, q)
	}
}

// batches gives the records of each body, as "type:record".
func (r *receiver) batches(t *testing.T) [][]string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out [][]string
	for _, body := range r.bodies {
		var events []struct {
			Type   string
			Record any
		}
		if err := json.Unmarshal([]byte(body), &events); err != nil {
			t.Fatalf("%v in %.200s", err, body)
		}
		var batch []string
		for _, e := range events {
			batch = append(batch, fmt.Sprint(e.Type, ":", e.Record))
		}
		out = append(out, batch)
	}
	return out
}

var source = &telemetry.Source{Version: "$LATEST"}

func line(text string) *telemetry.Event {
	return &telemetry.Event{Time: time.Now(), Type: telemetry.Line, Source: source, Line: []byte(text)}
}

// subscribe makes a subscriber and its receiver, inside a bubble.
func subscribe(t *testing.T, more string) (*tap.Subscriber, *receiver) {
	t.Helper()
	s, refusal := tap.Parse(tap.Telemetry, []byte(`{"types":["platform","function"],`+more+`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/in"}}`))
	if refusal != nil {
		t.Fatal(refusal)
	}
	r := &receiver{conns: make(chan net.Conn)}
	r.srv = &http.Server{Handler: r}
	served := make(chan struct{})
	go func() { _ = r.srv.Serve(r); close(served) }()
	x := tap.New(s, "ext", r.dial)
	t.Cleanup(func() {
		x.Close()
		_ = r.srv.Close()
		<-served
	})
	return x, r
}

func want(t *testing.T, r *receiver, batches ...string) {
	t.Helper()
	var got []string
	for _, b := range r.batches(t) {
		got = append(got, strings.Join(b, " "))
	}
	if fmt.Sprint(got) != fmt.Sprint(batches) {
		t.Errorf("got  %q\nwant %q", got, batches)
	}
}

func TestABatchGoesWhenItsFirstEventHasWaitedLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":100},`)
		x.Offer(line("one"))
		time.Sleep(60 * time.Millisecond)
		x.Offer(line("two"))
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.ExtensionLine, Source: source, Line: []byte("not subscribed")})
		time.Sleep(39 * time.Millisecond)
		want(t, r)
		time.Sleep(2 * time.Millisecond)
		want(t, r, "function:one function:two")
		x.Offer(line("three"))
		time.Sleep(101 * time.Millisecond)
		want(t, r, "function:one function:two", "function:three")
		if h := r.heads[0]; h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "" {
			t.Errorf("got %v", h)
		}
	})
}

func TestABatchGoesWhenItHasEnoughEventsOrBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"maxItems":1000,"timeoutMs":30000},`)
		for range 1000 {
			x.Offer(line("x"))
		}
		synctest.Wait()
		if got := r.batches(t); len(got) != 1 || len(got[0]) != 1000 {
			t.Errorf("%d batches", len(got))
		}
		for range 5 {
			x.Offer(line(strings.Repeat("y", 60<<10)))
			synctest.Wait()
		}
		if got := r.batches(t); len(got) != 1 {
			t.Errorf("%d batches, the second of %d", len(got), len(got[1]))
		}
	})
}

func TestARuntimeThatIsDoneIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":30000},`)
		x.Offer(line("one"))
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.RuntimeDone, Source: source, RequestID: "r"})
		synctest.Wait()
		want(t, r, "function:one platform.runtimeDone:map[metrics:map[durationMs:0] requestId:r]")
	})
}

func TestWhatASlowReceiverCannotTakeIsDroppedCountedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"maxItems":1000,"timeoutMs":25},`)
		go_on := make(chan struct{})
		r.answer = func(n int, _ http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				<-go_on
			}
		}
		x.Offer(line("first"))
		time.Sleep(30 * time.Millisecond) // it is with the receiver
		for range 1500 {
			x.Offer(line("x"))
		}
		if n, b := x.Dropped(); n != 500 || b == 0 {
			t.Errorf("%d records of %d bytes were dropped", n, b)
		}
		close(go_on)
		time.Sleep(200 * time.Millisecond)
		got := r.batches(t)
		if len(got) != 3 || len(got[1]) != 1000 || len(got[2]) != 1 || !strings.HasPrefix(got[2][0], "platform.logsDropped:map[droppedBytes:") || !strings.Contains(got[2][0], "droppedRecords:500") {
			t.Errorf("got %d batches, the last is %v", len(got), got[len(got)-1])
		}
	})
}

func TestAReceiverThatComesLateGetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":25},`)
		r.absent = true
		x.Offer(line("early"))
		time.Sleep(time.Second)
		r.mu.Lock()
		r.absent = false
		r.mu.Unlock()
		x.Offer(line("late"))
		time.Sleep(3 * time.Second)
		want(t, r, "function:early", "function:late")
	})
}

func TestABatchThatIsRefusedForEverIsGivenUpAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":25},`)
		r.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
			if n <= 10 {
				w.WriteHeader(500)
			}
		}
		x.Offer(line("poison"))
		time.Sleep(time.Minute)
		x.Offer(line("next"))
		time.Sleep(time.Second)
		got := r.batches(t)
		if len(got) != 11 || len(got[10]) != 2 || !strings.Contains(got[10][0], "droppedRecords:1") || got[10][1] != "function:next" {
			t.Errorf("got %v", got)
		}
		if gap := r.at[9].Sub(r.at[8]); gap < time.Second || r.at[1].Sub(r.at[0]) > 50*time.Millisecond {
			t.Errorf("tried at %v", r.at)
		}
	})
}

func TestNothingIsSentAndNoTimePassesWhileThereIsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":100},`)
		x.Offer(line("one"))
		time.Sleep(50 * time.Millisecond)
		x.Pause()
		x.Pause()
		time.Sleep(time.Hour)
		x.Offer(line("two"))
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.RuntimeDone, Source: source})
		x.Flush(t.Context()) // returns at once
		synctest.Wait()
		want(t, r)
		x.Resume()
		synctest.Wait()
		if got := r.batches(t); len(got) != 1 || len(got[0]) != 3 {
			t.Errorf("got %v", got)
		}

		r.answer = func(n int, _ http.ResponseWriter, q *http.Request) { // frozen in the middle of it
			if n == 2 {
				x.Pause()
				time.Sleep(time.Hour)
				x.Resume()
			}
		}
		x.Offer(line("three"))
		time.Sleep(2 * time.Hour)
		if got := r.batches(t); len(got) != 2 || got[1][0] != "function:three" {
			t.Errorf("an attempt ran out of time while nothing ran: %v", got)
		}
		if n, _ := x.Dropped(); n != 0 {
			t.Errorf("%d records were dropped", n)
		}
	})
}

func TestFlushReturnsWhenTheReceiverHasEverythingOrTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":30000},`)
		x.Flush(t.Context()) // there is nothing
		x.Offer(line("one"))
		x.Flush(t.Context())
		want(t, r, "function:one")
		r.answer = func(int, http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Second) }
		x.Offer(line("two"))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		x.Flush(ctx)
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("took %s", took)
		}
		x.Offer(line("three"))
		x.Flush(t.Context())
		want(t, r, "function:one", "function:two", "function:three")
	})
}

func TestAReceiverThatNeverAnswersHoldsNobodyAndCostsTwoBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"maxBytes":262144,"timeoutMs":25},`)
		r.answer = func(_ int, _ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		for range 100_000 {
			x.Offer(line(strings.Repeat("z", 1000)))
		}
		if time.Since(began) != 0 {
			t.Error("an offer waited")
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("memory grew by %d KB", grown>>10)
		}
		if n, _ := x.Dropped(); n < 99_000 {
			t.Errorf("%d records were dropped", n)
		}
		x.Close() // does not wait for the receiver
		x.Offer(line("after the end"))
		x.Flush(t.Context())
	})
}

func TestOverTCPEachEventIsALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, refusal := tap.Parse(tap.Logs, []byte(`{"types":["platform","function"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":8080}}`))
		if refusal != nil {
			t.Fatal(refusal)
		}
		conns := make(chan net.Conn, 2)
		x := tap.New(s, "ext", func(context.Context, string, string) (net.Conn, error) {
			mine, theirs := net.Pipe()
			conns <- theirs
			return mine, nil
		})
		defer x.Close()
		x.Offer(line("one\ntwo"))
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.End, Source: source, RequestID: "r"})
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.InitStart, Source: source}) // not of this API
		x.Offer(&telemetry.Event{Time: time.Now(), Type: telemetry.Report, Source: source, RequestID: "r", Report: kiln.Report{MemoryMB: 128}})
		read := func(c net.Conn) string {
			var b [4096]byte
			n, err := c.Read(b[:])
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:n])
		}
		c := <-conns
		got := read(c)
		lines := strings.Split(got, "\n")
		if len(lines) != 4 || lines[3] != "" || !strings.Contains(lines[0], `"record":"one\ntwo"`) || !strings.Contains(lines[1], `"type":"platform.end","record":{"requestId":"r"}`) ||
			!strings.Contains(lines[2], `"metrics":{"durationMs":0,"billedDurationMs":0,"memorySizeMB":128,"maxMemoryUsedMB":0}}}`) {
			t.Errorf("got %s", got)
		}
		_ = c.Close() // the receiver starts anew
		x.Offer(line("three"))
		if got := read(<-conns); !strings.HasSuffix(got, "\"record\":\"three\"}\n") {
			t.Errorf("got %s", got)
		}
	})
}

func TestClosingDoesNotWaitForAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, r := subscribe(t, `"buffering":{"timeoutMs":25},`)
		x.Offer(line("one"))
		x.Pause()
		x.Close()
		want(t, r)
	})
}

func BenchmarkOffer(b *testing.B) {
	s, refusal := tap.Parse(tap.Telemetry, []byte(`{"types":["function"],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}}`))
	if refusal != nil {
		b.Fatal(refusal)
	}
	x := tap.New(s, "ext", func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody") })
	defer x.Close()
	e := line(string(bytes.Repeat([]byte("x"), 100)))
	b.ReportAllocs()
	for b.Loop() {
		x.Offer(e)
	}
}
