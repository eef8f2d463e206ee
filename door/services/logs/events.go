package logs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kiln/door/services/awsjson"
)

// Bounds of PutLogEvents.
const (
	mostEvents  = 10000
	batchBytes  = 1 << 20
	eventBytes  = 26 // what an event counts besides its message
	batchSpan   = 24 * time.Hour
	oldestEvent = 14 * 24 * time.Hour
	newestEvent = 2 * time.Hour
)

// rejected says which events of a batch were not taken.
type rejected struct {
	TooNewLogEventStartIndex *int `json:"tooNewLogEventStartIndex,omitempty"`
	TooOldLogEventEndIndex   *int `json:"tooOldLogEventEndIndex,omitempty"`
	ExpiredLogEventEndIndex  *int `json:"expiredLogEventEndIndex,omitempty"`
}

// rejectedEntity says why an entity was not taken: there is nothing that would show it.
type rejectedEntity struct {
	ErrorType string `json:"errorType"`
}

// inputEvent is one event that a client sends.
type inputEvent struct {
	Timestamp *int64
	Message   *string
}

func (s *Service) putEvents(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName, LogStreamName *string
		LogEvents                   []inputEvent
		Entity                      *struct{}
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.group(in.LogGroupName)
	k.stream(in.LogStreamName)
	entries := batch(&k, in.LogEvents)
	if err := k.err(); err != nil {
		return nil, err
	}
	if err := checkBatch(entries); err != nil {
		return nil, err
	}
	if err := s.may(c, *in.LogGroupName, *in.LogStreamName); err != nil {
		return nil, err
	}
	days, err := s.retention(c, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	now := s.now()
	entries, not := sift(entries, now, days)
	if err := s.store.Put(c.Who.Scope, *in.LogGroupName, *in.LogStreamName, entries); err != nil {
		return nil, found(err, true)
	}
	out := struct {
		NextSequenceToken     string          `json:"nextSequenceToken"`
		RejectedLogEventsInfo *rejected       `json:"rejectedLogEventsInfo,omitempty"`
		RejectedEntityInfo    *rejectedEntity `json:"rejectedEntityInfo,omitempty"`
	}{sequence(now), not, nil}
	if in.Entity != nil {
		out.RejectedEntityInfo = &rejectedEntity{"UnsupportedLogGroupType"}
	}
	return out, nil
}

// retention gives for how many days a group keeps its records, 0 for no bound.
func (s *Service) retention(c *awsjson.Call, group string) (int, error) {
	g, err := s.store.Group(c.Who.Scope, group)
	return g.Days, found(err, false)
}

// batch turns the events of a request into entries, as far as they have all members.
func batch(k *checks, events []inputEvent) []Entry {
	if len(events) == 0 {
		k.add("[]", "logEvents", "Member must have length greater than or equal to 1")
	}
	if len(events) > mostEvents {
		k.add("[…]", "logEvents", fmt.Sprintf("Member must have length less than or equal to %d", mostEvents))
		return nil
	}
	entries := make([]Entry, 0, len(events))
	for i, e := range events {
		at := fmt.Sprintf("logEvents.%d.member.", i+1)
		switch {
		case e.Timestamp == nil:
			k.add(nil, at+"timestamp", "Member must not be null")
		case *e.Timestamp < 0:
			k.add(*e.Timestamp, at+"timestamp", "Member must have value greater than or equal to 0")
		case e.Message == nil:
			k.add(nil, at+"message", "Member must not be null")
		case *e.Message == "":
			k.add("", at+"message", "Member must have length greater than or equal to 1")
		default:
			entries = append(entries, Entry{time.UnixMilli(*e.Timestamp), *e.Message})
		}
	}
	return entries
}

// checkBatch refuses a batch that is too large, too long in time, or not in order.
func checkBatch(entries []Entry) error {
	size := 0
	for i, e := range entries {
		if len(e.Text) > MaxText {
			return invalid(fmt.Sprintf("Log event too large: %d bytes exceeds limit of %d", len(e.Text), MaxText))
		}
		size += len(e.Text) + eventBytes
		if i > 0 && e.Time.Before(entries[i-1].Time) {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > batchBytes {
		return invalid(fmt.Sprintf("Upload too large: %d bytes exceeds limit of %d", size, batchBytes))
	}
	if n := len(entries); n > 0 && entries[n-1].Time.Sub(entries[0].Time) > batchSpan {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// sift leaves out what is too old or too new to be taken, and says what that was.
func sift(entries []Entry, now time.Time, days int) ([]Entry, *rejected) {
	var not rejected
	bound := now.Add(-oldestEvent)
	expired := days > 0 && time.Duration(days)*24*time.Hour < oldestEvent
	if expired {
		bound = now.AddDate(0, 0, -days)
	}
	old := 0
	for old < len(entries) && entries[old].Time.Before(bound) {
		old++
	}
	end := old
	for end < len(entries) && !entries[end].Time.After(now.Add(newestEvent)) {
		end++
	}
	if old > 0 && expired {
		not.ExpiredLogEventEndIndex = &old
	} else if old > 0 {
		not.TooOldLogEventEndIndex = &old
	}
	if end < len(entries) {
		not.TooNewLogEventStartIndex = &end
	}
	if not == (rejected{}) {
		return entries, nil
	}
	return entries[old:end], &not
}

// span is the times that a request for events asks for.
type span struct{ StartTime, EndTime *int64 }

// window bounds a window by the times; last says whether the end is part of it.
func (t *span) window(k *checks, w *Window, last bool) {
	start, end := k.number("startTime", t.StartTime, 0, 1<<53, 0), k.number("endTime", t.EndTime, 0, 1<<53, 0)
	if t.StartTime != nil {
		w.From = time.UnixMilli(start)
	}
	if t.EndTime != nil {
		if last {
			end++
		}
		w.Until = time.UnixMilli(end)
	}
}

// outputEvent is an event of GetLogEvents, filteredEvent one of FilterLogEvents.
type outputEvent struct {
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
}

type filteredEvent struct {
	LogStreamName string `json:"logStreamName"`
	outputEvent
	EventID string `json:"eventId"`
}

// outputOf gives a record as an event. What functions and the platform write ends with
// the newline that it was written with, as on AWS.
func outputOf(r *Record) outputEvent {
	text := r.Text
	if r.Line {
		text += "\n"
	}
	return outputEvent{millis(r.Time), text, millis(r.Ingested)}
}

// byTime sorts the records of a page by their times; those of one time stay in the
// order in which they were written.
func byTime(records []Record) []Record {
	out := slices.Clone(records)
	slices.SortStableFunc(out, func(a, b Record) int { return a.Time.Compare(b.Time) })
	return out
}

func (s *Service) getEvents(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName, LogGroupIdentifier, LogStreamName, NextToken *string
		span
		Limit                 *int64
		StartFromHead, Unmask bool // nothing is masked
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.stream(in.LogStreamName)
	w := Window{Scope: c.Who.Scope, Limit: int(k.number("limit", in.Limit, 1, mostEvents, mostEvents)), Newest: !in.StartFromHead}
	in.window(&k, &w, false)
	group, err := oneGroup(&k, c.Who.Scope, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	w.Group = group
	w.Stream = func(name string) bool { return name == *in.LogStreamName }
	from, err := w.continueAt(in.NextToken)
	if err != nil {
		return nil, err
	}
	if err := s.may(c, group, *in.LogStreamName); err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	v, err := s.whole(&w)
	if err != nil {
		return nil, found(err, false)
	}
	if len(v.Records) == 0 {
		if err := s.streamThere(c, group, *in.LogStreamName); err != nil {
			return nil, err
		}
	}
	return eventsPage(v, from), nil
}

// eventsPage answers with a page and the tokens to go on in both directions. At an end
// the token stays the one that was sent.
func eventsPage(v *View, from Position) any {
	out := struct {
		Events            []outputEvent `json:"events"`
		NextForwardToken  string        `json:"nextForwardToken"`
		NextBackwardToken string        `json:"nextBackwardToken"`
	}{[]outputEvent{}, "f/" + from.String(), "b/" + from.String()}
	if n := len(v.Records); n > 0 {
		out.NextForwardToken, out.NextBackwardToken = "f/"+v.Records[n-1].At.String(), "b/"+v.Records[0].At.String()
		for _, r := range byTime(v.Records) {
			out.Events = append(out.Events, outputOf(&r))
		}
	}
	return out
}

// continueAt sets the window to the direction and the place of a token and gives the
// place; the zero place is that of no token.
func (w *Window) continueAt(token *string) (from Position, err error) {
	if token == nil {
		return from, nil
	}
	text, forward := strings.CutPrefix(*token, "f/")
	if !forward {
		var backward bool
		if text, backward = strings.CutPrefix(*token, "b/"); !backward {
			return from, badToken()
		}
	}
	if from, err = readPosition(text); err != nil {
		return from, err
	}
	w.Newest = !forward
	switch {
	case forward:
		w.After = from
	case from == Position{}: // nothing is before the beginning
		w.Before = Position{0, 1}
	default:
		w.Before = from
	}
	return from, nil
}

// whole gives a page that has an event when there is one: the pages of GetLogEvents
// that have none mean the end.
func (s *Service) whole(w *Window) (*View, error) {
	for {
		v, err := s.store.Look(*w)
		if err != nil || len(v.Records) > 0 || !v.More {
			return v, err
		}
		w.After = v.Last
	}
}

// streamThere refuses a stream that does not exist.
func (s *Service) streamThere(c *awsjson.Call, group, stream string) error {
	all, err := s.store.Streams(c.Who.Scope, group)
	if err != nil {
		return found(err, false)
	}
	if !slices.ContainsFunc(all, func(t Stream) bool { return t.Name == stream }) {
		return awsjson.Fail("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	return nil
}

func (s *Service) filterEvents(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName, LogGroupIdentifier, LogStreamNamePrefix, FilterPattern, NextToken *string
		LogStreamNames                                                                  []string
		span
		Limit               *int64
		Interleaved, Unmask bool // events always are interleaved, as on AWS since 2019; nothing is masked
		StartFromHead       *bool
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.names("logStreamNames", in.LogStreamNames, streamName, 100)
	k.name("logStreamNamePrefix", in.LogStreamNamePrefix, streamName, 512, false)
	w := Window{Scope: c.Who.Scope, Limit: int(k.number("limit", in.Limit, 1, mostEvents, mostEvents))}
	in.window(&k, &w, true)
	group, err := oneGroup(&k, c.Who.Scope, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("LogStream names and LogStream name prefix are mutually exclusive parameters.")
	}
	if in.StartFromHead != nil && !*in.StartFromHead {
		return nil, unsupported("startFromHead false of FilterLogEvents")
	}
	w.Group, w.Stream = group, streamsOf(in.LogStreamNames, in.LogStreamNamePrefix)
	if in.FilterPattern != nil {
		if w.Match, err = Pattern(*in.FilterPattern); err != nil {
			return nil, err
		}
	}
	if in.NextToken != nil {
		text, err := readToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		if w.After, err = readPosition(text); err != nil {
			return nil, err
		}
	}
	if err := s.may(c, group, ""); err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	v, err := s.store.Look(w)
	if err != nil {
		return nil, found(err, false)
	}
	out := struct {
		Events             []filteredEvent `json:"events"`
		SearchedLogStreams []struct{}      `json:"searchedLogStreams"` // always empty, as on AWS since 2020
		NextToken          string          `json:"nextToken,omitempty"`
	}{[]filteredEvent{}, []struct{}{}, ""}
	for _, r := range byTime(v.Records) {
		out.Events = append(out.Events, filteredEvent{r.Stream, outputOf(&r), eventID(&r)})
	}
	if v.More {
		out.NextToken = makeToken(v.Last.String())
	}
	return out, nil
}

// streamsOf gives the test of which streams are wanted, nil for all.
func streamsOf(names []string, prefix *string) func(string) bool {
	switch {
	case prefix != nil:
		return func(name string) bool { return strings.HasPrefix(name, *prefix) }
	case len(names) > 0:
		return func(name string) bool { return slices.Contains(names, name) }
	}
	return nil
}
