package api

import (
	"context"
	"time"

	"kiln"
	"kiln/door/lambda"
)

// UpdateFunctionConfiguration changes what is sent of the configuration of $LATEST
// and keeps the rest; the environment is replaced as a whole.
func (s service) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	id, err := callOf(ctx).function(in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := refuseUpdate(in); err != nil {
		return nil, err
	}
	if err := sizes(in.MemorySize, in.Timeout, in.EphemeralStorage); err != nil {
		return nil, err
	}
	vars, err := environment(in.Environment)
	if err != nil {
		return nil, err
	}
	v, err := s.o.Catalog.UpdateConfig(ctx, id, value(in.RevisionId), func(c *kiln.Config) error {
		if err := updateImage(c, in); err != nil {
			return err
		}
		set(&c.Description, in.Description)
		set(&c.KMSKey, in.KMSKeyArn)
		if err := s.deadLetters(c, id.Scope, in.DeadLetterConfig); err != nil {
			return err
		}
		set(&c.Runtime, in.Runtime)
		set(&c.Handler, in.Handler)
		set(&c.Role, in.Role)
		if in.Timeout != nil {
			c.Timeout = time.Duration(*in.Timeout) * time.Second
		}
		if in.MemorySize != nil {
			c.MemoryMB = int(*in.MemorySize)
		}
		if in.EphemeralStorage != nil {
			c.StorageMB = int(*in.EphemeralStorage.Size)
		}
		if err := logging(c, in.LoggingConfig); err != nil {
			return err
		}
		if vars != nil {
			c.Environment = vars
		}
		if in.Layers != nil {
			list, err := s.layersOf(callOf(ctx), in.Layers, c.Layers)
			if err != nil {
				return err
			}
			c.Layers = list
		}
		return s.updateSurroundings(callOf(ctx), c, in)
	})
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.configuration(ctx, v, ""), nil
}

// set changes a text when the request has one.
func set(to *string, from *string) {
	if from != nil {
		*to = *from
	}
}
