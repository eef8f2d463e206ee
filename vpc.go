package kiln

import "slices"

// VPCID is the one VPC that a server has: subnets and security groups with a profile of
// the network are all in it.
const VPCID = "vpc-00000000000000001"

// VPCUse is the part of the VPC that a version is in. The zero value is none.
type VPCUse struct {
	Subnets, SecurityGroups []string
}

// IsZero reports whether a version is in no VPC.
func (v VPCUse) IsZero() bool { return len(v.Subnets) == 0 && len(v.SecurityGroups) == 0 }

// Networks says of every subnet and security group of a server, by its id, whether
// connections to the outside may be opened from it.
type Networks map[string]bool

// Outbound reports whether a version may open connections to the outside. It may lie in
// any of its subnets: all of them must allow it. Security groups add up: one is enough.
func (n Networks) Outbound(v VPCUse) (bool, error) {
	if v.IsZero() {
		return true, nil
	}
	for _, id := range slices.Concat(v.Subnets, v.SecurityGroups) {
		if _, ok := n[id]; !ok {
			return false, Errorf(BadNetwork, "Lambda was not able to set up VPC access for the Lambda function because the server has no subnet or security group %s.", id)
		}
	}
	return !slices.ContainsFunc(v.Subnets, func(id string) bool { return !n[id] }) && slices.ContainsFunc(v.SecurityGroups, func(id string) bool { return n[id] }), nil
}
