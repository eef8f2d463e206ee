package logs

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Bounds of one look through a window.
const (
	windowBytes = 1 << 20  // of texts in one page
	eventBytes  = 26       // what a record counts besides its text, as on AWS
	windowWork  = 16 << 20 // of lines that a page may look at
)

// Window is a part of a group's records that is looked at page by page.
type Window struct {
	Scope       kiln.Scope
	Group       string
	Stream      func(string) bool // nil: all
	From, Until time.Time         // of the records' times, the latter exclusive; zero: open
	After       Position          // records after it
	Before      Position          // records before it; zero: all
	Newest      bool              // the newest records are wanted and not the oldest
	Limit       int
	Match       func(text string) bool // nil: all; not asked when Newest
}

// Placed is a record and its place.
type Placed struct {
	Record
	At Position
}

// View is one page of a window.
type View struct {
	Records []Placed // in the order in which they were written
	// Last is the place up to which the records were looked at; More, whether there may
	// be further ones after it.
	Last Position
	More bool
}

// Look gives one page of a window, of all that was emitted before. Without Newest it
// may have fewer records than the limit, or none, and More all the same.
func (s *Store) Look(w Window) (*View, error) {
	opened, err := s.open(w.Scope, w.Group, w.From)
	if err != nil {
		return nil, err
	}
	defer closeAll([]*snapshot{opened})
	if w.Newest {
		return opened.newest(&w)
	}
	return opened.oldest(&w)
}

// open opens the files of one group.
func (s *Store) open(scope kiln.Scope, group string, since time.Time) (opened *snapshot, err error) {
	err = s.ask(func() error {
		f := s.files.groups[groupKey{scope, group}]
		if f == nil {
			return noGroup(group)
		}
		list, err := s.files.snapshotOf(f, since)
		opened = list
		return err
	})
	return opened, err
}

// wants reports whether a line is one of the window.
func (w *Window) wants(l *found, v *veil) bool {
	return w.After.Before(l.at) && (w.Before == Position{} || l.at.Before(w.Before)) &&
		l.time >= micro(w.From, math.MinInt64) && l.time < micro(w.Until, math.MaxInt64) &&
		(w.Stream == nil || w.Stream(l.source.Stream)) && v.shows(l)
}

