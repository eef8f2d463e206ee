package main

import (
	"context"
	"errors"
	"iter"

	"kiln"
	cloudwatch "kiln/door/services/logs"
	"kiln/telemetry/logs"
)

// eventStore is the log store in the words of the neighbour that answers as CloudWatch
// Logs.
type eventStore struct{ *logs.Store }

var _ cloudwatch.Store = eventStore{}

// sentinel gives an error of the store in the neighbour's words.
func sentinel(err error) error {
	switch {
	case errors.Is(err, logs.ErrExists):
		return cloudwatch.ErrExists
	case errors.Is(err, logs.ErrTooMany):
		return cloudwatch.ErrTooMany
	}
	return err
}

// Groups is cloudwatch.Groups.
func (s eventStore) Groups(scope kiln.Scope) ([]cloudwatch.Group, error) {
	groups, err := s.Store.Groups(scope)
	out := make([]cloudwatch.Group, len(groups))
	for i, g := range groups {
		out[i] = groupOf(g)
	}
	return out, err
}

// Group is cloudwatch.Groups.
func (s eventStore) Group(scope kiln.Scope, group string) (cloudwatch.Group, error) {
	g, err := s.Store.Group(scope, group)
	return groupOf(g), err
}

func groupOf(g logs.Group) cloudwatch.Group {
	return cloudwatch.Group{Name: g.Name, Bytes: g.Bytes, Created: g.Created, Days: g.Days, Tags: g.Tags}
}

// CreateGroup is cloudwatch.Groups.
func (s eventStore) CreateGroup(scope kiln.Scope, group string, tags map[string]string) error {
	return sentinel(s.Store.CreateGroup(scope, group, tags))
}

// SetTags is cloudwatch.Groups.
func (s eventStore) SetTags(scope kiln.Scope, group string, set map[string]string, remove []string) error {
	return sentinel(s.Store.SetTags(scope, group, set, remove))
}

// Streams is cloudwatch.Streams.
func (s eventStore) Streams(scope kiln.Scope, group string) ([]cloudwatch.Stream, error) {
	streams, err := s.Store.Streams(scope, group)
	out := make([]cloudwatch.Stream, len(streams))
	for i, t := range streams {
		out[i] = cloudwatch.Stream(t)
	}
	return out, err
}

// CreateStream is cloudwatch.Streams.
func (s eventStore) CreateStream(scope kiln.Scope, group, stream string) error {
	return sentinel(s.Store.CreateStream(scope, group, stream))
}

// Put is cloudwatch.Events.
func (s eventStore) Put(scope kiln.Scope, group, stream string, entries []cloudwatch.Entry) error {
	list := make([]logs.Entry, len(entries))
	for i, e := range entries {
		list[i] = logs.Entry(e)
	}
	return s.Store.Put(scope, group, stream, list)
}

// Look is cloudwatch.Events.
func (s eventStore) Look(w cloudwatch.Window) (*cloudwatch.View, error) {
	v, err := s.Store.Look(logs.Window{
		Scope: w.Scope, Group: w.Group, Stream: w.Stream, From: w.From, Until: w.Until,
		After: logs.Position(w.After), Before: logs.Position(w.Before), Newest: w.Newest, Limit: w.Limit, Match: w.Match,
	})
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.View{Last: cloudwatch.Position(v.Last), More: v.More, Records: make([]cloudwatch.Record, len(v.Records))}
	for i := range v.Records {
		out.Records[i] = eventOf(&v.Records[i].Record, v.Records[i].At)
	}
	return out, nil
}

// Follow is cloudwatch.Events.
func (s eventStore) Follow(ctx context.Context, scope kiln.Scope, group string) iter.Seq[cloudwatch.Record] {
	records := s.Store.Follow(ctx, logs.Query{Scope: scope, Group: group})
	return func(yield func(cloudwatch.Record) bool) {
		for r, err := range records {
			if err != nil || !yield(eventOf(&r, logs.Position{})) {
				return
			}
		}
	}
}

func eventOf(r *logs.Record, at logs.Position) cloudwatch.Record {
	out := cloudwatch.Record{At: cloudwatch.Position(at), Time: r.Time, Ingested: r.Ingested, Stream: r.Stream, Text: r.Text, Line: r.Type != logs.Put, Missed: r.Missed > 0}
	if out.Ingested.IsZero() {
		out.Ingested = r.Time
	}
	return out
}
