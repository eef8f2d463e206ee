package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// Invoke runs a function and answers with exactly the bytes it gave. This is the path
// that must be fast: no reflection, no copy of the payload, no store. A client that
// goes away ends the waiting for a place, never a function that runs.
func (s service) Invoke(ctx context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	c := callOf(ctx)
	inv, err := s.invocation(c, in)
	if err != nil {
		return nil, err
	}
	switch value(in.InvocationType) {
	case lambda.InvocationTypeDryRun:
		return s.dryRun(ctx, inv)
	case lambda.InvocationTypeEvent:
		if err := s.enqueue(ctx, inv); err != nil {
			return nil, err
		}
		status := int32(http.StatusAccepted)
		return &lambda.InvocationResponse{StatusCode: &status}, nil
	}
	out, err := s.o.Invoker.Invoke(ctx, inv)
	if err != nil {
		return nil, s.exception(ctx, err, invokeExceptions)
	}
	trace := out.Trace
	if trace == "" {
		trace = inv.Trace
	}
	c.header["X-Amzn-Trace-Id"] = []string{trace}
	c.header["X-Amzn-Remapped-Content-Length"] = zero
	answer := &lambda.InvocationResponse{Payload: out.Payload, ExecutedVersion: &out.Version}
	if out.Failed {
		answer.FunctionError = &unhandled
	}
	if inv.WantTail {
		tail := base64.StdEncoding.EncodeToString(out.Tail)
		answer.LogResult = &tail
	}
	return answer, nil
}

// enqueue accepts an invocation as an event: it is durable when this returns nil.
func (s service) enqueue(ctx context.Context, inv *kiln.Invocation) error {
	if s.o.Events == nil {
		return &lambda.Error{Code: lambda.NotImplementedException, Message: "This server runs no events; use RequestResponse."}
	}
	if err := s.callable(ctx, inv); err != nil {
		return err
	}
	if err := s.o.Events.Enqueue(ctx, inv); err != nil {
		return s.exception(ctx, err, invokeExceptions)
	}
	return nil
}

// zero and unhandled are header values that every answer shares.
var (
	zero      = []string{"0"}
	unhandled = "Unhandled"
)

// dryRun tells whether the invocation would be accepted.
func (s service) dryRun(ctx context.Context, inv *kiln.Invocation) (*lambda.InvocationResponse, error) {
	if err := s.callable(ctx, inv); err != nil {
		return nil, err
	}
	status := int32(http.StatusNoContent)
	return &lambda.InvocationResponse{StatusCode: &status}, nil
}

// callable gives the error that the invocation would get before anything runs, or nil.
func (s service) callable(ctx context.Context, inv *kiln.Invocation) error {
	target, err := s.o.Invoker.Resolve(inv.Function, inv.Qualifier)
	if err == nil {
		err = target.CheckTenant(inv.Tenant)
	}
	if err != nil {
		return s.exception(ctx, err, invokeExceptions)
	}
	return nil
}

// invocation turns the request into an invocation, or says what is wrong with it.
func (s service) invocation(c *call, in *lambda.InvocationRequest) (*kiln.Invocation, error) {
	id, q, err := c.reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if !jsonType(c.request.Header) {
		return nil, &lambda.Error{Code: lambda.UnsupportedMediaTypeException,
			Message: "The content type of the request body is not JSON: " + clip(c.request.Header.Get("Content-Type"))}
	}
	if in.DurableExecutionName != nil {
		return nil, unsupported("durable executions (X-Amz-Durable-Execution-Name)")
	}
	client, err := clientContext(in.ClientContext)
	if err != nil {
		return nil, err
	}
	payload := in.Payload
	if len(payload) == 0 {
		payload = emptyEvent
	} else if err := checkPayload(payload); err != nil {
		return nil, err
	}
	now := s.o.Now()
	return &kiln.Invocation{
		ID: c.id, Attempt: kiln.NewID(), Function: id, Qualifier: q, Payload: payload,
		Trace: trace(c.request.Header.Get("X-Amzn-Trace-Id"), now), ClientJSON: client, Tenant: value(in.TenantId),
		WantTail: value(in.LogType) == lambda.LogTypeTail, Accepted: now,
	}, nil
}

// clientContext decodes the client context, "" for none.
func clientContext(v *string) (string, error) {
	if v == nil || *v == "" {
		return "", nil
	}
	if len(*v) > kiln.MaxClientContext {
		return "", &lambda.Error{Code: lambda.InvalidRequestContentException, Message: "Client context must be no more than 3583 bytes when base64-encoded."}
	}
	text, err := base64.StdEncoding.DecodeString(*v)
	if err != nil || len(text) == 0 || !isObject(text) {
		return "", &lambda.Error{Code: lambda.InvalidRequestContentException, Message: "Client context must be a valid Base64-encoded JSON object."}
	}
	return oneLine(text), nil
}

// isObject reports whether text is a JSON object in UTF-8.
func isObject(text []byte) bool {
	return checkPayload(text) == nil && strings.HasPrefix(strings.TrimLeft(string(text), " \t\r\n"), "{")
}

// oneLine gives JSON fit for the header that carries it to the runtime.
func oneLine(text []byte) string {
	if !strings.ContainsAny(string(text), "\r\n\t") {
		return string(text)
	}
	var v json.RawMessage = text
	compact, err := json.Marshal(v)
	if err != nil {
		return string(text) // cannot be: it has just been read as JSON
	}
	return string(compact)
}

// jsonType reports whether the body may be JSON by its Content-Type. Absent, binary
// and a form (what curl -d says of everything) are taken for it, as what counts is
// that the body is JSON; text, multipart and the like are not.
func jsonType(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 || v[0] == "" || v[0] == "application/json" {
		return true
	}
	kind, _, err := mime.ParseMediaType(v[0])
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded":
		return true
	}
	return strings.HasPrefix(kind, "application/x-amz-json-") || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}
