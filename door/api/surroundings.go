package api

import (
	"slices"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// fileSystem gives the file system that a request asks for: one that the server has, of
// the account and region of the caller. Unlike AWS kiln wants no VPC with it. What the
// version has already it keeps, also when the server has it no more.
func (s *Server) fileSystem(c *call, list []lambda.FileSystemConfig, had kiln.FileSystemUse) (kiln.FileSystemUse, error) {
	if len(list) == 0 {
		return kiln.FileSystemUse{}, nil
	}
	use := kiln.FileSystemUse{ARN: value(list[0].Arn), Path: value(list[0].LocalMountPath)} // the model allows one
	if strings.Trim(strings.TrimPrefix(use.Path, "/mnt/"), ".") == "" {
		return use, invalid("The local mount path " + use.Path + " is not a directory of its own below /mnt.")
	}
	if use.ARN == had.ARN {
		return use, nil
	}
	part := strings.SplitN(use.ARN, ":", 6)
	if _, known := s.o.FileSystems[use.ARN]; !known || len(part) < 6 || part[3] != c.Region || part[4] != c.Account {
		return use, invalid("EFS access point " + use.ARN + " does not exist.")
	}
	return use, nil
}

// vpc gives the part of the server's VPC that a request asks for.
func (s *Server) vpc(in *lambda.VpcConfig, had kiln.VPCUse) (kiln.VPCUse, error) {
	if in == nil {
		return had, nil
	}
	use := kiln.VPCUse{Subnets: slices.Clone(in.SubnetIds), SecurityGroups: slices.Clone(in.SecurityGroupIds)}
	if (len(use.Subnets) == 0) != (len(use.SecurityGroups) == 0) {
		return use, invalid("SubnetIds and SecurityIds must coexist or be both empty list.")
	}
	for _, id := range use.Subnets {
		if _, ok := s.o.Networks[id]; !ok && !slices.Contains(had.Subnets, id) {
			return use, invalid("Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID '" + id + "' does not exist")
		}
	}
	for _, id := range use.SecurityGroups {
		if _, ok := s.o.Networks[id]; !ok && !slices.Contains(had.SecurityGroups, id) {
			return use, invalid("Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error Message: The security group '" + id + "' does not exist")
		}
	}
	return use, nil
}

// updateSurroundings changes what a request asks for of the server, and keeps the rest.
func (s *Server) updateSurroundings(c *call, config *kiln.Config, in *lambda.UpdateFunctionConfigurationRequest) (err error) {
	if in.FileSystemConfigs != nil {
		if config.FileSystem, err = s.fileSystem(c, in.FileSystemConfigs, config.FileSystem); err != nil {
			return err
		}
	}
	config.VPC, err = s.vpc(in.VpcConfig, config.VPC)
	return err
}

// describeSurroundings adds what a version has of the server.
func describeSurroundings(out *lambda.FunctionConfiguration, c *kiln.Config) {
	if use := c.FileSystem; use != (kiln.FileSystemUse{}) {
		out.FileSystemConfigs = []lambda.FileSystemConfig{{Arn: &use.ARN, LocalMountPath: &use.Path}}
	}
	if use := c.VPC; !use.IsZero() {
		six := false
		out.VpcConfig = &lambda.VpcConfigResponse{SubnetIds: use.Subnets, SecurityGroupIds: use.SecurityGroups, VpcId: text(kiln.VPCID), Ipv6AllowedForDualStack: &six}
	}
}
