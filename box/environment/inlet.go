package environment

import (
	"bytes"
	"time"

	"kiln"
	"kiln/telemetry"
)

// inlet is one pipe of a journal and what was read of a record that has no end yet. A
// record is a line, or where the writers know the telemetry descriptor a frame: frames
// are in the same pipe, so that they keep their place between the lines. The journal's
// mu guards it.
type inlet struct {
	*pipe
	kind   telemetry.Type // of its records
	framed bool           // frames may be among the lines
	done   chan struct{}  // closed when nobody reads the pipe any more

	partial []byte // of a line
	mute    bool   // a line is being thrown away up to its end
	head    []byte // what may be the head of a frame
	frame   *frame // the frame whose text is being read

	dropped, droppedBytes int64 // records thrown away and not yet told of
}

// consume makes records of what was read.
func (j *journal) consume(in *inlet, chunk []byte, now time.Time) {
	keep := j.afford(int64(len(chunk)), now)
	if keep {
		chunk = bytes.Clone(chunk) // the records of one read share one allocation
		if !in.mute {
			j.tellDropped(in, now)
		}
	}
	if !in.framed {
		j.text(in, chunk, keep, now)
		return
	}
	if len(in.head) > 0 {
		chunk = append(in.head, chunk...)
		in.head = nil
	}
	for len(chunk) > 0 {
		if in.frame != nil {
			chunk = j.fillFrame(in, chunk, keep, now)
			continue
		}
		text, head, rest := findFrame(chunk)
		if len(text) > 0 {
			j.text(in, text, keep, now)
		}
		in.frame, chunk = head, rest
		if head == nil {
			in.head = bytes.Clone(rest) // too short to tell; what follows decides
			return
		}
	}
}

// text cuts what was read into lines.
func (j *journal) text(in *inlet, chunk []byte, keep bool, now time.Time) {
	if !keep {
		in.drop(chunk)
		return
	}
	if in.mute {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			in.droppedBytes += int64(len(chunk))
			return
		}
		in.droppedBytes += int64(i + 1)
		in.mute, chunk = false, chunk[i+1:]
		in.dropped++
		j.tellDropped(in, now)
	}
	for {
		i := bytes.IndexByte(chunk, '\n')
		if room := maxLine - len(in.partial); (i < 0 && len(chunk) > room) || i > room {
			j.line(in, chunk[:room:room], now)
			chunk = chunk[room:]
			continue
		}
		if i < 0 {
			break
		}
		j.line(in, chunk[:i:i], now)
		chunk = chunk[i+1:]
	}
	if len(chunk) > 0 {
		in.partial = append(in.partial, chunk...)
	}
}

// line makes a record of one line, together with what was read of it before.
func (j *journal) line(in *inlet, text []byte, now time.Time) {
	if len(in.partial) > 0 {
		text = append(in.partial, text...)
		in.partial = nil
	}
	j.record(in, text, "", now)
}

// record emits what a function or an extension wrote; level is what its writer says of
// it, "" when that is for the text to say.
func (j *journal) record(in *inlet, text []byte, level string, at time.Time) {
	e := telemetry.Event{Time: at, Type: in.kind, Line: text, Level: level}
	if in.kind == telemetry.Line {
		e.RequestID = j.request
	}
	if level == "" && j.source.Logging.JSON() {
		e.Level = telemetry.LevelOf(text)
	}
	j.emit(&e)
}

// flushLine ends a line that was left without its end.
func (j *journal) flushLine(in *inlet, now time.Time) {
	if in.frame == nil && len(in.head) > 0 { // it was no frame
		head := in.head
		in.head = nil
		j.text(in, head, true, now)
	}
	if len(in.partial) > 0 {
		j.line(in, nil, now)
	}
	if in.mute {
		in.mute = false
		in.dropped++
	}
	j.tellDropped(in, now)
}

// drop throws lines away and counts them; a line of which a part was thrown away is
// thrown away whole.
func (in *inlet) drop(chunk []byte) {
	in.droppedBytes += int64(len(chunk) + len(in.partial))
	in.partial = nil
	in.dropped += int64(bytes.Count(chunk, []byte{'\n'}))
	in.mute = chunk[len(chunk)-1] != '\n'
}

// tellDropped says how many records are missing at this place.
func (j *journal) tellDropped(in *inlet, now time.Time) {
	if in.dropped == 0 {
		return
	}
	e := telemetry.Event{Time: now, Type: telemetry.Dropped, Count: in.dropped, Bytes: in.droppedBytes, Reason: tooFast}
	if in.kind == telemetry.Line {
		e.RequestID = j.request
	}
	in.dropped, in.droppedBytes = 0, 0
	j.emit(&e)
}

// levels are those that the heads of frames give, by their number; 0 is none.
var levels = [8]string{1: kiln.LevelTrace, 2: kiln.LevelDebug, 3: kiln.LevelInfo, 4: kiln.LevelWarn, 5: kiln.LevelError, 6: kiln.LevelFatal}
