package environment

import (
	"fmt"
	"os"
	"sync"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Bounds of what the processes of an environment may write.
const (
	maxLine   = 256 << 10 // a longer record is split
	readSize  = 64 << 10  // one read: as much as a pipe holds by default
	drainSize = 1 << 20   // as much as a pipe can be made to hold
	// A function may write logBurst at once and logRate a second for ever. What goes
	// beyond is read, counted and thrown away: neither the function nor the server
	// waits for it.
	logBurst = 32 << 20
	logRate  = 8 << 20
	// tooFast is why records are thrown away, in AWS's words.
	tooFast = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
)

// journal is the log of one environment. It reads the pipe that stdout and stderr of
// the function share (one pipe, so that what is written to both keeps its order) and
// that of the extensions, makes records of what it reads, gives each record to the
// request during which it was written, and puts the platform's own records between
// them. It stays open from one runtime process to the next.
type journal struct {
	source *telemetry.Source
	sink   telemetry.Sink
	inlet  // of the function

	// mu puts records in order. It is held while pipes are read, which never blocks,
	// and while the sink and the taps take an event, which by their contracts never
	// block for long.
	mu      sync.Mutex
	closed  bool
	guests  *inlet // of the extensions; nil until there are some
	taps    taps
	request string // whose records these are; "" when no invocation runs
	tailed  bool   // whether the running invocation wants its tail
	tail    []byte
	budget  int64
	filled  time.Time // when budget was last added to
}

// buffers are shared by all environments, so that an idle one holds none.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// openJournal makes the pipe and begins to read it.
func openJournal(source *telemetry.Source, sink telemetry.Sink) (*journal, error) {
	p, err := openPipe()
	if err != nil {
		return nil, fmt.Errorf("make the log pipe: %w", err)
	}
	j := &journal{source: source, sink: sink, budget: logBurst, filled: time.Now()}
	j.inlet = inlet{pipe: p, kind: telemetry.Line, framed: true, done: make(chan struct{})}
	go j.follow(&j.inlet)
	return j, nil
}

// extensions gives what the extensions of the box write their log into. It is theirs
// together, made when it is first asked for.
func (j *journal) extensions() (*os.File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.guests == nil {
		p, err := openPipe()
		if err != nil {
			return nil, fmt.Errorf("make the log pipe of extensions: %w", err)
		}
		j.guests = &inlet{pipe: p, kind: telemetry.ExtensionLine, done: make(chan struct{})}
		go j.follow(j.guests)
	}
	return j.guests.write, nil
}

// follow reads whatever is written into a pipe, whenever it is written, until close.
func (j *journal) follow(in *inlet) {
	defer close(in.done)
	in.pipe.follow(func() (again, over bool) {
		j.mu.Lock()
		defer j.mu.Unlock()
		again = j.take(in)
		return again, j.closed
	})
}

// close reads what was written so far and ends the readers.
func (j *journal) close() {
	j.mu.Lock()
	j.drain()
	for in := range j.inlets() {
		j.cutFrame(in)
	}
	j.flush()
	j.closed = true
	j.mu.Unlock()
	for in := range j.inlets() {
		in.pipe.close()
		<-in.done
	}
}

// inlets gives the pipes that are there.
func (j *journal) inlets() func(func(*inlet) bool) {
	return func(yield func(*inlet) bool) {
		if yield(&j.inlet) && j.guests != nil {
			yield(j.guests)
		}
	}
}

// begin makes id the request that records belong to. What was written before it
// belongs to none.
func (j *journal) begin(id string, tailed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.flush()
	j.request, j.tailed, j.tail = id, tailed, j.tail[:0]
}

// platform puts a record of the platform behind all that was written so far.
func (j *journal) platform(e telemetry.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.flush()
	j.emit(&e)
}

// start says START for the request that begin made the current one. The records of
// an init that it had to wait for come before it.
func (j *journal) start(e telemetry.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flush()
	e.Type, e.RequestID = telemetry.Start, j.request
	j.emit(&e)
}

// catchUp reads what was written so far.
func (j *journal) catchUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
}

// ended reads what a process that is no more had written, and makes a record of what
// it left half written.
func (j *journal) ended() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drain()
	j.cutFrame(&j.inlet)
}

// finish reads what was written so far and says END. From here on records belong to no
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
func (j *journal) report(e telemetry.Event) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Type = telemetry.Report
	j.emit(&e)
	if !j.tailed {
		return nil
	}
	j.tailed = false
	tail := j.tail
	j.tail = nil
	return tail[max(0, len(tail)-kiln.LogTailSize):]
}

// drain reads all that is in the pipes at this moment. It is bounded: a thread that
// goes on writing cannot hold it.
func (j *journal) drain() {
	for in := range j.inlets() {
		for n := 0; n < drainSize && j.take(in); n += readSize {
		}
	}
}

// take reads a pipe once and reports whether there may be more. A short read has
// emptied it.
func (j *journal) take(in *inlet) bool {
	if j.closed {
		return false
	}
	b := buffers.Get().(*[readSize]byte)
	defer buffers.Put(b)
	n := in.readNow(b[:])
	if n <= 0 {
		return false
	}
	j.consume(in, b[:n], time.Now())
	return n == len(b)
}

// flush ends lines that were left without their end.
func (j *journal) flush() {
	now := time.Now()
	for in := range j.inlets() {
		j.flushLine(in, now)
	}
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

// emit gives an event to the sink and the taps and keeps it for the tail.
func (j *journal) emit(e *telemetry.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Source = j.source
	mine := e.Type == telemetry.Line && e.RequestID != "" || e.Type != telemetry.Line && e.Type != telemetry.ExtensionLine
	if j.tailed && mine && e.Logged() {
		j.tail = append(append(j.tail, e.Text()...), '\n')
		if len(j.tail) > 4*kiln.LogTailSize {
			j.tail = append(j.tail[:0], j.tail[len(j.tail)-kiln.LogTailSize:]...)
		}
	}
	j.taps.offer(e)
	j.sink.Emit(*e)
}
