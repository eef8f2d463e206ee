package logs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln"
	"kiln/door/services/awsjson"
)

// Bounds of a session of StartLiveTail.
const (
	sessionTime   = 3 * time.Hour
	sessionEvents = 500 // in one second; with more the update says that it is a sample
	mostSessions  = 15  // of an account at the same time, as on AWS
)

// tailEvent is one event of a session.
type tailEvent struct {
	LogStreamName      string `json:"logStreamName"`
	LogGroupIdentifier string `json:"logGroupIdentifier"`
	Message            string `json:"message"`
	Timestamp          int64  `json:"timestamp"`
	IngestionTime      int64  `json:"ingestionTime"`
}

// tailRequest is what StartLiveTail is sent.
type tailRequest struct {
	LogGroupIdentifiers   []string `json:"logGroupIdentifiers"`
	LogStreamNames        []string `json:"logStreamNames,omitempty"`
	LogStreamNamePrefixes []string `json:"logStreamNamePrefixes,omitempty"`
	LogEventFilterPattern *string  `json:"logEventFilterPattern,omitempty"`
}

// check judges a request and gives the names of its groups, by what they are called in
// it, and the test of its events.
func (in *tailRequest) check(scope kiln.Scope) (groups map[string]string, match func(string) bool, err error) {
	var k checks
	if len(in.LogGroupIdentifiers) == 0 {
		k.add(nil, "logGroupIdentifiers", "Member must not be null")
	}
	k.names("logGroupIdentifiers", in.LogGroupIdentifiers, groupIdent, 10)
	k.names("logStreamNames", in.LogStreamNames, streamName, 100)
	k.names("logStreamNamePrefixes", in.LogStreamNamePrefixes, streamName, 100)
	if err := k.err(); err != nil {
		return nil, nil, err
	}
	if len(in.LogStreamNames)+len(in.LogStreamNamePrefixes) > 0 && len(in.LogGroupIdentifiers) > 1 {
		return nil, nil, invalid("logStreamNames and logStreamNamePrefixes can be specified only with a single log group.")
	}
	if len(in.LogStreamNames) > 0 && len(in.LogStreamNamePrefixes) > 0 {
		return nil, nil, invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	}
	groups = map[string]string{}
	for _, id := range in.LogGroupIdentifiers {
		if !strings.HasPrefix(id, "arn:") {
			return nil, nil, invalid("The log group identifier must be an ARN: " + id)
		}
		if groups[id], err = groupOf(scope, id); err != nil {
			return nil, nil, err
		}
	}
	if in.LogEventFilterPattern != nil {
		if match, err = Pattern(*in.LogEventFilterPattern); err != nil {
			return nil, nil, err
		}
	}
	return groups, match, nil
}

// wants reports whether a stream is asked for.
func (in *tailRequest) wants(stream string) bool {
	if len(in.LogStreamNames) > 0 {
		return slices.Contains(in.LogStreamNames, stream)
	}
	return len(in.LogStreamNamePrefixes) == 0 ||
		slices.ContainsFunc(in.LogStreamNamePrefixes, func(p string) bool { return strings.HasPrefix(stream, p) })
}

