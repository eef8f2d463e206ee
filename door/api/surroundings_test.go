package api_test

import (
	"fmt"
	"testing"

	"kiln"
	"kiln/door/api"
)

const accessPoint = "arn:aws:elasticfilesystem:" + region + ":" + account + ":access-point/fsap-0123456789abcdef0"

// foreignPoints are access points that the server has, of another account and region.
var foreignPoints = []string{
	"arn:aws:elasticfilesystem:" + region + ":999999999999:access-point/fsap-0123456789abcdef0",
	"arn:aws:elasticfilesystem:us-west-2:" + account + ":access-point/fsap-0123456789abcdef0",
}

// surrounded gives a server file systems and networks.
func surrounded(o *api.Options) {
	o.FileSystems = kiln.FileSystems{accessPoint: "/srv/a", foreignPoints[0]: "/srv/b", foreignPoints[1]: "/srv/c"}
	o.Networks = kiln.Networks{"subnet-1": true, "subnet-2": false, "sg-1": true}
}

func TestAFileSystemIsOneOfTheServersAndOfTheCaller(t *testing.T) {
	p := newPort(t, surrounded)
	list := func(arn, path string) string {
		return fmt.Sprintf(`{"FileSystemConfigs":[{"Arn":%q,"LocalMountPath":%q}]}`, arn, path)
	}
	p.create("f", nil)
	update := func(body string) reply {
		p.settle()
		return p.do("PUT", "/2015-03-31/functions/f/configuration", body)
	}
	absent := "arn:aws:elasticfilesystem:" + region + ":" + account + ":access-point/fsap-00000000000000000"
	for _, arn := range append(foreignPoints, absent) {
		if got := update(list(arn, "/mnt/a")); got.status != 400 || got.message() != "EFS access point "+arn+" does not exist." {
			t.Errorf("%s: got %d %s", arn, got.status, got.body)
		}
	}
	for _, path := range []string{"/mnt/.", "/mnt/..", "/mnt/..."} {
		if got := update(list(accessPoint, path)); got.status != 400 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/mnt/", "/tmp/a", "/mnt/a/b", "mnt/a"} {
		if got := update(list(accessPoint, path)); got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ValidationException" {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	got := wants(t, "update", update(list(accessPoint, "/mnt/a")), 200).members(t)
	if s := fmt.Sprint(got["FileSystemConfigs"]); s != "[map[Arn:"+accessPoint+" LocalMountPath:/mnt/a]]" {
		t.Errorf("got %s", s)
	}
	got = wants(t, "another update", update(`{"Timeout":9}`), 200).members(t)
	if got["FileSystemConfigs"] == nil {
		t.Error("an update of something else takes the file system away")
	}
	got = wants(t, "the end of it", update(`{"FileSystemConfigs":[]}`), 200).members(t)
	if got["FileSystemConfigs"] != nil {
		t.Errorf("got %v after it was taken away", got["FileSystemConfigs"])
	}
}

func TestAVPCIsKeptUntilItIsTakenAway(t *testing.T) {
	p := newPort(t, surrounded)
	p.create("f", map[string]any{"VpcConfig": map[string]any{"SubnetIds": []string{"subnet-1", "subnet-2"}, "SecurityGroupIds": []string{"sg-1"}}})
	p.settle()
	want := "map[Ipv6AllowedForDualStack:false SecurityGroupIds:[sg-1] SubnetIds:[subnet-1 subnet-2] VpcId:" + kiln.VPCID + "]"
	for _, step := range []struct{ body, want string }{
		{`{"Timeout":9}`, want},
		{`{"VpcConfig":{}}`, "<nil>"},
		{`{"VpcConfig":{"SubnetIds":["subnet-2"],"SecurityGroupIds":["sg-1"]}}`, "map[Ipv6AllowedForDualStack:false SecurityGroupIds:[sg-1] SubnetIds:[subnet-2] VpcId:" + kiln.VPCID + "]"},
		{`{"VpcConfig":{"SubnetIds":[],"SecurityGroupIds":[]}}`, "<nil>"},
	} {
		got := wants(t, step.body, p.do("PUT", "/2015-03-31/functions/f/configuration", step.body), 200).members(t)
		if s := fmt.Sprint(got["VpcConfig"]); s != step.want {
			t.Errorf("%s: got %s, want %s", step.body, s, step.want)
		}
		p.settle()
	}
}

func TestPoliciesSeeInWhichNetworkAFunctionIsPut(t *testing.T) {
	g := newGuarded(t, surrounded)
	g.user(account, "root")
	g.role("any")
	for name, condition := range map[string]string{
		"vpc": `{"StringEquals":{"lambda:VpcIds":"` + kiln.VPCID + `"}}`, "subnet": `{"ForAllValues:StringEquals":{"lambda:SubnetIds":["subnet-2"]},"Null":{"lambda:SubnetIds":"false"}}`,
	} {
		who := g.user(account, name, `"Action":"lambda:CreateFunction","Resource":"*","Condition":`+condition, `"Action":"iam:PassRole","Resource":"*"`)
		create := func(function string, vpc any) reply {
			return who.do("POST", "/2015-03-31/functions", request(t, function, map[string]any{"VpcConfig": vpc}))
		}
		if got := create(name, nil); got.status != 403 {
			t.Errorf("%s: without a network: %d %s", name, got.status, got.body)
		}
		wants(t, name, create(name, map[string]any{"SubnetIds": []string{"subnet-2"}, "SecurityGroupIds": []string{"sg-1"}}), 201)
		other := create(name+"2", map[string]any{"SubnetIds": []string{"subnet-1"}, "SecurityGroupIds": []string{"sg-1"}})
		if want := map[string]int{"vpc": 201, "subnet": 403}[name]; other.status != want {
			t.Errorf("%s: in another subnet: %d %s", name, other.status, other.body)
		}
	}
}
