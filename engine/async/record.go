package async

import (
	"encoding/json"
	"time"

	"kiln"
)

// Record is what a destination is told about an event.
type Record struct {
	Condition Condition
	// Invokes is how often the function was called for the event.
	Invokes int
	// Outcome is that of the last attempt; nil when the function did not run.
	Outcome *kiln.Outcome
	At      time.Time
}

// recordJSON is a record in AWS's format.
type recordJSON struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID   string    `json:"requestId"`
	FunctionARN string    `json:"functionArn"`
	Condition   Condition `json:"condition"`
	Invokes     int       `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// JSON gives the record as AWS writes it.
func (r Record) JSON(e *Event) ([]byte, error) {
	q := e.Qualifier
	if q == "" {
		q = kiln.Latest
	}
	out := recordJSON{
		Version: "1.0", Timestamp: r.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext: requestContext{e.ID, e.Function.QualifiedARN(q), r.Condition, r.Invokes},
		RequestPayload: e.Payload,
	}
	if o := r.Outcome; o != nil {
		out.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: o.Version}
		if o.Failed {
			out.ResponseContext.FunctionError = "Unhandled"
		}
		out.ResponsePayload = payload(o.Payload)
	}
	return json.Marshal(out)
}

// payload gives what a function answered as a member of the record: JSON as it is, and
// anything else as a text.
func payload(p []byte) json.RawMessage {
	switch {
	case len(p) == 0:
		return json.RawMessage("null")
	case json.Valid(p):
		return p
	}
	text, err := json.Marshal(string(p))
	if err != nil {
		return json.RawMessage("null") // a string can always be written
	}
	return text
}
