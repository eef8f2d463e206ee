package api

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/lambda"
)

// exceptions is the one table from kiln's codes to the exceptions of the API.
var exceptions = map[kiln.Code]string{
	kiln.Invalid:      lambda.InvalidParameterValueException,
	kiln.NotFound:     lambda.ResourceNotFoundException,
	kiln.Denied:       lambda.AccessDeniedException,
	kiln.Conflict:     lambda.ResourceConflictException,
	kiln.Precondition: lambda.PreconditionFailedException,
	kiln.BadContent:   lambda.InvalidRequestContentException,
	kiln.TooLarge:     lambda.RequestEntityTooLargeException,
	kiln.Recursion:    lambda.RecursiveInvocationException,
	kiln.Throttled:    lambda.TooManyRequestsException,
	kiln.Quota:        lambda.CodeStorageExceededException,
	kiln.Unsupported:  lambda.NotImplementedException,
	kiln.Unavailable:  lambda.ServiceUnavailableException,
	kiln.BadPackage:   lambda.InvalidParameterValueException,
	kiln.BadRuntime:   lambda.InvalidParameterValueException,
	kiln.BadMount:     lambda.EFSMountFailureException,
	kiln.BadNetwork:   lambda.InvalidSubnetIDException,
	kiln.Internal:     lambda.ServiceException,
}

// invokeExceptions has what Invoke declares otherwise: there it is the function that
// is at fault and not the request.
var invokeExceptions = map[kiln.Code]string{
	kiln.BadPackage: lambda.InvalidZipFileException,
	kiln.BadRuntime: lambda.InvalidRuntimeException,
}

// internalText is all that a client learns about a fault of the platform.
const internalText = "An error occurred and the request cannot be processed."

// fault turns an error of a room into an exception. An error that says nothing to a
// client stays as it is, for the log; the client gets a ServiceException.
func (s *Server) fault(ctx context.Context, err error) error {
	return s.exception(ctx, err, nil)
}

// exception is fault with an operation's own rows before the table's.
func (s *Server) exception(ctx context.Context, err error, special map[kiln.Code]string) error {
	var known *lambda.Error
	var e *kiln.Error
	var refusal *auth.Refusal
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal):
		return &lambda.Error{Code: refusal.Type, Message: refusal.Message}
	case !errors.As(err, &e) || e.Code == kiln.Internal:
		return err
	}
	name, ok := special[e.Code]
	if !ok {
		if name, ok = exceptions[e.Code]; !ok {
			return err
		}
	}
	if e.Err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "request refused for a reason below", slog.String("code", string(e.Code)), slog.Any("err", e))
	}
	out := &lambda.Error{Code: name, Message: e.Message}
	if e.Code == kiln.Throttled {
		out.Message, out.Reason, out.RetryAfter = "Rate Exceeded.", e.Reason, retryAfter(e.RetryAfter)
	}
	return out
}

// retryAfter gives whole seconds, at least one.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}

// invalid is an InvalidParameterValueException.
func invalid(text string) error {
	return &lambda.Error{Code: lambda.InvalidParameterValueException, Message: text}
}
