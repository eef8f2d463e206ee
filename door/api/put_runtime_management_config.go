package api

import (
	"context"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// PutRuntimeManagementConfig says when a version gets another release of its runtime. One
// release of a runtime is here at a time, so that Manual can name that one alone.
func (s service) PutRuntimeManagementConfig(ctx context.Context, in *lambda.PutRuntimeManagementConfigRequest) (*lambda.PutRuntimeManagementConfigResponse, error) {
	id, q, err := callOf(ctx).reference(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	v, err := s.managed(id, q)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	u, err := s.runtimeUpdates(ctx, v, in)
	if err != nil {
		return nil, err
	}
	if v, err = s.o.Catalog.SetRuntimeUpdates(ctx, id, q, u); err != nil {
		return nil, s.fault(ctx, err)
	}
	arn := id.QualifiedARN(kiln.Qualifier(v.Name()))
	return &lambda.PutRuntimeManagementConfigResponse{UpdateRuntimeOn: in.UpdateRuntimeOn, FunctionArn: &arn, RuntimeVersionArn: manualARN(v)}, nil
}

// managed gives the version whose runtime is asked about. An alias has none, and an image
// brings its own.
func (s service) managed(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Version, error) {
	if strings.Trim(string(q), "0123456789") != "" && q != kiln.Latest {
		return nil, invalid("The runtime management configuration belongs to a version: the qualifier must be $LATEST or the number of a published version.")
	}
	v, err := s.o.Catalog.Version(id, q)
	if err == nil && v.Config.FromImage() {
		err = invalid("Runtime management configuration is not supported for functions with package type Image.")
	}
	return v, err
}

// runtimeUpdates turns the request into what is kept, or says what is wrong with it.
func (s service) runtimeUpdates(ctx context.Context, v *kiln.Version, in *lambda.PutRuntimeManagementConfigRequest) (u kiln.RuntimeUpdates, err error) {
	if mode := *in.UpdateRuntimeOn; mode != lambda.UpdateRuntimeOnAuto {
		u.Mode = kiln.UpdateMode(mode)
	}
	switch {
	case u.Mode != kiln.UpdateManual && in.RuntimeVersionArn != nil:
		return u, invalid("RuntimeVersionArn can be specified only when UpdateRuntimeOn is Manual.")
	case u.Mode == kiln.UpdateManual && in.RuntimeVersionArn == nil:
		return u, invalid("RuntimeVersionArn must be specified when UpdateRuntimeOn is Manual.")
	case u.Mode == kiln.UpdateAuto:
		return u, nil
	}
	if s.o.Runtimes != nil {
		u.Release = s.o.Runtimes.Release(ctx, v.Config.Runtime, v.Config.Architecture)
	}
	if u.Mode == kiln.UpdateManual && (u.Release == "" || *in.RuntimeVersionArn != runtimeARNOf(v, u.Release)) {
		text := "The runtime version " + clip(*in.RuntimeVersionArn) + " is not available for " + v.Config.Runtime + "."
		if u.Release != "" {
			text += " The one that serves it is " + runtimeARNOf(v, u.Release) + "."
		}
		return u, invalid(text)
	}
	return u, nil
}

// runtimeARNOf names a release for a version.
func runtimeARNOf(v *kiln.Version, release string) string {
	return "arn:aws:lambda:" + v.Function.Region + "::runtime:" + release
}

// manualARN names the release that a version was told to keep, nil when it was not.
func manualARN(v *kiln.Version) *string {
	if v.Updates.Mode != kiln.UpdateManual {
		return nil
	}
	return text(runtimeARNOf(v, v.Updates.Release))
}
