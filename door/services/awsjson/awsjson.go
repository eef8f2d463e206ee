// Package awsjson is the protocol of AWS's services that name their action in a header
// and speak JSON both ways. Services register a function for each action. It knows no
// service, never authenticates and never decides.
package awsjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"kiln/door/auth"
)

// maxBody is how long a request may be, in bytes: a megabyte of records, escaped.
const maxBody = 8 << 20

// Call is one request to an action.
type Call struct {
	Action    string
	Who       auth.Identity
	RequestID string
	Request   *http.Request
	// Writer is for an action that answers with a stream: it writes all of it and returns
	// ErrStreamed.
	Writer http.ResponseWriter
	body   []byte
}

// ErrStreamed is what an action returns that has written its answer itself.
var ErrStreamed = errors.New("the answer was streamed")

// Read decodes the request's members into v.
func (c *Call) Read(v any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	if err := d.Decode(v); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return Fail("SerializationException", kind.Value+" can not be converted to the type of "+kind.Field)
		}
		return Fail("SerializationException", "The request is not an object of JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Fail("SerializationException", "Something stands behind the object of the request.")
	}
	return nil
}

// Error is an answer that says no.
type Error struct {
	Status  int
	Code    string
	Query   string // the code in the protocol of forms, for services that had it; "" for none
	Message string
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes an Error that is the caller's fault.
func Fail(code, message string) error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: message}
}

// Service answers the actions of one service. It is immutable and safe for concurrent
// use.
type Service struct {
	Target  string // of X-Amz-Target, before the dot
	Version string // of the protocol: "1.1"
	// Namespace stands before the names of errors; "" for services that leave it out.
	Namespace string
	// Actions gives the members of an answer, nil for none.
	Actions map[string]func(*Call) (any, error)
	// Explain turns an error that is no *Error into one, or gives nil for a fault of the
	// server.
	Explain func(error) *Error
	Log     *slog.Logger
}

// ServeAWS answers one request, whose sender was found out before.
func (s *Service) ServeAWS(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string) {
	result, err := s.do(w, r, who, requestID)
	if errors.Is(err, ErrStreamed) {
		return
	}
	if err != nil {
		s.refuse(w, requestID, err)
		return
	}
	var body []byte
	if result != nil {
		if body, err = encode(result); err != nil {
			s.refuse(w, requestID, err)
			return
		}
	}
	s.write(w, http.StatusOK, body)
}

// do finds the action of a request and lets it answer.
func (s *Service) do(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string) (any, error) {
	service, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if r.Method != http.MethodPost || service != s.Target || action == "" {
		return nil, Fail("UnknownOperationException", "A request to this service is a POST with X-Amz-Target: "+s.Target+".Action.")
	}
	f := s.Actions[action]
	if f == nil {
		return nil, &Error{Status: http.StatusNotImplemented, Code: "NotImplementedException", Message: "kiln does not have the action " + clip(action) + " yet"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "The request is longer than " + strconv.Itoa(maxBody) + " bytes, or ended early."}
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	return f(&Call{Action: action, Who: who, RequestID: requestID, Request: r, Writer: w, body: body})
}

// refuse answers with an error.
func (s *Service) refuse(w http.ResponseWriter, requestID string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		if e = s.Explain(err); e == nil {
			s.Log.Error("request failed", "requestId", requestID, "err", err)
			e = &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: "The request processing has failed because of an unknown error, exception or failure."}
		}
	}
	name := e.Code
	if s.Namespace != "" {
		name = s.Namespace + "#" + name
	}
	body, err := encode(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{name, e.Message})
	if err != nil {
		s.Log.Error("an error cannot be written as JSON", "requestId", requestID, "err", err)
	}
	w.Header()["X-Amzn-Errortype"] = []string{e.Code}
	if e.Query != "" {
		fault := "Sender"
		if e.Status >= http.StatusInternalServerError {
			fault = "Receiver"
		}
		w.Header()["X-Amzn-Query-Error"] = []string{e.Query + ";" + fault}
	}
	s.write(w, e.Status, body)
}

// write sends an answer.
func (s *Service) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-"+s.Version)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}

// encode writes JSON as AWS does, without escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func clip(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}
