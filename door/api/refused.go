package api

import (
	"slices"
	"strings"

	"kiln/door/lambda"
)

// A setting that kiln does not obey yet is refused by name: accepted and ignored, it
// would be found missing in production. Its empty and default forms say what kiln
// does anyway and pass. A test goes over the whole model: every member is either
// obeyed or has its row here.

// ask is one setting that a request may ask for.
type ask struct {
	member string
	asked  bool
}

// runtimeARN is the one form of a runtime that kiln does not have.
func runtimeARN(name *string) ask {
	return ask{"Runtime as an ARN", strings.HasPrefix(value(name), "arn:")}
}

// settings are the members that CreateFunction and UpdateFunctionConfiguration have
// in common and that kiln does not obey.
func settings(vpc *lambda.VpcConfig, tracing *lambda.TracingConfig,
	files []lambda.FileSystemConfig, snap *lambda.SnapStart, durable *lambda.DurableConfig) []ask {
	return []ask{
		{"VpcConfig with Ipv6AllowedForDualStack", vpc != nil && value(vpc.Ipv6AllowedForDualStack)},
		{"TracingConfig with Mode Active", tracing != nil && other(tracing.Mode, lambda.TracingModePassThrough)},
		{"FileSystemConfigs with S3FilesConfig", slices.ContainsFunc(files, func(f lambda.FileSystemConfig) bool { return f.S3FilesConfig != nil })},
		{"SnapStart with ApplyOn PublishedVersions", snap != nil && other(snap.ApplyOn, lambda.SnapStartApplyOnNone)},
		{"DurableConfig", durable != nil},
	}
}

// source are the members that say how code is kept, other than as a copy.
func source(mode, kms *string) []ask {
	return []ask{
		{"S3ObjectStorageMode REFERENCE", other(mode, lambda.S3ObjectStorageModeCopy)},
		{"SourceKMSKeyArn", value(kms) != ""},
	}
}

// refuseCreate refuses what CreateFunction asks for and kiln would not obey.
func refuseCreate(in *lambda.CreateFunctionRequest) error {
	asks := settings(in.VpcConfig, in.TracingConfig, in.FileSystemConfigs, in.SnapStart, in.DurableConfig)
	asks = append(asks,
		runtimeARN(in.Runtime),
		ask{"PublishTo", in.PublishTo != nil},
		ask{"CodeSigningConfigArn", value(in.CodeSigningConfigArn) != ""},
		ask{"CapacityProviderConfig", in.CapacityProviderConfig != nil},
	)
	if c := in.Code; c != nil {
		asks = append(asks, source(c.S3ObjectStorageMode, c.SourceKMSKeyArn)...)
	}
	return refuse(asks)
}

// refuseUpdate refuses what UpdateFunctionConfiguration asks for and kiln would not
// obey.
func refuseUpdate(in *lambda.UpdateFunctionConfigurationRequest) error {
	if in.CapacityProviderConfig != nil {
		return invalid("CapacityProviderConfig isn't supported for Lambda Default functions.")
	}
	asks := settings(in.VpcConfig, in.TracingConfig, in.FileSystemConfigs, in.SnapStart, in.DurableConfig)
	return refuse(append(asks, runtimeARN(in.Runtime)))
}

// refuseCode refuses what UpdateFunctionCode asks for and kiln would not obey.
func refuseCode(in *lambda.UpdateFunctionCodeRequest) error {
	asks := source(in.S3ObjectStorageMode, in.SourceKMSKeyArn)
	return refuse(append(asks, ask{"PublishTo", in.PublishTo != nil}))
}

// refuseLayer refuses what PublishLayerVersion asks for and kiln would not obey.
func refuseLayer(in *lambda.PublishLayerVersionRequest) error {
	if in.Content == nil {
		return nil
	}
	return refuse(source(in.Content.S3ObjectStorageMode, nil))
}

// refuse answers for the first setting that was asked for.
func refuse(asks []ask) error {
	for _, a := range asks {
		if a.asked {
			return unsupported(a.member)
		}
	}
	return nil
}

// unsupported is the answer to a setting that kiln would not obey.
func unsupported(member string) error {
	return invalid("kiln does not support " + member + " yet.")
}

// other reports whether a member is there and is not its default.
func other(v *string, def string) bool { return v != nil && *v != def }
