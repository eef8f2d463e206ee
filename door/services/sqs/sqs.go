// Package sqs is the neighbour that answers as Amazon SQS, in its JSON protocol and in
// the older one of forms and XML: queues, messages, dead letters. It checks what is
// asked and whether it may be; it keeps nothing itself and never decides who gets a
// message.
package sqs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
	"kiln/door/services/awsjson"
	"kiln/door/services/query"
)

// Queues is what is known of queues. One that is not there is kiln.NotFound.
type Queues interface {
	Queue(id kiln.QueueID) (*kiln.MessageQueue, error)
	Queues(in kiln.Scope) []*kiln.MessageQueue // by name
	Count(id kiln.QueueID) (kiln.QueueCount, error)
	Create(ctx context.Context, settings kiln.MessageQueue) error // kiln.Conflict: it is there
	Change(ctx context.Context, id kiln.QueueID, change func(*kiln.MessageQueue) error) error
	Delete(ctx context.Context, id kiln.QueueID) error
}

// Messages are those of the queues. Errors of single messages have the code Invalid and
// a Reason.
type Messages interface {
	Send(ctx context.Context, id kiln.QueueID, messages []kiln.Message) ([]kiln.Message, error)
	Receive(ctx context.Context, id kiln.QueueID, o kiln.ReceiveOptions) ([]kiln.Received, error)
	DeleteMessages(ctx context.Context, id kiln.QueueID, receipts []string) ([]error, error)
	Hide(ctx context.Context, id kiln.QueueID, list []kiln.Hiding) ([]error, error)
	Purge(ctx context.Context, id kiln.QueueID) error // kiln.Throttled: it was a moment ago
}

// Moves are the ways of dead letters back.
type Moves interface {
	Move(t kiln.MoveTask) (id string, err error) // kiln.Conflict: one runs
	Tasks(source kiln.QueueID) ([]kiln.MoveTask, error)
	Task(id string) (source kiln.QueueID, ok bool)
	CancelMove(id string) (kiln.MoveTask, error)
}

// Book is all of it.
type Book interface {
	Queues
	Messages
	Moves
}

// Options is what a Service stands on. All of them are required.
type Options struct {
	Book Book
	Gate *auth.Gate
	Log  *slog.Logger
}

// Service answers the requests to SQS.
type Service struct {
	book  Book
	gate  *auth.Gate
	json  *awsjson.Service
	query *query.Service

	draining chan struct{} // closed when nobody should wait for messages any more
	once     sync.Once
}

// maxForm is how long a request of the older protocol may be: a batch of messages, each
// byte as three.
const maxForm = 4 << 20

// New gives the service.
func New(o Options) *Service {
	s := &Service{book: o.Book, gate: o.Gate, draining: make(chan struct{})}
	s.json = &awsjson.Service{
		Target: "AmazonSQS", Version: "1.0", Namespace: "com.amazonaws.sqs", Log: o.Log,
		Actions: map[string]func(*awsjson.Call) (any, error){}, Explain: explainJSON,
	}
	s.query = &query.Service{
		Namespace: "http://queue.amazonaws.com/doc/2012-11-05/", Version: "2012-11-05", MaxForm: maxForm, Log: o.Log,
		Actions: map[string]func(*query.Call) (any, error){}, Explain: explainQuery,
	}
	serve(s, "CreateQueue", s.createQueue)
	serve(s, "DeleteQueue", s.deleteQueue)
	serve(s, "GetQueueUrl", s.queueURL)
	serve(s, "ListQueues", s.listQueues)
	serve(s, "GetQueueAttributes", s.getAttributes)
	serve(s, "SetQueueAttributes", s.setAttributes)
	serve(s, "PurgeQueue", s.purge)
	serve(s, "TagQueue", s.tag)
	serve(s, "UntagQueue", s.untag)
	serve(s, "ListQueueTags", s.listTags)
	serve(s, "ListDeadLetterSourceQueues", s.listSources)
	serve(s, "SendMessage", s.send)
	serve(s, "SendMessageBatch", s.sendBatch)
	serve(s, "ReceiveMessage", s.receive)
	serve(s, "DeleteMessage", s.deleteMessage)
	serve(s, "DeleteMessageBatch", s.deleteBatch)
	serve(s, "ChangeMessageVisibility", s.hide)
	serve(s, "ChangeMessageVisibilityBatch", s.hideBatch)
	serve(s, "StartMessageMoveTask", s.startMove)
	serve(s, "ListMessageMoveTasks", s.listMoves)
	serve(s, "CancelMessageMoveTask", s.cancelMove)
	return s
}

