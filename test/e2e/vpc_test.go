package e2e_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// placed puts a function into subnets and security groups, by their ids.
func placed(ids ...string) *types.VpcConfig {
	v := &types.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}}
	for _, id := range ids {
		if strings.HasPrefix(id, "subnet-") {
			v.SubnetIds = append(v.SubnetIds, id)
		} else {
			v.SecurityGroupIds = append(v.SecurityGroupIds, id)
		}
	}
	return v
}

func TestTheSubnetsAndSecurityGroupsOfAFunctionLetItOutOrNot(t *testing.T) {
	m := newMachine(t)
	ca := m.publish(t)
	data := t.TempDir()
	s := m.serve(t, data, "--vpc", "subnet-open=outbound,subnet-shut=none,sg-open=outbound,sg-shut=none")
	outside := world4 + ":80"
	open := newOutsider(t, s, "open", ca, func(in *lambda.CreateFunctionInput) { in.VpcConfig = placed("subnet-open", "sg-shut", "sg-open") })
	for name, want := range map[string]struct {
		ids  []string
		open bool
	}{
		"a":     {[]string{"subnet-shut", "sg-open"}, false},
		"b":     {[]string{"subnet-open", "sg-shut"}, false},
		"c":     {[]string{"subnet-open", "subnet-shut", "sg-open"}, false},
		"plain": {nil, true},
	} {
		o := newOutsider(t, s, name, ca, func(in *lambda.CreateFunctionInput) { in.VpcConfig = placed(want.ids...) })
		if got := o.reach(t, outside)[outside]; (got == "open") != want.open || !want.open && got != "ENETUNREACH" {
			t.Errorf("in %v the world is %s", want.ids, got)
		}
	}
	if got := open.reach(t, outside)[outside]; got != "open" {
		t.Fatalf("from an open subnet the world is %s", got)
	}
	ctx, c := t.Context(), s.Client()
	v, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("open")})
	if err != nil || v.VpcConfig == nil || !strings.HasPrefix(aws.ToString(v.VpcConfig.VpcId), "vpc-") || strings.Join(v.VpcConfig.SecurityGroupIds, " ") != "sg-shut sg-open" {
		t.Errorf("got %+v, %v", v.VpcConfig, err)
	}
	update := func(to *types.VpcConfig) error {
		_, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("open"), VpcConfig: to})
		return err
	}
	for want, to := range map[string]*types.VpcConfig{
		"Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID 'subnet-9' does not exist":      placed("subnet-9", "sg-open"),
		"Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error Message: The security group 'sg-9' does not exist": placed("subnet-open", "sg-9"),
		"SubnetIds and SecurityIds must coexist or be both empty list.":                                                                                   placed("subnet-open"),
	} {
		if code, text := apiError(t, update(to)); code != "InvalidParameterValueException" || text != want {
			t.Errorf("got %s: %s, want %s", code, text, want)
		}
	}
	if err := update(placed("subnet-shut", "sg-open")); err != nil {
		t.Fatal(err)
	}
	updated(t, c, "open")
	if got := open.reach(t, outside)[outside]; got != "ENETUNREACH" {
		t.Errorf("moved into a shut subnet, the function finds the world %s", got)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	s = m.serve(t, data) // which knows no subnets
	_, err = s.Client().Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("open")})
	if code, text := apiError(t, err); code != "InvalidSubnetIDException" || !strings.Contains(text, "subnet-shut") {
		t.Errorf("got %s: %s", code, text)
	}
}
