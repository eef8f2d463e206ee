package environment

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Bounds of what a function may write.
const (
	maxLine   = 256 << 10 // a longer line is split
	readSize  = 64 << 10  // one read: as much as a pipe holds by default
	drainSize = 1 << 20   // as much as a pipe can be made to hold
	// A function may write logBurst at once and logRate a second for ever. What goes
	// beyond is read, counted and thrown away: neither the function nor the server
	// waits for it.
	logBurst = 32 << 20
	logRate  = 8 << 20
)

// journal is the log of one environment. It reads the pipe that stdout and stderr of
// the box share (one pipe, so that what is written to both keeps its order), cuts
// it into lines, gives each line to the request during which it was written, and
// puts the platform's own lines between them. It stays open from one runtime
// process to the next.
type journal struct {
	source *telemetry.Source
	sink   telemetry.Sink
	*pipe  // read with mu held and not after closed
	done   chan struct{}

	// mu puts lines in order. It is held while the pipe is read, which never blocks,
	// and while the sink takes an event, which by its contract never blocks for long.
	mu      sync.Mutex
	closed  bool
	request string // whose lines these are; "" when no invocation runs
	partial []byte // a line that has no end yet
	tailed  bool   // whether the running invocation wants its tail
	tail    []byte
	budget  int64
	filled  time.Time // when budget was last added to
	mute    bool      // a line is being thrown away up to its end
	dropped int64     // lines thrown away and not yet told of
}

// buffers are shared by all environments, so that an idle one holds none.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// openJournal makes the pipe and begins to read it.
func openJournal(source *telemetry.Source, sink telemetry.Sink) (*journal, error) {
	p, err := openPipe()
	if err != nil {
		return nil, fmt.Errorf("make the log pipe: %w", err)
	}
	j := &journal{source: source, sink: sink, pipe: p, done: make(chan struct{}), budget: logBurst, filled: time.Now()}
	go j.follow()
	return j, nil
}

// follow reads whatever is written, whenever it is written, until close.
func (j *journal) follow() {
	defer close(j.done)
	j.pipe.follow(func() (again, over bool) {
		j.mu.Lock()
		defer j.mu.Unlock()
		again = j.take()
		return again, j.closed
	})
}

// close reads what was written so far and ends the reader.
func (j *journal) close() {
	j.mu.Lock()
	j.drain()
	j.flush()
	j.closed = true
	j.mu.Unlock()
	j.pipe.close()
	<-j.done
}

// begin makes id the request that lines belong to. What was written before it
// belongs to none.
func (j *journal) begin(id string, tailed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.flush()
	j.request, j.tailed, j.tail = id, tailed, j.tail[:0]
}

// platform puts a line of the platform behind all that was written so far.
func (j *journal) platform(e telemetry.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.flush()
	j.emit(&e)
}

// start says START for the request that begin made the current one. The lines of
// an init that it had to wait for come before it.
func (j *journal) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flush()
	j.emit(&telemetry.Event{Type: telemetry.Start, RequestID: j.request})
}

// catchUp reads what was written so far.
func (j *journal) catchUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
}

// finish reads what was written so far and says END. From here on lines belong to no
// request.
func (j *journal) finish() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.flush()
	j.emit(&telemetry.Event{Type: telemetry.End, RequestID: j.request})
	j.request = ""
}

// report says REPORT for a request that finish ended, and gives its tail when it was
// wanted.
func (j *journal) report(id string, r kiln.Report) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.emit(&telemetry.Event{Type: telemetry.Report, RequestID: id, Report: r})
	if !j.tailed {
		return nil
	}
	j.tailed = false
	tail := j.tail
	j.tail = nil
	return tail[max(0, len(tail)-kiln.LogTailSize):]
}

// drain reads all that is in the pipe at this moment. It is bounded: a thread that
// goes on writing cannot hold it.
func (j *journal) drain() {
	for n := 0; n < drainSize && j.take(); n += readSize {
	}
}

// take reads once and reports whether there may be more. A short read has emptied
// the pipe.
func (j *journal) take() bool {
	if j.closed {
		return false
	}
	b := buffers.Get().(*[readSize]byte)
	defer buffers.Put(b)
	n := j.readNow(b[:])
	if n <= 0 {
		return false
	}
	j.consume(b[:n], time.Now())
	return n == len(b)
}

// consume cuts what was read into lines.
func (j *journal) consume(chunk []byte, now time.Time) {
	if !j.afford(int64(len(chunk)), now) {
		j.drop(chunk)
		return
	}
	if j.mute {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			return
		}
		j.mute, chunk = false, chunk[i+1:]
		j.dropped++
	}
	j.tellDropped(now)
	chunk = bytes.Clone(chunk) // the lines of one read share one allocation
	for {
		i := bytes.IndexByte(chunk, '\n')
		if room := maxLine - len(j.partial); (i < 0 && len(chunk) > room) || i > room {
			j.line(chunk[:room:room], now)
			chunk = chunk[room:]
			continue
		}
		if i < 0 {
			break
		}
		j.line(chunk[:i:i], now)
		chunk = chunk[i+1:]
	}
	if len(chunk) > 0 {
		j.partial = append(j.partial, chunk...)
	}
}

// line emits one line of the function, together with what was read of it before.
func (j *journal) line(text []byte, now time.Time) {
	if len(j.partial) > 0 {
		text = append(j.partial, text...)
		j.partial = nil
	}
	j.emit(&telemetry.Event{Time: now, Type: telemetry.Line, RequestID: j.request, Line: text})
}

// flush ends a line that the function left without its end.
func (j *journal) flush() {
	now := time.Now()
	if len(j.partial) > 0 {
		j.line(nil, now)
	}
	if j.mute {
		j.mute = false
		j.dropped++
	}
	j.tellDropped(now)
}

// afford takes n bytes out of the budget, if it has them.
func (j *journal) afford(n int64, now time.Time) bool {
	if j.budget < logBurst {
		j.budget = min(logBurst, j.budget+int64(now.Sub(j.filled).Seconds()*logRate))
	}
	j.filled = now
	if j.budget < n {
		return false
	}
	j.budget -= n
	return true
}

// drop throws lines away and counts them; a line of which a part was thrown away is
// thrown away whole.
func (j *journal) drop(chunk []byte) {
	j.partial = nil
	j.dropped += int64(bytes.Count(chunk, []byte{'\n'}))
	j.mute = chunk[len(chunk)-1] != '\n'
}

// tellDropped says how many lines are missing at this place.
func (j *journal) tellDropped(now time.Time) {
	if j.dropped > 0 {
		j.emit(&telemetry.Event{Time: now, Type: telemetry.Dropped, RequestID: j.request, Count: j.dropped})
		j.dropped = 0
	}
}

// emit gives an event to the sink and keeps it for the tail.
func (j *journal) emit(e *telemetry.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Source = j.source
	if j.tailed && (e.Type != telemetry.Line || e.RequestID != "") {
		if e.Type == telemetry.Line {
			j.tail = append(j.tail, e.Line...)
		} else {
			j.tail = append(j.tail, e.Text()...)
		}
		j.tail = append(j.tail, '\n')
		if len(j.tail) > 4*kiln.LogTailSize {
			j.tail = append(j.tail[:0], j.tail[len(j.tail)-kiln.LogTailSize:]...)
		}
	}
	j.sink.Emit(*e)
}
