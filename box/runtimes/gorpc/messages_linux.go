package gorpc

import (
	"encoding/json"
	"strconv"
	"time"
)

// The messages of the protocol. Their names and those of their members are AWS's: gob
// goes by them.
type request struct {
	Payload               []byte
	RequestId             string
	XAmznTraceId          string
	Deadline              timestamp
	InvokedFunctionArn    string
	CognitoIdentityId     string
	CognitoIdentityPoolId string
	ClientContext         []byte
}

type timestamp struct{ Seconds, Nanos int64 }

type response struct {
	Payload []byte
	Error   *failure
}

type failure struct {
	Message    string   `json:"errorMessage"`
	Type       string   `json:"errorType"`
	StackTrace []*frame `json:"stackTrace,omitempty"`
	ShouldExit bool     `json:"-"`
}

type frame struct {
	Path  string `json:"path"`
	Line  int32  `json:"line"`
	Label string `json:"label"`
}

// request gives an invocation in the words of the protocol.
func (w *work) request() *request {
	r := &request{
		Payload: w.body, RequestId: w.header.Get("Lambda-Runtime-Aws-Request-Id"), XAmznTraceId: w.header.Get("Lambda-Runtime-Trace-Id"),
		InvokedFunctionArn: w.header.Get("Lambda-Runtime-Invoked-Function-Arn"), ClientContext: []byte(w.header.Get("Lambda-Runtime-Client-Context")),
	}
	if ms, err := strconv.ParseInt(w.header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64); err == nil {
		at := time.UnixMilli(ms)
		r.Deadline = timestamp{at.Unix(), int64(at.Nanosecond())}
	}
	var identity struct{ CognitoIdentityID, CognitoIdentityPoolID string }
	if json.Unmarshal([]byte(w.header.Get("Lambda-Runtime-Cognito-Identity")), &identity) == nil {
		r.CognitoIdentityId, r.CognitoIdentityPoolId = identity.CognitoIdentityID, identity.CognitoIdentityPoolID
	}
	return r
}
