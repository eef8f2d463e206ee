// Package logs is the neighbour that answers as CloudWatch Logs: groups, streams and
// events of what functions wrote, and of what clients put there. It keeps nothing
// itself: the log store does.
package logs

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/services/awsjson"
)

// Errors of a Store.
var (
	ErrExists  = errors.New("it exists already")
	ErrTooMany = errors.New("there are too many")
)

// MaxText is how many bytes a record that a client puts may have.
const MaxText = 256 << 10

// atOnce is how many requests may look through files at the same time.
const atOnce = 4

// Options is what a Service stands on. All but Now is required.
type Options struct {
	Store Store
	Gate  *auth.Gate
	Log   *slog.Logger
	Now   func() time.Time // for tests
}

// Service answers the requests to CloudWatch Logs.
type Service struct {
	awsjson.Service
	store Store
	gate  *auth.Gate
	now   func() time.Time
	looks chan struct{} // has a token for each request that looks through files

	sessions sessions
	draining chan struct{} // closed when sessions have to end
	once     sync.Once
}

// New gives the service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{store: o.Store, gate: o.Gate, now: o.Now, looks: make(chan struct{}, atOnce), sessions: sessions{of: map[string]int{}}, draining: make(chan struct{})}
	s.Service = awsjson.Service{Target: "Logs_20140328", Version: "1.1", Explain: explain, Log: o.Log, Actions: map[string]func(*awsjson.Call) (any, error){
		"CreateLogGroup": s.createGroup, "DeleteLogGroup": s.deleteGroup, "DescribeLogGroups": s.describeGroups,
		"PutRetentionPolicy": s.putRetention, "DeleteRetentionPolicy": s.deleteRetention,
		"TagResource": s.tag, "UntagResource": s.untag, "ListTagsForResource": s.listTags,
		"TagLogGroup": s.tagGroup, "UntagLogGroup": s.untagGroup, "ListTagsLogGroup": s.listGroupTags,
		"CreateLogStream": s.createStream, "DeleteLogStream": s.deleteStream, "DescribeLogStreams": s.describeStreams,
		"PutLogEvents": s.putEvents, "GetLogEvents": s.getEvents, "FilterLogEvents": s.filterEvents, "StartLiveTail": s.liveTail,
	}}
	return s
}

// Drain ends the sessions that would go on for hours. It is idempotent.
func (s *Service) Drain() { s.once.Do(func() { close(s.draining) }) }

// look waits for its turn to look through files. The result ends the turn.
func (s *Service) look(c *awsjson.Call) (done func(), err error) {
	select {
	case s.looks <- struct{}{}:
		return func() { <-s.looks }, nil
	case <-c.Request.Context().Done():
		return nil, c.Request.Context().Err()
	}
}

// may asks for the permission that an action needs on a group, or on a stream of it.
func (s *Service) may(c *awsjson.Call, group, stream string) error {
	resource := groupARN(c.Who.Scope, group)
	if stream != "" {
		resource += ":log-stream:" + stream
	} else {
		resource += ":*"
	}
	return s.mayOn(c, resource)
}

// mayOn asks for the permission that an action needs on a resource.
func (s *Service) mayOn(c *awsjson.Call, resource string) error {
	return s.gate.Authorize(c.Who, c.Request, auth.Act{Action: "logs:" + c.Action, Resource: resource})
}

// groupARN names a group.
func groupARN(in kiln.Scope, group string) string {
	return "arn:aws:logs:" + in.Region + ":" + in.Account + ":log-group:" + group
}

// explain turns an error of the store, or of who may not, into the service's own.
func explain(err error) *awsjson.Error {
	var refusal *auth.Refusal
	var e *kiln.Error
	bad := func(code, text string) *awsjson.Error {
		return &awsjson.Error{Status: http.StatusBadRequest, Code: code, Message: text}
	}
	switch {
	case errors.As(err, &refusal):
		return bad(refusal.Type, refusal.Message)
	case errors.Is(err, ErrTooMany):
		return bad("LimitExceededException", "Resource limit exceeded.")
	case !errors.As(err, &e):
		return nil
	}
	switch e.Code {
	case kiln.NotFound:
		return bad("ResourceNotFoundException", e.Message)
	case kiln.Unavailable:
		return &awsjson.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailableException", Message: e.Message}
	}
	return nil
}

// found words the errors of a group, or of a stream in it, as the service does.
func found(err error, stream bool) error {
	what := "group"
	if stream {
		what = "stream"
	}
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return awsjson.Fail("ResourceNotFoundException", "The specified log "+what+" does not exist.")
	case errors.Is(err, ErrExists):
		return awsjson.Fail("ResourceAlreadyExistsException", "The specified log "+what+" already exists")
	}
	return err
}

// millis gives a time as the service sends it.
func millis(t time.Time) int64 { return t.UnixMilli() }
