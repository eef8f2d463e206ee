package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kiln"
	"kiln/door/lambda"
)

// Enqueuer accepts events.
type Enqueuer interface {
	// Enqueue returns nil when the event is durable and will run.
	Enqueue(ctx context.Context, inv *kiln.Invocation) error
}

// EventCatalog says how events of functions are run. It is an optional power of a
// catalog.
type EventCatalog interface {
	// SetEventPolicy gives the policy that was set; kiln.NotFound is that there is none.
	SetEventPolicy(id kiln.FunctionID, q kiln.Qualifier) (*kiln.EventPolicy, error)
	EventPolicies(id kiln.FunctionID) ([]*kiln.EventPolicy, error) // by qualifier
	ChangeEventPolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, change func(*kiln.EventPolicy) error) (*kiln.EventPolicy, error)
	DeleteEventPolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error
}

// eventReference reads which policy for events a request is about.
func (s service) eventReference(ctx context.Context, name string, qualifier *string) (EventCatalog, kiln.FunctionID, kiln.Qualifier, error) {
	events, ok := s.o.Catalog.(EventCatalog)
	if !ok || s.o.Events == nil {
		return nil, kiln.FunctionID{}, "", &lambda.Error{Code: lambda.NotImplementedException, Message: "This server runs no events."}
	}
	id, q, err := callOf(ctx).reference(name, qualifier)
	return events, id, q, err
}

// errNoEventOwner is recorded where the function, version or alias that a policy is for is
// not there.
var errNoEventOwner = &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "The function doesn't exist."}

// eventConfig writes a policy for events. Members that were never sent are not in it,
// but for the destinations.
func eventConfig(p *kiln.EventPolicy) *lambda.FunctionEventInvokeConfig {
	arn := p.Function.QualifiedARN(p.Qualifier)
	out := &lambda.FunctionEventInvokeConfig{LastModified: &p.Modified, FunctionArn: &arn, DestinationConfig: &lambda.DestinationConfig{
		OnSuccess: &lambda.OnSuccess{Destination: textOrNil(p.OnSuccess)}, OnFailure: &lambda.OnFailure{Destination: textOrNil(p.OnFailure)},
	}}
	if p.MaxRetries != nil {
		n := int32(*p.MaxRetries)
		out.MaximumRetryAttempts = &n
	}
	if p.MaxAge != nil {
		n := int32(*p.MaxAge / time.Second)
		out.MaximumEventAgeInSeconds = &n
	}
	return out
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// putEventPolicy takes over what a request says of events. With replace what it does
// not say is forgotten.
func (s service) putEventPolicy(ctx context.Context, name string, qualifier *string, retries, age *int32, to *lambda.DestinationConfig, replace bool) (*lambda.FunctionEventInvokeConfig, error) {
	events, id, q, err := s.eventReference(ctx, name, qualifier)
	if err != nil {
		return nil, err
	}
	if retries == nil && age == nil && to == nil {
		return nil, invalid("You must specify at least one of error handling or destination setting.")
	}
	if _, err := s.o.Catalog.Version(id, q); err != nil {
		return nil, errNoEventOwner
	}
	if err := s.destinations(id, to); err != nil {
		return nil, err
	}
	if !replace {
		if _, err := events.SetEventPolicy(id, q); err != nil {
			return nil, s.fault(ctx, err)
		}
	}
	p, err := events.ChangeEventPolicy(ctx, id, q, func(p *kiln.EventPolicy) error {
		if replace {
			*p = kiln.EventPolicy{Function: p.Function, Qualifier: p.Qualifier}
		}
		if retries != nil {
			n := int(*retries)
			p.MaxRetries = &n
		}
		if age != nil {
			d := time.Duration(*age) * time.Second
			p.MaxAge = &d
		}
		if to != nil && to.OnSuccess != nil {
			p.OnSuccess = value(to.OnSuccess.Destination)
		}
		if to != nil && to.OnFailure != nil {
			p.OnFailure = value(to.OnFailure.Destination)
		}
		return nil
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return eventConfig(p), nil
}

// destinations checks who is to be told what became of events.
func (s service) destinations(id kiln.FunctionID, to *lambda.DestinationConfig) error {
	if to == nil {
		return nil
	}
	for _, arn := range []string{destinationOf(to.OnSuccess), destinationOf((*lambda.OnSuccess)(to.OnFailure))} {
		if arn == "" {
			continue
		}
		parts := strings.SplitN(arn, ":", 6)
		if len(parts) < 6 || parts[0] != "arn" {
			return invalid("The destination ARN " + clip(arn) + " is invalid.")
		}
		switch parts[2] {
		case "lambda":
		case "sqs":
			if err := s.standardQueue(id.Scope, arn); err != nil {
				return err
			}
			continue
		case "sns", "events", "s3":
			return unsupported("destinations of the service " + parts[2])
		default:
			return invalid("The provided destination config " + describeDestinations(to) + " is invalid.")
		}
		ref, err := kiln.ParseReference(id.Scope, arn)
		if err != nil {
			return invalid("The destination ARN " + clip(arn) + " is invalid.")
		}
		if ref.ID == id {
			return invalid("You can't specify the function as a destination for itself.")
		}
		if _, err := s.o.Catalog.Version(ref.ID, ref.Qualifier); err != nil {
			return invalid("The destination ARN " + clip(arn) + " is invalid.")
		}
	}
	return nil
}

func destinationOf(to *lambda.OnSuccess) string {
	if to == nil {
		return ""
	}
	return value(to.Destination)
}

// describeDestinations writes a configuration as the service's own texts do.
func describeDestinations(to *lambda.DestinationConfig) string {
	success, failure := "null", "null"
	if to.OnSuccess != nil {
		success = "OnSuccess(destination=" + clip(value(to.OnSuccess.Destination)) + ")"
	}
	if to.OnFailure != nil {
		failure = "OnFailure(destination=" + clip(value(to.OnFailure.Destination)) + ")"
	}
	return fmt.Sprintf("DestinationConfig(onSuccess=%s, onFailure=%s)", success, failure)
}
