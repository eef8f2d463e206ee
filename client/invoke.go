package client

import (
	"context"
	"encoding/base64"
	"fmt"
)

// Invocation is the answer to Invoke. A function that failed is an answer too:
// FunctionError says so and Payload holds its error.
type Invocation struct {
	StatusCode          int
	Payload             []byte
	FunctionError       string // "Unhandled" or empty
	LogTail             []byte // the last lines of the log, when LogType is Tail
	ExecutedVersion     string
	DurableExecutionARN string
	RequestID           string
}

// Invoke runs a function, or queues an event for it, or only checks that it could.
func (c *Client) Invoke(ctx context.Context, in *InvocationRequest) (*Invocation, error) {
	out, a, err := c.invoke(ctx, in)
	if err != nil {
		return nil, err
	}
	result := &Invocation{StatusCode: int(value(out.StatusCode)), Payload: out.Payload,
		FunctionError: value(out.FunctionError), ExecutedVersion: value(out.ExecutedVersion),
		DurableExecutionARN: value(out.DurableExecutionArn), RequestID: a.header.Get("X-Amzn-Requestid")}
	if out.LogResult != nil {
		if result.LogTail, err = base64.StdEncoding.DecodeString(*out.LogResult); err != nil {
			return nil, fmt.Errorf("log tail of the answer: %w", err)
		}
	}
	return result, nil
}

// value returns what an optional member holds, or its zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
