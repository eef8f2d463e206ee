package environment

import (
	"bytes"
	"encoding/binary"
	"os"
	"time"

	"kiln"
)

// A frame of the telemetry descriptor is a message with its boundaries, as AWS's
// runtimes write it: 4 bytes of kind, 4 of length, 8 of time in microseconds since
// 1970, all big-endian, and the message. Of the kind's lowest byte the first two bits
// are both set for text and one of them for JSON, and the next three are the level.
const (
	telemetryFD = 62 // the descriptor's number in the processes of a box, as on AWS
	frameHead   = 16
	frameMost   = logBurst
)

// hasFrames reports whether the programs of a runtime know the telemetry descriptor, as
// those do that AWS manages.
func hasFrames(rt kiln.Runtime) bool { return rt.Family != "provided" && rt.Family != "go" }

// logFiles are the descriptors of the runtime process besides the standard ones: the
// telemetry descriptor is the log pipe once more.
func (e *Environment) logFiles() map[int]*os.File {
	if !hasFrames(e.runtime) {
		return nil
	}
	return map[int]*os.File{telemetryFD: e.journal.write}
}

// frameMagic begins every head.
var frameMagic = []byte{0xa5, 0x5a, 0x00}

// frame is one whose message is being read.
type frame struct {
	left  int // bytes still to come
	level string
	time  time.Time
	text  []byte
	lost  bool // a part was thrown away: the rest is, too
}

// findFrame looks for the first frame in what was read: it gives the text before it,
// the frame and what follows its head. Without one, rest is the end of chunk that may
// become a head, or nothing.
func findFrame(chunk []byte) (text []byte, head *frame, rest []byte) {
	for from := 0; ; {
		i := bytes.Index(chunk[from:], frameMagic)
		if i < 0 {
			i = len(chunk)
			for n := min(len(frameMagic)-1, len(chunk)-from); n > 0; n-- {
				if bytes.HasSuffix(chunk, frameMagic[:n]) {
					i -= n
					break
				}
			}
			return chunk[:i], nil, chunk[i:]
		}
		i += from
		if len(chunk)-i < frameHead {
			return chunk[:i], nil, chunk[i:]
		}
		if f := parseHead(chunk[i:]); f != nil {
			return chunk[:i], f, chunk[i+frameHead:]
		}
		from = i + 1
	}
}

// parseHead reads the head of a frame; nil when it is none. Its checks leave little
// room for text that happens to look like one.
func parseHead(head []byte) *frame {
	kind, length := head[3], binary.BigEndian.Uint32(head[4:])
	at := int64(binary.BigEndian.Uint64(head[8:]))
	const years = 365 * 24 * 3600 * 1_000_000
	if kind&3 == 0 || kind >= 0x20 || length > frameMost || at < 30*years || at > 500*years {
		return nil
	}
	return &frame{left: int(length), level: levels[kind>>2&7], time: time.UnixMicro(at)}
}

// fillFrame takes what belongs to the message of the frame that is being read and
// gives the rest.
func (j *journal) fillFrame(in *inlet, chunk []byte, keep bool, now time.Time) []byte {
	f := in.frame
	n := min(f.left, len(chunk))
	f.left -= n
	if !keep || f.lost {
		in.droppedBytes += int64(n + len(f.text))
		f.lost, f.text = true, nil
	} else {
		f.text = append(f.text, chunk[:n]...)
	}
	for len(f.text) > maxLine {
		j.record(in, f.text[:maxLine:maxLine], f.level, f.moment(now))
		f.text = f.text[maxLine:]
	}
	if f.left == 0 {
		in.frame = nil
		j.endFrame(in, f, now)
	}
	return chunk[n:]
}

// endFrame makes a record of a message, without the newline at its end.
func (j *journal) endFrame(in *inlet, f *frame, now time.Time) {
	if f.lost {
		in.dropped++
		return
	}
	if text := bytes.TrimSuffix(f.text, []byte{'\n'}); len(text) > 0 {
		j.record(in, text, f.level, f.moment(now))
	}
}

// cutFrame makes a record of a message that nobody will finish.
func (j *journal) cutFrame(in *inlet) {
	if f := in.frame; f != nil {
		in.frame = nil
		j.endFrame(in, f, time.Now())
	}
}

// moment gives the time of a frame, unless its writer claims one that is impossible.
func (f *frame) moment(now time.Time) time.Time {
	if f.time.After(now) || now.Sub(f.time) > time.Hour {
		return now
	}
	return f.time
}
