package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Bounds of what one Read gives.
const (
	defaultLimit = 1000
	mostRecords  = 100000
	mostBytes    = 16 << 20
	// mostGroups is how many groups, those written to last, one query looks into.
	mostGroups = 256
	// coarse is more than the clock of a filesystem may be behind.
	coarse = time.Second
	// longestLine holds the longest text with every byte of it escaped.
	longestLine = 6*maxText + 4096
)

// Query says which records are wanted. Empty members ask for all.
type Query struct {
	Scope     kiln.Scope
	Group     string
	Stream    string
	RequestID string
	Since     time.Time
	// Limit is how many of the newest are given; 0 is 1,000. More than 100,000
	// records or 16 MB of text are never given at once.
	Limit int
}

// Read gives the newest records that match, the newest last, of all that was
// emitted before. Records that a crash has torn or a fault of the disk has made
// unreadable are left out.
func (s *Store) Read(q Query) ([]Record, error) {
	var opened []*snapshot
	var err error
	if closed := s.do(func() { opened, err = s.files.snapshot(q) }); closed != nil {
		return nil, closed
	}
	if err != nil {
		return nil, err
	}
	return q.collect(opened)
}

// snapshot is the files of a group, oldest first, as they were at one moment.
type snapshot struct {
	key   groupKey
	files []*os.File
	sizes []int64
}

// closeAll closes the files of some snapshots.
func closeAll(opened []*snapshot) {
	for _, s := range opened {
		for _, f := range s.files {
			_ = f.Close() // it was only read
		}
	}
}

// snapshot opens the files of every group that a query asks for.
func (fs *files) snapshot(q Query) ([]*snapshot, error) {
	var groups []*file
	for _, f := range fs.groups {
		if f.key.in(q.Scope) && (q.Group == "" || q.Group == f.key.group) && !f.written.Before(q.Since.Add(-coarse)) {
			groups = append(groups, f)
		}
	}
	slices.SortFunc(groups, func(a, b *file) int { return b.written.Compare(a.written) })
	var opened []*snapshot
	for _, f := range groups[:min(len(groups), mostGroups)] {
		s := &snapshot{key: f.key}
		opened = append(opened, s)
		for age := fs.rotated; age >= 0; age-- {
			if err := s.add(fs.root, f.file(age), q.Since); err != nil {
				closeAll(opened)
				return nil, fmt.Errorf("reading the log group %s: %w", f.key.group, err)
			}
		}
	}
	return opened, nil
}

// add opens one file, if it exists and was written to since.
func (s *snapshot) add(root *os.Root, name string, since time.Time) error {
	f, err := root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil || info.ModTime().Before(since.Add(-coarse)) {
		_ = f.Close() // it was only read
		return err
	}
	s.files, s.sizes = append(s.files, f), append(s.sizes, info.Size())
	return nil
}

// collect reads the newest matching records of some groups and closes their files.
func (q *Query) collect(opened []*snapshot) ([]Record, error) {
	defer closeAll(opened)
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, mostRecords)
	var records []Record
	for _, s := range opened {
		found, err := s.read(q, limit)
		if err != nil {
			return nil, err
		}
		records = append(records, found...)
	}
	if len(opened) > 1 {
		slices.SortStableFunc(records, func(a, b Record) int { return a.Time.Compare(b.Time) })
		records = newest(records, limit)
	}
	return records, nil
}

// newest cuts records to the last few that are within the bounds.
func newest(records []Record, limit int) []Record {
	from, size := len(records), 0
	for from > 0 && len(records)-from < limit {
		size += len(records[from-1].Text)
		if size > mostBytes {
			break
		}
		from--
	}
	return records[from:]
}

// read gives the newest records of one group, from its newest file to its oldest,
// until there are enough.
func (s *snapshot) read(q *Query, limit int) ([]Record, error) {
	var parts [][]Record
	have := 0
	for i := len(s.files) - 1; i >= 0 && have < limit; i-- {
		t := tail{limit: limit - have}
		if err := t.scan(io.NewSectionReader(s.files[i], 0, s.sizes[i]), q); err != nil {
			return nil, fmt.Errorf("reading the log group %s: %w", s.key.group, err)
		}
		part := t.records(s.key)
		have += len(part)
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	return newest(slices.Concat(parts...), limit), nil
}

// tail keeps the last lines that match, undecoded: most are overtaken by later
// ones and never needed.
type tail struct {
	limit int
	lines []match
	size  int
}

// match is one line and the source that its number stood for.
type match struct {
	raw    []byte
	source source
}

// scan goes through a file from its beginning.
func (t *tail) scan(r io.Reader, q *Query) error {
	in := bufio.NewReaderSize(r, longestLine)
	since := int64(-1 << 63)
	if !q.Since.IsZero() {
		since = q.Since.UnixMicro()
	}
	var request []byte
	if q.RequestID != "" {
		request = telemetry.AppendString([]byte(`,"r":`), q.RequestID)
	}
	sources := map[int]source{}
	for {
		raw, err := in.ReadSlice('\n')
		for tooLong := errors.Is(err, bufio.ErrBufferFull); tooLong; {
			raw = nil
			_, err = in.ReadSlice('\n')
			tooLong = errors.Is(err, bufio.ErrBufferFull)
		}
		if err != nil { // without its newline the last line is torn, or being written
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch {
		case bytes.HasPrefix(raw, []byte(`{"t":`)):
			if at, number, ok := timeAndSource(raw); ok && at >= since && (request == nil || bytes.Contains(raw, request)) {
				if src := sources[number]; q.Stream == "" || q.Stream == src.Stream {
					t.add(raw, src)
				}
			}
		case bytes.HasPrefix(raw, []byte(`{"src":`)):
			var s source
			if json.Unmarshal(raw, &s) == nil {
				sources[s.Number] = s
			}
		}
	}
}

// add keeps a copy of a line and lets the oldest go when there are too many or they
// are too long together.
func (t *tail) add(raw []byte, src source) {
	t.lines = append(t.lines, match{bytes.Clone(raw), src})
	t.size += len(raw)
	for len(t.lines) > t.limit || t.size > 2*mostBytes {
		t.size -= len(t.lines[0].raw)
		t.lines[0] = match{}
		t.lines = t.lines[1:]
	}
}

// records decodes the lines, oldest first. What does not decode is left out.
func (t *tail) records(key groupKey) []Record {
	records := make([]Record, 0, len(t.lines))
	for i := range t.lines {
		m := &t.lines[i]
		var l line
		if json.Unmarshal(m.raw, &l) != nil {
			continue
		}
		records = append(records, Record{
			Time: time.UnixMicro(l.Time), Type: telemetry.Type(l.Kind),
			Function: kiln.FunctionID{Scope: key.Scope, Name: m.source.Function}, Version: m.source.Version,
			Group: key.group, Stream: m.source.Stream, RequestID: l.RequestID, Text: l.Text,
		})
	}
	return records
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
