package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
)

// Position is the place of a record in its group: which file, and where in it. Later
// records have greater positions, and the position of a record never changes. The zero
// value is before all records.
type Position struct{ File, Offset int64 }

// Before reports whether p comes before other.
func (p Position) Before(other Position) bool {
	return p.File < other.File || p.File == other.File && p.Offset < other.Offset
}

// veil is what of a group is not shown although its files still have it.
type veil struct {
	since int64               // microseconds since 1970
	gone  map[string]Position // streams that were deleted, and the first position that is after that
}

// shows reports whether a record may be seen.
func (v *veil) shows(l *found) bool {
	return l.time >= v.since && !l.at.Before(v.gone[l.source.Stream])
}

// found is the line of a record as walk comes by it. The bytes are the walker's own and
// change with the next line.
type found struct {
	at     Position
	time   int64 // microseconds since 1970
	raw    []byte
	source *source
}

// walk goes through a file that was rotated so many times, from its beginning, and
// shows each whole record until visit says that it is enough.
func walk(r io.Reader, age int, visit func(*found) bool) error {
	in := bufio.NewReaderSize(r, longestLine)
	sources := map[int]*source{}
	nobody := &source{}
	l := found{at: Position{File: base - int64(age)}}
	numbered := false
	for next := int64(0); ; {
		l.at.Offset = next
		raw, err := in.ReadSlice('\n')
		next += int64(len(raw))
		for tooLong := errors.Is(err, bufio.ErrBufferFull); tooLong; {
			raw, err = in.ReadSlice('\n')
			next += int64(len(raw))
			raw, tooLong = nil, errors.Is(err, bufio.ErrBufferFull)
		}
		if err != nil { // without its newline the last line is torn, or being written
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch {
		case bytes.HasPrefix(raw, []byte(`{"t":`)):
			at, number, ok := timeAndSource(raw)
			if !ok {
				continue
			}
			l.time, l.raw, l.source = at, raw, sources[number]
			if l.source == nil {
				l.source = nobody
			}
			if !visit(&l) {
				return nil
			}
		case bytes.HasPrefix(raw, []byte(`{"src":`)):
			var s source
			if json.Unmarshal(raw, &s) == nil {
				sources[s.Number] = &s
			}
		case !numbered && bytes.HasPrefix(raw, []byte(`{"head":`)):
			var h head
			if json.Unmarshal(raw, &h) == nil && h.Number != 0 {
				l.at.File, numbered = h.Number, true
			}
		}
	}
}

// timeAndSource reads the two numbers that every line begins with.
func timeAndSource(raw []byte) (at int64, number int, ok bool) {
	rest := raw[len(`{"t":`):]
	comma := bytes.IndexByte(rest, ',')
	if comma < 0 {
		return 0, 0, false
	}
	at, err := strconv.ParseInt(string(rest[:comma]), 10, 64)
	if err != nil {
		return 0, 0, false
	}
	rest, ok = bytes.CutPrefix(rest[comma:], []byte(`,"s":`))
	if comma = bytes.IndexByte(rest, ','); !ok || comma < 0 {
		return 0, 0, false
	}
	number, err = strconv.Atoi(string(rest[:comma]))
	return at, number, err == nil
}

// micro gives a time as records have it, and otherwise for the zero time.
func micro(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.UnixMicro()
}