// ask is one request, of either protocol.
type ask struct {
	action string
	who    auth.Identity
	http   *http.Request
	ctx    context.Context // ends with the request, and when the service drains if it waits
}

// serve registers an action with both protocols.
func serve[In, Out any](s *Service, name string, f func(*ask, *In) (*Out, error)) {
	answer := func(out *Out, err error) (any, error) {
		if err != nil || out == nil {
			return nil, err
		}
		return out, nil
	}
	s.json.Actions[name] = func(c *awsjson.Call) (any, error) {
		var in In
		if err := c.Read(&in); err != nil {
			return nil, err
		}
		return answer(f(&ask{name, c.Who, c.Request, c.Request.Context()}, &in))
	}
	s.query.Actions[name] = func(c *query.Call) (any, error) {
		if c.Form.Get("QueueUrl") == "" && len(c.Request.URL.Path) > 1 {
			c.Form.Set("QueueUrl", c.Request.URL.Path) // the request was sent to the queue itself
		}
		var in In
		if err := readForm(c.Form, &in); err != nil {
			return nil, err
		}
		return answer(f(&ask{name, c.Who, c.Request, c.Request.Context()}, &in))
	}
}

// ServeAWS answers one request, whose sender was found out before.
func (s *Service) ServeAWS(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string) {
	if r.Header.Get("X-Amz-Target") != "" {
		s.json.ServeAWS(w, r, who, requestID)
		return
	}
	s.query.ServeAWS(w, r, who, requestID)
}

// Drain answers those who wait for messages. It is idempotent.
func (s *Service) Drain() { s.once.Do(func() { close(s.draining) }) }

// none is the answer of actions that have none.
type none struct{}

// may asks for the permission that an action needs on a queue, which may not be there.
// Batches need that of the single action.
func (s *Service) may(a *ask, id kiln.QueueID) error {
	act := auth.Act{Action: "sqs:" + strings.TrimSuffix(a.action, "Batch"), Resource: id.ARN(), Owner: id.Account}
	if !s.gate.Verifies() {
		return nil
	}
	if q, err := s.book.Queue(id); err == nil && q.Attributes["Policy"] != "" {
		doc, err := policy.Parse(policy.Resource, []byte(q.Attributes["Policy"]))
		if err != nil {
			return err
		}
		act.Policy = doc
	}
	return s.gate.Authorize(a.who, a.http, act)
}

// queue gives the queue that a request is about, if the action may be done with it.
func (s *Service) queue(a *ask, address string) (*kiln.MessageQueue, error) {
	id, err := idOf(a, address)
	if err != nil {
		return nil, err
	}
	if err := s.may(a, id); err != nil {
		return nil, err
	}
	return s.book.Queue(id)
}

