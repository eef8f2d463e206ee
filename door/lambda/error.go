package lambda

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Exceptions that the service sends without declaring them in its model.
const (
	AccessDeniedException               = "AccessDeniedException"
	ExpiredTokenException               = "ExpiredTokenException"
	IncompleteSignatureException        = "IncompleteSignatureException"
	InvalidSignatureException           = "InvalidSignatureException"
	MissingAuthenticationTokenException = "MissingAuthenticationTokenException"
	NotImplementedException             = "NotImplementedException"
	RequestEntityTooLargeException      = "RequestEntityTooLargeException"
	SerializationException              = "SerializationException"
	ServiceUnavailableException         = "ServiceUnavailableException"
	UnknownOperationException           = "UnknownOperationException"
	UnrecognizedClientException         = "UnrecognizedClientException"
	ValidationException                 = "ValidationException"
)

// exception says how one exception is sent: its status, the case of its message member
// and which other members it has.
type exception struct {
	status       int
	message      string // "message" or "Message"
	typed        bool   // has Type
	reason       bool   // has Reason
	ec2ErrorCode bool   // has EC2ErrorCode
	retryAfter   bool   // has the header Retry-After
}

// undeclared says how the exceptions outside the model are sent.
var undeclared = map[string]exception{
	AccessDeniedException:               {status: 403, message: "Message"},
	ExpiredTokenException:               {status: 403, message: "message"},
	IncompleteSignatureException:        {status: 400, message: "message"},
	InvalidSignatureException:           {status: 403, message: "message"},
	MissingAuthenticationTokenException: {status: 403, message: "message"},
	NotImplementedException:             {status: 501, message: "message", typed: true},
	RequestEntityTooLargeException:      {status: 413, message: "Message"},
	SerializationException:              {status: 400, message: "Message"},
	ServiceUnavailableException:         {status: 503, message: "Message", typed: true},
	UnknownOperationException:           {status: 404, message: "Message"},
	UnrecognizedClientException:         {status: 403, message: "message"},
	ValidationException:                 {status: 400, message: "message"},
}

// Error is an answer that says no. Its text goes to the caller.
type Error struct {
	Code    string // the exception
	Status  int    // 0: the exception's own
	Message string
	Type    string // "User" or "Service"; empty: by status

	Reason       string // TooManyRequestsException: why
	RetryAfter   string // TooManyRequestsException: seconds until trying again makes sense
	EC2ErrorCode string // EC2UnexpectedException
	Untyped      bool   // the service leaves Type out of this answer
}

// Error returns exception and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// notImplemented is the answer to an operation that does not exist yet.
func notImplemented(op string) error {
	return &Error{Code: NotImplementedException, Message: "kiln does not implement " + op + " yet"}
}

// serialization is the answer to a request that could not be decoded.
func serialization(format string, args ...any) *Error {
	return &Error{Code: SerializationException, Message: fmt.Sprintf(format, args...)}
}

// form returns how an exception is sent; one that nobody knows is sent as an error of
// the service.
func form(code string) exception {
	if e, ok := exceptions[code]; ok {
		return e
	}
	if e, ok := undeclared[code]; ok {
		return e
	}
	return exception{status: 500, message: "Message", typed: true}
}

// WriteError answers with an error in the service's own form. The text of anything but
// an *Error stays inside.
func WriteError(w http.ResponseWriter, err error) {
	e, known := errors.AsType[*Error](err)
	if !known {
		e = &Error{Code: ServiceException, Message: "An error occurred and the request cannot be processed."}
	}
	f := form(e.Code)
	status := f.status
	if e.Status != 0 {
		status = e.Status
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["X-Amzn-Errortype"] = []string{e.Code}
	if f.retryAfter && e.RetryAfter != "" {
		h["Retry-After"] = []string{e.RetryAfter}
	}
	body := e.appendJSON(nil, f, status)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}

// appendJSON appends the body, members in alphabetical order.
func (e *Error) appendJSON(b []byte, f exception, status int) []byte {
	b = append(b, '{')
	if f.ec2ErrorCode && e.EC2ErrorCode != "" {
		b = appendString(appendName(b, "EC2ErrorCode"), e.EC2ErrorCode)
	}
	if f.message == "Message" {
		b = appendName(b, "Message")
		if e.Message == "" && e.Code == AccessDeniedException {
			b = append(b, "null"...) // as recorded for a caller from another account
		} else {
			b = appendString(b, e.Message)
		}
	}
	if f.reason && e.Reason != "" {
		b = appendString(appendName(b, "Reason"), e.Reason)
	}
	if f.typed && !e.Untyped {
		b = appendString(appendName(b, "Type"), e.fault(status))
	}
	if f.message == "message" {
		b = appendString(appendName(b, "message"), e.Message)
	}
	return closeObject(b)
}

// fault says whose fault an error is.
func (e *Error) fault(status int) string {
	switch {
	case e.Type != "":
		return e.Type
	case status >= 500:
		return "Service"
	}
	return "User"
}
