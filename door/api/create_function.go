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
	n := NewFunction{ID: id, Publish: value(in.Publish)}
	if value(in.PackageType) == lambda.PackageTypeImage {
		n.Config.PackageType = kiln.PackageTypeImage
		if n.Image, n.Config.Image, err = imageFunction(in); err == nil {
			err = c.mayName(n.Image)
		}
	} else {
		err = n.fromZip(in)
	}
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
	set, err := tagSettings(labels)
	if err != nil {
		return NewFunction{}, err
	}
	cfg := kiln.Config{
		Description: value(in.Description), Runtime: value(in.Runtime), Handler: value(in.Handler), Role: *in.Role,
		PackageType: n.Config.PackageType, Image: n.Config.Image,
		Timeout:      cmp.Or(time.Duration(value(in.Timeout))*time.Second, kiln.DefaultTimeout),
		MemoryMB:     cmp.Or(int(value(in.MemorySize)), kiln.DefaultMemoryMB),
		StorageMB:    kiln.DefaultStorageMB,
		Architecture: cmp.Or(architecture(in.Architectures), lambda.ArchitectureX8664),
		Environment:  vars,
	}
	cfg.KMSKey = value(in.KMSKeyArn)
	if err = s.deadLetters(&cfg, c.Scope, in.DeadLetterConfig); err != nil {
		return NewFunction{}, err
	}
	cfg.PerTenant = in.TenancyConfig != nil // the one mode that there is, as the model has checked
	set(&cfg)
	if in.EphemeralStorage != nil {
		cfg.StorageMB = int(*in.EphemeralStorage.Size)
	}
	if err := logging(&cfg, in.LoggingConfig); err != nil {
		return NewFunction{}, err
	}
	if cfg.Layers, err = s.layersOf(c, in.Layers, nil); err != nil {
		return NewFunction{}, err
	}
	if cfg.FileSystem, err = s.fileSystem(c, in.FileSystemConfigs, kiln.FileSystemUse{}); err != nil {
		return NewFunction{}, err
	}
	if cfg.VPC, err = s.vpc(in.VpcConfig, kiln.VPCUse{}); err != nil {
		return NewFunction{}, err
	}
	n.Config, n.Tags = cfg, labels
	return n, nil
}

// fromZip takes over the code of a function that is a zip.
func (n *NewFunction) fromZip(in *lambda.CreateFunctionRequest) (err error) {
	if err := onlyZip(in.Code.ImageUri, in.ImageConfig); err != nil {
		return err
	}
	if value(in.Runtime) == "" || value(in.Handler) == "" {
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	n.Zip = in.Code.ZipFile
	n.Object, err = objectOf(len(in.Code.ZipFile) > 0, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion)
	return err
}
