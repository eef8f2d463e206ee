package api

import (
	"context"
	"maps"
	"reflect"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// taggedMapping gives the ID of the mapping that an ARN names, "" when it names something
// else.
func (s service) taggedMapping(ctx context.Context, arn string) (Mappings, string, error) {
	c := callOf(ctx)
	id := c.mappingID(arn)
	if id == arn {
		return nil, "", nil
	}
	all, err := s.mappings()
	return all, id, err
}

// tagged reads the ARN of what has tags: a function.
func (s service) tagged(ctx context.Context, arn string) (kiln.FunctionID, error) {
	c := callOf(ctx)
	if parts := strings.Split(arn, ":"); len(parts) > 5 && parts[5] != "function" {
		return kiln.FunctionID{}, unsupported("tags of a " + clip(parts[5]))
	}
	id, q, err := c.reference(arn, nil)
	if err != nil {
		return kiln.FunctionID{}, err
	}
	if q != "" {
		return kiln.FunctionID{}, invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return id, nil
}

// retag changes the tags of a mapping, or of a function, and the settings that kiln reads from tags.
func (s service) retag(ctx context.Context, arn string, change func(map[string]string)) error {
	if all, id, err := s.taggedMapping(ctx, arn); id != "" || err != nil {
		if err == nil {
			err = all.Retag(ctx, callOf(ctx).Scope, id, func(t map[string]string) error { change(t); _, err := tags(t); return err })
		}
		return s.fault(ctx, err)
	}
	id, err := s.tagged(ctx, arn)
	if err != nil {
		return err
	}
	fn, err := s.o.Catalog.Function(id)
	if err != nil {
		return s.fault(ctx, err)
	}
	next := map[string]string{}
	for k, v := range fn.Tags {
		next[k] = v
	}
	change(next)
	if _, err := tags(next); err != nil {
		return err
	}
	set, err := tagSettings(next)
	if err != nil {
		return err
	}
	err = s.o.Catalog.ChangeFunction(ctx, id, func(f *kiln.Function) error {
		if f.Tags == nil {
			f.Tags = map[string]string{}
		}
		change(f.Tags)
		return nil
	})
	if err != nil {
		return s.fault(ctx, err)
	}
	v, err := s.o.Catalog.Version(id, "")
	if err != nil {
		return s.fault(ctx, err)
	}
	is := v.Config
	set(&is)
	if reflect.DeepEqual(is, v.Config) {
		return nil
	}
	_, err = s.o.Catalog.UpdateConfig(ctx, id, "", func(c *kiln.Config) error { set(c); return nil })
	if err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// TagResource adds tags to a function or a mapping, or gives those it has other values.
func (s service) TagResource(ctx context.Context, in *lambda.TagResourceRequest) error {
	if len(in.Tags) == 0 {
		return invalid(internalText) // the service's answer, though the fault is the caller's
	}
	return s.retag(ctx, in.Resource, func(tags map[string]string) {
		for k, v := range in.Tags {
			tags[k] = v
		}
	})
}

// UntagResource takes tags away from a function or a mapping.
func (s service) UntagResource(ctx context.Context, in *lambda.UntagResourceRequest) error {
	return s.retag(ctx, in.Resource, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

// ListTags gives the tags of a function or a mapping.
func (s service) ListTags(ctx context.Context, in *lambda.ListTagsRequest) (*lambda.ListTagsResponse, error) {
	if all, id, err := s.taggedMapping(ctx, in.Resource); id != "" || err != nil {
		if err != nil {
			return nil, err
		}
		m, err := all.Mapping(callOf(ctx).Scope, id)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		out := &lambda.ListTagsResponse{Tags: map[string]string{}}
		maps.Copy(out.Tags, m.Tags)
		return out, nil
	}
	id, err := s.tagged(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	fn, err := s.o.Catalog.Function(id)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	if fn.Tags == nil {
		return &lambda.ListTagsResponse{Tags: map[string]string{}}, nil
	}
	return &lambda.ListTagsResponse{Tags: fn.Tags}, nil
}