// idOf reads the URL of a queue. What stands before its path does not matter: a server
// has many names.
func idOf(a *ask, address string) (kiln.QueueID, error) {
	if address == "" {
		return kiln.QueueID{}, missing("QueueUrl")
	}
	path := address
	if u, err := url.Parse(address); err == nil {
		path = u.Path
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 {
		return kiln.QueueID{}, &Error{http.StatusNotFound, "InvalidAddress", "InvalidAddress", "The address " + clip(address) + " is not valid for this endpoint."}
	}
	id := kiln.QueueID{Scope: kiln.Scope{Account: parts[len(parts)-2], Region: a.who.Region}, Name: parts[len(parts)-1]}
	if _, err := kiln.ParseQueueARN(id.ARN()); err != nil {
		return kiln.QueueID{}, errNoQueue
	}
	return id, nil
}

// address gives the URL of a queue, at the address that the client used.
func address(a *ask, id kiln.QueueID) string {
	scheme := "http://"
	if a.http.TLS != nil {
		scheme = "https://"
	}
	return scheme + a.http.Host + "/" + id.Account + "/" + id.Name
}

// waiting gives a context that also ends when the service drains.
func (s *Service) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-s.draining:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); <-over; cancel() }
}

// Error is an answer that says no. Code is the name of its shape, Query that of the
// older protocol.
type Error struct {
	Status  int
	Code    string
	Query   string
	Message string
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

const simple = "AWS.SimpleQueueService."

var errNoQueue = &Error{http.StatusBadRequest, "QueueDoesNotExist", simple + "NonExistentQueue", "The specified queue does not exist."}

// invalid is a parameter that cannot be what it is.
func invalid(text string) *Error {
	return &Error{http.StatusBadRequest, "InvalidParameterValueException", "InvalidParameterValue", text}
}

// wrong is a parameter with a value that cannot be.
func wrong(value, name, reason string) *Error {
	return invalid("Value " + clip(value) + " for parameter " + name + " is invalid. Reason: " + reason)
}

// missing is a parameter that is not there.
func missing(name string) *Error {
	return &Error{http.StatusBadRequest, "MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter " + name + "."}
}

// own is an error whose names differ by the prefix of the older protocol alone.
func own(code, text string) *Error { return &Error{http.StatusBadRequest, code, simple + code, text} }

// plain is an error that has one name.
func plain(code, text string) *Error { return &Error{http.StatusBadRequest, code, code, text} }

// unsupported is a setting or a call that kiln does not have.
func unsupported(text string) *Error { return own("UnsupportedOperation", text) }

// explain turns an error into one of the service, nil for a fault of the server.
func explain(err error) *Error {
	var mine *Error
	var refusal *auth.Refusal
	var e *kiln.Error
	switch {
	case errors.As(err, &mine):
		return mine
	case errors.As(err, &refusal):
		return &Error{http.StatusForbidden, refusal.Type, strings.TrimSuffix(refusal.Type, "Exception"), refusal.Message}
	case !errors.As(err, &e):
		return nil
	}
	switch e.Code {
	case kiln.NotFound:
		return errNoQueue
	case kiln.Throttled:
		return &Error{http.StatusForbidden, "PurgeQueueInProgress", simple + "PurgeQueueInProgress", e.Message}
	case kiln.Quota:
		return &Error{http.StatusForbidden, "OverLimit", "OverLimit", e.Message}
	case kiln.Invalid:
		if e.Reason == "BadReceipt" {
			return &Error{http.StatusNotFound, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", e.Message}
		}
		return invalid(e.Message)
	case kiln.Unavailable:
		return &Error{http.StatusServiceUnavailable, "ServiceUnavailable", "ServiceUnavailable", e.Message}
	}
	return nil
}

func explainJSON(err error) *awsjson.Error {
	e := explain(err)
	if e == nil {
		return nil
	}
	status := e.Status
	if status < http.StatusInternalServerError {
		status = http.StatusBadRequest // whatever it is in the older protocol
	}
	return &awsjson.Error{Status: status, Code: e.Code, Query: e.Query, Message: e.Message}
}

func explainQuery(err error) *query.Error {
	e := explain(err)
	if e == nil {
		return nil
	}
	return &query.Error{Status: e.Status, Code: e.Query, Message: e.Message}
}

func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "…"
	}
	return s
}