// liveTail shows the events of some groups as they come, once a second, until the
// client goes, the server goes down, or three hours are over.
func (s *Service) liveTail(c *awsjson.Call) (any, error) {
	var in tailRequest
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	groups, match, err := in.check(c.Who.Scope)
	if err != nil {
		return nil, err
	}
	for _, name := range groups {
		if err := s.may(c, name, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range groups {
		if _, err := s.store.Group(c.Who.Scope, name); err != nil {
			return nil, found(err, false)
		}
	}
	if !s.sessions.begin(c.Who.Account) {
		return nil, awsjson.Fail("LimitExceededException", "There are 15 sessions already; an account can have no more at the same time.")
	}
	defer s.sessions.end(c.Who.Account)
	ctx, cancel := context.WithTimeout(c.Request.Context(), sessionTime)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	var p pending
	for id, name := range groups {
		arn := strings.TrimSuffix(id, ":*")
		records := s.store.Follow(ctx, c.Who.Scope, name)
		wait.Go(func() {
			for r := range records {
				if r.Missed {
					p.miss()
				} else if in.wants(r.Stream) && (match == nil || match(r.Text)) {
					o := outputOf(&r)
					p.add(tailEvent{r.Stream, arn, o.Message, o.Timestamp, o.IngestionTime})
				}
			}
		})
	}
	s.session(ctx, c, &in, &p)
	return nil, awsjson.ErrStreamed
}

// session writes the stream of a session.
func (s *Service) session(ctx context.Context, c *awsjson.Call, in *tailRequest, p *pending) {
	out := http.NewResponseController(c.Writer)
	c.Writer.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	c.Writer.WriteHeader(http.StatusOK)
	send := func(kind string, v any) bool {
		body, err := json.Marshal(v)
		if err == nil {
			_, err = c.Writer.Write(message(kind, body))
		}
		if err == nil {
			err = out.Flush()
		}
		return err == nil
	}
	start := struct {
		RequestID string `json:"requestId"`
		SessionID string `json:"sessionId"`
		tailRequest
	}{c.RequestID, kiln.NewID(), *in}
	if !send("initial-response", struct{}{}) || !send("sessionStart", start) {
		return
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			events, sampled := p.take()
			var update struct {
				SessionMetadata struct {
					Sampled bool `json:"sampled"`
				} `json:"sessionMetadata"`
				SessionResults []tailEvent `json:"sessionResults"`
			}
			update.SessionMetadata.Sampled, update.SessionResults = sampled, events
			if !send("sessionUpdate", update) {
				return
			}
		case <-ctx.Done():
			if c.Request.Context().Err() == nil {
				_, _ = c.Writer.Write(exception("SessionTimeoutException", "The session has timed out after 3 hours.")) // the last thing that is said
			}
			return
		case <-s.draining:
			_, _ = c.Writer.Write(exception("SessionStreamingException", "The server is going down.")) // the last thing that is said
			return
		}
	}
}

// sessions counts those of each account.
type sessions struct {
	mu sync.Mutex
	of map[string]int
}

// begin counts one more, unless there are as many as there may be.
func (n *sessions) begin(account string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[account] >= mostSessions {
		return false
	}
	n.of[account]++
	return true
}

// end counts one less.
func (n *sessions) end(account string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[account]--; n.of[account] == 0 {
		delete(n.of, account)
	}
}

// pending are the events of a session that were not sent yet.
type pending struct {
	mu      sync.Mutex
	events  []tailEvent
	sampled bool
}

func (p *pending) add(e tailEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events) >= sessionEvents {
		p.sampled = true
		return
	}
	p.events = append(p.events, e)
}

func (p *pending) miss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sampled = true
}

func (p *pending) take() ([]tailEvent, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	events, sampled := p.events, p.sampled
	p.events, p.sampled = nil, false
	if events == nil {
		events = []tailEvent{}
	}
	return events, sampled
}

// message frames one event as AWS does: the lengths of all and of the headers, their
// checksum, the headers, the payload, and the checksum of all.
func message(kind string, payload []byte) []byte {
	return frame(payload, ":message-type", "event", ":event-type", kind, ":content-type", "application/json")
}

// exception frames an error that ends a stream.
func exception(kind, text string) []byte {
	payload, _ := json.Marshal(map[string]string{"message": text}) // strings always can be written
	return frame(payload, ":message-type", "exception", ":exception-type", kind, ":content-type", "application/json")
}

func frame(payload []byte, pairs ...string) []byte {
	const text = 7 // the type of a header that is a string
	var headers []byte
	for i := 0; i < len(pairs); i += 2 {
		headers = append(append(headers, byte(len(pairs[i]))), pairs[i]...)
		headers = binary.BigEndian.AppendUint16(append(headers, text), uint16(len(pairs[i+1])))
		headers = append(headers, pairs[i+1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(headers)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}
