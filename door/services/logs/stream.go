package logs

import (
	"slices"
	"strings"

	"kiln/door/services/awsjson"
)

// aStream reads a request that names one stream and asks for the permission on it.
func (s *Service) aStream(c *awsjson.Call) (group, stream string, err error) {
	var in struct{ LogGroupName, LogStreamName *string }
	if err := c.Read(&in); err != nil {
		return "", "", err
	}
	var k checks
	k.group(in.LogGroupName)
	k.stream(in.LogStreamName)
	if err := k.err(); err != nil {
		return "", "", err
	}
	return *in.LogGroupName, *in.LogStreamName, s.may(c, *in.LogGroupName, *in.LogStreamName)
}

// inGroup words the errors of a stream: those of its group first.
func (s *Service) inGroup(c *awsjson.Call, group string, err error) error {
	if err == nil {
		return nil
	}
	if _, none := s.store.Group(c.Who.Scope, group); none != nil {
		return found(none, false)
	}
	return found(err, true)
}

func (s *Service) createStream(c *awsjson.Call) (any, error) {
	group, stream, err := s.aStream(c)
	if err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	return nil, s.inGroup(c, group, s.store.CreateStream(c.Who.Scope, group, stream))
}

func (s *Service) deleteStream(c *awsjson.Call) (any, error) {
	group, stream, err := s.aStream(c)
	if err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	return nil, s.inGroup(c, group, s.store.DeleteStream(c.Who.Scope, group, stream))
}

// stream is a log stream on the wire. AWS has sent no size of streams since 2019.
type stream struct {
	LogStreamName       string `json:"logStreamName"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	UploadSequenceToken string `json:"uploadSequenceToken,omitempty"`
	Arn                 string `json:"arn"`
	StoredBytes         int64  `json:"storedBytes"`
}

func (s *Service) describeStreams(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName, LogGroupIdentifier, LogStreamNamePrefix, OrderBy, NextToken *string
		Descending                                                                bool
		Limit                                                                     *int64
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.name("logStreamNamePrefix", in.LogStreamNamePrefix, streamName, 512, false)
	k.word("orderBy", in.OrderBy, "LogStreamName", "LastEventTime")
	limit := int(k.number("limit", in.Limit, 1, 50, 50))
	group, err := oneGroup(&k, c.Who.Scope, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy != nil && *in.OrderBy == "LastEventTime"
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	if err := s.may(c, group, ""); err != nil {
		return nil, err
	}
	done, err := s.look(c)
	if err != nil {
		return nil, err
	}
	defer done()
	all, err := s.store.Streams(c.Who.Scope, group)
	if err != nil {
		return nil, found(err, false)
	}
	if in.LogStreamNamePrefix != nil {
		all = slices.DeleteFunc(all, func(t Stream) bool { return !strings.HasPrefix(t.Name, *in.LogStreamNamePrefix) })
	}
	if byTime {
		slices.SortStableFunc(all, func(a, b Stream) int { return a.Last.Compare(b.Last) })
	}
	if in.Descending {
		slices.Reverse(all)
	}
	names, byName := make([]string, len(all)), map[string]*Stream{}
	for i := range all {
		names[i], byName[all[i].Name] = all[i].Name, &all[i]
	}
	names, next, err := page(names, in.NextToken, limit, !byTime && !in.Descending)
	if err != nil {
		return nil, err
	}
	out := struct {
		LogStreams []stream `json:"logStreams"`
		NextToken  string   `json:"nextToken,omitempty"`
	}{[]stream{}, next}
	for _, n := range names {
		t := byName[n]
		w := stream{LogStreamName: n, CreationTime: millis(t.Created), Arn: groupARN(c.Who.Scope, group) + ":log-stream:" + n}
		if !t.Last.IsZero() {
			w.FirstEventTimestamp, w.LastEventTimestamp, w.LastIngestionTime = millis(t.First), millis(t.Last), millis(t.Ingested)
			w.UploadSequenceToken = sequence(t.Ingested)
		}
		out.LogStreams = append(out.LogStreams, w)
	}
	return out, nil
}
