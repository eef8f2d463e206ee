package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
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
	ages  []int
	veil  veil
	// streams are those that clients have made, and when.
	streams map[string]int64
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
		s, err := fs.snapshotOf(f, q.Since)
		if err != nil {
			closeAll(opened)
			return nil, err
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// snapshotOf opens the files of one group that were written to since.
func (fs *files) snapshotOf(f *file, since time.Time) (*snapshot, error) {
	s := &snapshot{key: f.key, veil: f.veil(time.Now()), streams: maps.Clone(f.about.Streams)}
	for age := fs.rotated; age >= 0; age-- {
		if err := s.add(fs.root, f.file(age), age, since); err != nil {
			closeAll([]*snapshot{s})
			return nil, fmt.Errorf("reading the log group %s: %w", f.key.group, err)
		}
	}
	return s, nil
}

// add opens one file, if it exists and was written to since.
func (s *snapshot) add(root *os.Root, name string, age int, since time.Time) error {
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
	s.files, s.sizes, s.ages = append(s.files, f), append(s.sizes, info.Size()), append(s.ages, age)
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
		if err := t.scan(io.NewSectionReader(s.files[i], 0, s.sizes[i]), s.ages[i], q, &s.veil); err != nil {
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
	source *source
}

// scan goes through a file from its beginning.
func (t *tail) scan(r io.Reader, age int, q *Query, v *veil) error {
	since := micro(q.Since, math.MinInt64)
	var request []byte
	if q.RequestID != "" {
		request = telemetry.AppendString([]byte(`,"r":`), q.RequestID)
	}
	return walk(r, age, func(l *found) bool {
		if l.time >= since && (request == nil || bytes.Contains(l.raw, request)) && (q.Stream == "" || q.Stream == l.source.Stream) && v.shows(l) {
			t.add(l.raw, l.source)
		}
		return true
	})
}

// add keeps a copy of a line and lets the oldest go when there are too many or they
// are too long together.
func (t *tail) add(raw []byte, src *source) {
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
		if r, ok := m.source.record(key, m.raw); ok {
			records = append(records, r)
		}
	}
	return records
}
