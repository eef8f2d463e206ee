package api

import (
	"cmp"
	"context"
	"time"

	"kiln"
	"kiln/door/lambda"
)

// service answers the operations. What is not written here answers 501.
type service struct {
	lambda.Unimplemented
	*Server
}

var _ lambda.Service = service{}

// CreateFunction makes a function that answers as Pending and becomes Active when its
// code and runtime are in place. Deprecated runtimes are created all the same: what
// they need is on this machine or it is not, and the version's state says which.
func (s service) CreateFunction(ctx context.Context, in *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
	n, err := s.newFunction(callOf(ctx), in)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	v, err := s.o.Catalog.CreateFunction(ctx, n)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return s.configuration(ctx, v, ""), nil // without qualifier, also when a version was published
}

// newFunction turns the request into a function to be made.
func (s service) newFunction(c *call, in *lambda.CreateFunctionRequest) (NewFunction, error) {
	id, err := c.function(*in.FunctionName)
	if err != nil {
		return NewFunction{}, err
	}
	if err := refuseCreate(in); err != nil {
		return NewFunction{}, err
	}
	if value(in.Runtime) == "" || value(in.Handler) == "" {
		return NewFunction{}, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	object, err := objectOf(len(in.Code.ZipFile) > 0, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion)
	if err != nil {
		return NewFunction{}, err
	}
	if err := sizes(in.MemorySize, in.Timeout, in.EphemeralStorage); err != nil {
		return NewFunction{}, err
	}
	vars, err := environment(in.Environment)
	if err != nil {
		return NewFunction{}, err
	}
	labels, err := tags(in.Tags)
	if err != nil {
		return NewFunction{}, err
	}
	out, err := outbound(labels)
	if err != nil {
		return NewFunction{}, err
	}
	cpu, err := cpuMode(labels)
	if err != nil {
		return NewFunction{}, err
	}
	cfg := kiln.Config{
		Description: value(in.Description), Runtime: *in.Runtime, Handler: *in.Handler, Role: *in.Role,
		Timeout:      cmp.Or(time.Duration(value(in.Timeout))*time.Second, kiln.DefaultTimeout),
		MemoryMB:     cmp.Or(int(value(in.MemorySize)), kiln.DefaultMemoryMB),
		StorageMB:    kiln.DefaultStorageMB,
		Architecture: cmp.Or(architecture(in.Architectures), lambda.ArchitectureX8664),
		Environment:  vars,
		NoOutbound:   !out,
		CPUMode:      cpu,
	}
	if in.EphemeralStorage != nil {
		cfg.StorageMB = int(*in.EphemeralStorage.Size)
	}
	if err := logging(&cfg, in.LoggingConfig); err != nil {
		return NewFunction{}, err
	}
	if cfg.Layers, err = s.layersOf(c, in.Layers, nil); err != nil {
		return NewFunction{}, err
	}
	return NewFunction{ID: id, Config: cfg, Zip: in.Code.ZipFile, Object: object, Tags: labels, Publish: value(in.Publish)}, nil
}
