package kiln_test

import (
	"testing"

	"kiln"
)

func TestAVersionIsLetOutByAllOfItsSubnetsAndOneSecurityGroup(t *testing.T) {
	n := kiln.Networks{"subnet-open": true, "subnet-shut": false, "sg-open": true, "sg-shut": false}
	for _, c := range []struct {
		subnets, groups []string
		want            bool
	}{
		{nil, nil, true},
		{[]string{"subnet-open"}, []string{"sg-open"}, true},
		{[]string{"subnet-open"}, []string{"sg-shut", "sg-open"}, true},
		{[]string{"subnet-open"}, []string{"sg-shut"}, false},
		{[]string{"subnet-open", "subnet-shut"}, []string{"sg-open"}, false},
		{[]string{"subnet-shut"}, []string{"sg-open"}, false},
	} {
		if got, err := n.Outbound(kiln.VPCUse{Subnets: c.subnets, SecurityGroups: c.groups}); got != c.want || err != nil {
			t.Errorf("%v %v: got %v, %v", c.subnets, c.groups, got, err)
		}
	}
	for _, v := range []kiln.VPCUse{{Subnets: []string{"subnet-gone"}, SecurityGroups: []string{"sg-open"}}, {Subnets: []string{"subnet-open"}, SecurityGroups: []string{"sg-gone"}}} {
		if got, err := n.Outbound(v); got || kiln.CodeOf(err) != kiln.BadNetwork {
			t.Errorf("%v: got %v, %v", v, got, err)
		}
	}
}
