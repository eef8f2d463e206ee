package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"kiln"
	"kiln/door/lambda"
)

// InvokeWithResponseStream runs a function and sends its answer while it is written. The
// head of the answer leaves with the first bytes; what goes wrong from then on is told by
// the last message of the stream.
func (s service) InvokeWithResponseStream(ctx context.Context, in *lambda.InvokeWithResponseStreamRequest, out *lambda.Stream) error {
	c := callOf(ctx)
	inv, err := s.invocation(c, &lambda.InvocationRequest{
		FunctionName: in.FunctionName, LogType: in.LogType, ClientContext: in.ClientContext, Qualifier: in.Qualifier, Payload: in.Payload, TenantId: in.TenantId,
	})
	if err != nil {
		return err
	}
	if value(in.InvocationType) == lambda.ResponseStreamingInvocationTypeDryRun {
		head, err := s.dryRun(ctx, inv)
		if err != nil {
			return err
		}
		return out.Start(&lambda.InvokeWithResponseStreamResponse{StatusCode: head.StatusCode})
	}
	to := &eventStream{out: out, inv: inv}
	inv.Stream = to
	c.header["X-Amzn-Trace-Id"] = []string{inv.Trace}
	outcome, err := s.o.Invoker.Invoke(ctx, inv)
	if to.broken != nil {
		panic(to.broken)
	}
	if err != nil {
		if err = s.exception(ctx, err, invokeExceptions); !to.begun {
			return err
		}
		return errors.Join(err, to.complete(completion{ErrorCode: lambda.ServiceException, ErrorDetails: internalText}))
	}
	end := completion{ErrorCode: outcome.ErrorCode}
	if outcome.Failed {
		end.ErrorDetails = string(outcome.Payload)
	}
	if inv.WantTail {
		end.LogResult = base64.StdEncoding.EncodeToString(outcome.Tail)
	}
	if outcome.Streamed {
		out.Hurry()
	} else {
		to.version = outcome.Version
		if len(outcome.Payload) > 0 {
			_ = to.Write(outcome.Payload) // the caller has gone, and the end will say so
		}
	}
	_ = to.complete(end) // the caller has gone; there is nobody to tell
	if to.broken != nil {
		panic(to.broken)
	}
	return nil
}

// completion is the last message of a stream.
type completion struct {
	ErrorCode    string `json:",omitempty"`
	ErrorDetails string `json:",omitempty"`
	LogResult    string `json:",omitempty"`
}

// eventStream is the answer of one invocation as messages of an event stream.
type eventStream struct {
	out     *lambda.Stream
	inv     *kiln.Invocation
	version string
	begun   bool
	buf     []byte
	broken  any // a panic of the answer, for the goroutine of the request to go on with
}

var _ kiln.ResponseStream = (*eventStream)(nil)

// Begin is kiln.ResponseStream. The media type of the answer stays unsaid: that of an
// event stream has its place.
func (s *eventStream) Begin(string) {}

// Write sends p as one message.
func (s *eventStream) Write(p []byte) error { return s.send(chunkHeaders, p) }

// Cut ends a Write that waits.
func (s *eventStream) Cut() { s.out.Cut() }

// complete sends the last message.
func (s *eventStream) complete(end completion) error {
	text, err := json.Marshal(end)
	if err != nil {
		return err
	}
	return s.send(completeHeaders, text)
}

// send sends one message, and the head of the answer before the first. The rooms below
// do not expect a panic, which is how an answer is cut: it is kept for later.
func (s *eventStream) send(headers, payload []byte) (err error) {
	defer func() {
		if s.broken == nil {
			if s.broken = recover(); s.broken != nil {
				err = errors.New("the answer was cut")
			}
		}
	}()
	if !s.begun {
		s.begun = true
		head := &lambda.InvokeWithResponseStreamResponse{ExecutedVersion: &s.version}
		if v := s.inv.Target.Version; v != nil {
			s.version = v.Name()
		}
		if err := s.out.Start(head); err != nil {
			return err
		}
	}
	s.buf = appendMessage(s.buf[:0], headers, payload)
	_, err = s.out.Write(s.buf)
	return err
}
