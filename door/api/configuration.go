package api

import (
	"cmp"
	"context"
	"time"

	"kiln"
	"kiln/door/lambda"
)

// lastModified is the form of a function's LastModified. It is text, with a numeric
// zone and exactly three digits of a second.
const lastModified = "2006-01-02T15:04:05.000-0700"

// configuration turns a version into the shape that describes it whole. The ARN has
// the qualifier that it was asked by, "" for none.
func (s *Server) configuration(ctx context.Context, v *kiln.Version, q kiln.Qualifier) *lambda.FunctionConfiguration {
	out := listed(v, q)
	st := &v.Status
	out.State, out.StateReason, out.StateReasonCode = present(string(st.State)), present(st.Reason), present(st.ReasonCode)
	out.LastUpdateStatus = present(string(st.Update))
	out.LastUpdateStatusReason, out.LastUpdateStatusReasonCode = present(st.UpdateReason), present(st.UpdateReasonCode)
	if s.o.Runtimes != nil && !v.Config.FromImage() {
		out.RuntimeVersionConfig = s.runtimeVersion(ctx, v)
	}
	return out
}

// runtimeVersion names the release that serves a version, or the one that it keeps and,
// as an error, that it is not here any more.
func (s *Server) runtimeVersion(ctx context.Context, v *kiln.Version) *lambda.RuntimeVersionConfig {
	release := s.o.Runtimes.Release(ctx, v.Config.Runtime, v.Config.Architecture)
	keep := cmp.Or(v.Updates.Release, release)
	if keep == "" {
		return nil
	}
	out := &lambda.RuntimeVersionConfig{RuntimeVersionArn: text(runtimeARNOf(v, keep))}
	if keep != release {
		out.Error = &lambda.RuntimeVersionError{ErrorCode: text("InvalidRuntime"), Message: text("The runtime version is not available any more.")}
	}
	return out
}

// listed turns a version into the shape that lists have of it: without states and
// without the release of its runtime. Members that AWS does not send are absent.
func listed(v *kiln.Version, q kiln.Qualifier) *lambda.FunctionConfiguration {
	c := &v.Config
	name, arn, version := v.Function.Name, v.Function.QualifiedARN(q), v.Name()
	timeout, memory, storage := int32(c.Timeout/time.Second), int32(c.MemoryMB), int32(c.StorageMB)
	size, modified, sum := v.Package.Size, v.LastModified.UTC().Format(lastModified), base64SHA256(v.Package.SHA256)
	group := logGroup(v)
	out := &lambda.FunctionConfiguration{
		FunctionName: &name, FunctionArn: &arn, Version: &version, RevisionId: present(v.RevisionID),
		Runtime: &c.Runtime, Handler: &c.Handler, Role: &c.Role, Description: &c.Description,
		Timeout: &timeout, MemorySize: &memory, EphemeralStorage: &lambda.EphemeralStorage{Size: &storage},
		CodeSize: &size, CodeSha256: &sum, LastModified: &modified,
		Architectures: []string{c.Architecture},
		PackageType:   text(lambda.PackageTypeZip),
		TracingConfig: &lambda.TracingConfigResponse{Mode: text(lambda.TracingModePassThrough)},
		SnapStart:     &lambda.SnapStartResponse{ApplyOn: text(lambda.SnapStartApplyOnNone), OptimizationStatus: text(lambda.SnapStartOptimizationStatusOff)},
		LoggingConfig: &lambda.LoggingConfig{
			LogFormat: text(cmp.Or(c.Logging.Format, kiln.FormatText)), LogGroup: &group,
			ApplicationLogLevel: present(c.Logging.ApplicationLevel), SystemLogLevel: present(c.Logging.SystemLevel),
		},
	}
	if c.PerTenant {
		out.TenancyConfig = &lambda.TenancyConfig{TenantIsolationMode: text(lambda.TenantIsolationModePerTenant)}
	}
	out.KMSKeyArn = present(c.KMSKey)
	if c.DeadLetters != "" {
		out.DeadLetterConfig = &lambda.DeadLetterConfig{TargetArn: &c.DeadLetters}
	}
	if c.Environment != nil {
		out.Environment = &lambda.EnvironmentResponse{Variables: c.Environment}
	}
	out.Layers = layerConfiguration(c.Layers)
	describeSurroundings(out, c)
	if c.FromImage() {
		describeImage(out, v)
	}
	return out
}

// logGroup names the group that a version logs to.
func logGroup(v *kiln.Version) string {
	if v.Config.LogGroup != "" {
		return v.Config.LogGroup
	}
	return "/aws/lambda/" + v.Function.Name
}

// present gives a pointer to a text, nil for an empty one: an absent member.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// text gives a pointer to a text.
func text(s string) *string { return &s }

// value gives what a pointer points to, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