// oldest gives the oldest records of a window.
func (s *snapshot) oldest(w *Window) (*View, error) {
	out := &View{Last: w.After}
	size, work := 0, 0
	for i := 0; i < len(s.files) && !out.More; i++ {
		err := walk(io.NewSectionReader(s.files[i], 0, s.sizes[i]), s.ages[i], func(l *found) bool {
			if !w.After.Before(l.at) {
				return true
			}
			if len(out.Records) >= w.Limit || size > windowBytes || work > windowWork {
				out.More = true
				return false
			}
			if w.wants(l, &s.veil) {
				work += len(l.raw)
				r, ok := l.source.record(s.key, l.raw)
				if ok && (w.Match == nil || w.Match(r.Text)) {
					if size += len(r.Text) + eventBytes; size > windowBytes && len(out.Records) > 0 {
						out.More = true
						return false
					}
					out.Records = append(out.Records, Placed{r, l.at})
				}
			}
			out.Last = l.at
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("reading the log group %s: %w", s.key.group, err)
		}
	}
	return out, nil
}

// newest gives the newest records of a window, from its newest file to its oldest.
func (s *snapshot) newest(w *Window) (*View, error) {
	out := &View{Last: w.After}
	var parts [][]Placed
	size, have := 0, 0
	for i := len(s.files) - 1; i >= 0 && have < w.Limit && size <= windowBytes; i-- {
		var part []Placed
		t := tail{limit: w.Limit - have}
		var places []Position
		err := walk(io.NewSectionReader(s.files[i], 0, s.sizes[i]), s.ages[i], func(l *found) bool {
			if w.wants(l, &s.veil) {
				t.add(l.raw, l.source)
				places = append(places, l.at)
				places = places[len(places)-len(t.lines):]
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("reading the log group %s: %w", s.key.group, err)
		}
		for k := len(t.lines) - 1; k >= 0; k-- {
			r, ok := t.lines[k].source.record(s.key, t.lines[k].raw)
			if !ok {
				continue
			}
			if size += len(r.Text) + eventBytes; size > windowBytes && have > 0 {
				break
			}
			part = append(part, Placed{r, places[k]})
			have++
		}
		slices.Reverse(part)
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	out.Records = slices.Concat(parts...)
	if n := len(out.Records); n > 0 {
		out.Last = out.Records[n-1].At
	}
	return out, nil
}

// Stream is one stream of a group.
type Stream struct {
	Name        string
	Created     time.Time
	First, Last time.Time // of its records; zero when it has none
	Ingested    time.Time // when the last of them came
	Bytes       int64
}

// Streams lists the streams of a group by name: those that have records, and those that
// a client has made.
func (s *Store) Streams(scope kiln.Scope, group string) ([]Stream, error) {
	opened, err := s.open(scope, group, time.Time{})
	if err != nil {
		return nil, err
	}
	defer closeAll([]*snapshot{opened})
	known := map[string]*Stream{}
	for name, at := range opened.streams {
		known[name] = &Stream{Name: name, Created: time.UnixMilli(at)}
	}
	for i, f := range opened.files {
		err := walk(io.NewSectionReader(f, 0, opened.sizes[i]), opened.ages[i], func(l *found) bool {
			if l.source.Stream == "" || !opened.veil.shows(l) {
				return true
			}
			k := known[l.source.Stream]
			if k == nil {
				k = &Stream{Name: l.source.Stream}
				known[k.Name] = k
			}
			at := time.UnixMicro(l.time)
			came := at
			if bytes.Contains(l.raw, []byte(`,"k":"`+Put+`"`)) { // no text has that unescaped
				if r, ok := l.source.record(opened.key, l.raw); ok {
					came = r.Ingested
				}
			}
			k.add(at, came, int64(len(l.raw)))
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("reading the log group %s: %w", group, err)
		}
	}
	out := make([]Stream, 0, len(known))
	for _, k := range known {
		if k.Created.IsZero() {
			k.Created = k.First
		}
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b Stream) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// add counts one record.
func (k *Stream) add(at, came time.Time, size int64) {
	if k.First.IsZero() || at.Before(k.First) {
		k.First = at
	}
	if at.After(k.Last) {
		k.Last = at
	}
	if came.After(k.Ingested) {
		k.Ingested = came
	}
	k.Bytes += size
}

// Put is the type of records that clients put into a stream.
const Put telemetry.Type = "put"

// Entry is one record that a client puts into a stream.
type Entry struct {
	Time time.Time
	Text string
}

// MaxText is the longest text of a record, in bytes.
const MaxText = maxText

// Put adds records to a stream. When it returns nil they are in the file.
func (s *Store) Put(scope kiln.Scope, group, stream string, entries []Entry) error {
	err := s.put(scope, group, stream, entries, false)
	if kiln.CodeOf(err) != kiln.NotFound {
		return err
	}
	known, listed := s.Streams(scope, group)
	if listed != nil {
		return listed
	}
	if !slices.ContainsFunc(known, func(k Stream) bool { return k.Name == stream }) {
		return noStream(stream)
	}
	return s.put(scope, group, stream, entries, true)
}

// put adds records to a stream that a client has made, or that is known to be there.
func (s *Store) put(scope kiln.Scope, group, stream string, entries []Entry, known bool) error {
	return s.ask(func() error {
		f := s.files.groups[groupKey{scope, group}]
		if f == nil {
			return noGroup(group)
		}
		if _, made := f.about.Streams[stream]; !made && !known {
			return noStream(stream)
		}
		from := f.clients[stream]
		if from == nil {
			from = &telemetry.Source{Function: kiln.FunctionID{Scope: scope}, Group: group, Stream: stream}
			if f.clients == nil {
				f.clients = map[string]*telemetry.Source{}
			}
			f.clients[stream] = from
		}
		now := time.Now()
		for _, e := range entries {
			s.keep(Record{Time: e.Time, Type: Put, Function: from.Function, Group: group, Stream: stream, Text: e.Text, Ingested: now}, from)
		}
		s.files.flush()
		if f.lost > 0 {
			return kiln.Errorf(kiln.Unavailable, "the records could not be written")
		}
		return nil
	})
}
