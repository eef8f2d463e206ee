package iam_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/auth/policy"
	"kiln/door/services/iam"
	"kiln/door/services/query"
	"kiln/door/services/sts"
)

const account = "111111111111"

// shelf is a store in memory.
type shelf struct {
	mu   sync.Mutex
	last uint64
}

func (s *shelf) Scan(context.Context, string, func(accounts.Record) error) error { return nil }

func (s *shelf) Commit(_ context.Context, writes []accounts.Write) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]uint64, len(writes))
	for i := range writes {
		s.last++
		out[i] = s.last
	}
	return out, nil
}

// rig is both services over one book, asked by somebody.
type rig struct {
	t        *testing.T
	book     *accounts.Book
	gate     *auth.Gate
	iam, sts *query.Service
	who      auth.Identity
}

func newRig(t *testing.T, checks bool) *rig {
	book, err := accounts.Open(t.Context(), accounts.Options{Store: &shelf{}})
	if err != nil {
		t.Fatal(err)
	}
	var o auth.Options
	if checks {
		o.Keys = book
	}
	gate, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &rig{t, book, gate, iam.New(book, gate, log), sts.New(book, gate, log), auth.Identity{Scope: kiln.Scope{Account: account, Region: "us-east-1"}, AccessKey: "x"}}
}

// user makes a user and is it from then on.
func (r *rig) user(account, name string, statements ...string) {
	r.t.Helper()
	_, c, err := r.book.CreateUser(r.t.Context(), account, name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range statements {
		if err := r.book.PutUserPolicy(r.t.Context(), account, name, "p", `{"Statement":[`+s+`]}`); err != nil {
			r.t.Fatal(err)
		}
	}
	r.is(c.AccessKeyID, "")
}

// is makes the rig somebody who has a key.
func (r *rig) is(id, token string) {
	r.t.Helper()
	k, err := r.book.Key(id, token)
	if err != nil {
		r.t.Fatal(err)
	}
	r.who = auth.Identity{Scope: kiln.Scope{Account: k.Caller.Account, Region: "us-east-1"}, AccessKey: id, Principal: k.Caller.ARN, Caller: k.Caller}
}

// do sends a form: pairs of names and values.
func (r *rig) do(s *query.Service, action string, pairs ...string) (int, string) {
	r.t.Helper()
	form := url.Values{"Action": {action}, "Version": {s.Version}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	w, req := httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
	s.ServeAWS(w, req, r.who, "id-1")
	return w.Code, w.Body.String()
}

// wants checks status and parts of an answer.
func (r *rig) wants(what string, s *query.Service, status int, parts []string, action string, pairs ...string) string {
	r.t.Helper()
	got, body := r.do(s, action, pairs...)
	if got != status {
		r.t.Errorf("%s: got %d %s, want %d", what, got, body, status)
	}
	for _, p := range parts {
		if !strings.Contains(body, p) {
			r.t.Errorf("%s: %q is not in %s", what, p, body)
		}
	}
	return body
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

const mayLog = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`

func p(parts ...string) []string { return parts }

func TestRolesLiveAsOnIAM(t *testing.T) {
	r := newRig(t, false)
	const arn = "arn:aws:iam::" + account + ":role/team/worker"
	r.wants("create", r.iam, 200, p(`<CreateRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateRoleResult><Role><Path>/team/</Path><RoleName>worker</RoleName><RoleId>AROA`,
		"<Arn>"+arn+"</Arn>", "<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22", "<Description>does it</Description>", "<MaxSessionDuration>3600</MaxSessionDuration>",
		"<Tags><member><Key>a</Key><Value>b</Value></member></Tags>", "</CreateRoleResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></CreateRoleResponse>"),
		"CreateRole", "RoleName", "worker", "Path", "/team/", "AssumeRolePolicyDocument", trust, "Description", "does it", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")
	r.wants("twice", r.iam, 409, p("<Code>EntityAlreadyExists</Code><Message>Role with name worker already exists.</Message>", "<Type>Sender</Type>"), "CreateRole", "RoleName", "worker", "AssumeRolePolicyDocument", trust)
	r.wants("get", r.iam, 200, p("<Arn>"+arn+"</Arn>"), "GetRole", "RoleName", "worker")
	r.wants("put", r.iam, 200, p("<PutRolePolicyResponse"), "PutRolePolicy", "RoleName", "worker", "PolicyName", "logs", "PolicyDocument", mayLog)
	r.wants("inline", r.iam, 200, p("<PolicyNames><member>logs</member></PolicyNames><IsTruncated>false</IsTruncated>"), "ListRolePolicies", "RoleName", "worker")
	r.wants("its text", r.iam, 200, p("<PolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C"), "GetRolePolicy", "RoleName", "worker", "PolicyName", "logs")
	r.wants("no such inline", r.iam, 404, p("NoSuchEntity"), "GetRolePolicy", "RoleName", "worker", "PolicyName", "other")
	r.wants("attach", r.iam, 200, nil, "AttachRolePolicy", "RoleName", "worker", "PolicyArn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	r.wants("attached", r.iam, 200, p("<AttachedPolicies><member><PolicyName>AWSLambdaBasicExecutionRole</PolicyName><PolicyArn>arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole</PolicyArn></member>"), "ListAttachedRolePolicies", "RoleName", "worker")
	r.wants("in use", r.iam, 409, p("<Code>DeleteConflict</Code>"), "DeleteRole", "RoleName", "worker")
	r.wants("update", r.iam, 200, p("<UpdateRoleResult>"), "UpdateRole", "RoleName", "worker", "Description", "", "MaxSessionDuration", "7200")
	r.wants("trust", r.iam, 200, nil, "UpdateAssumeRolePolicy", "RoleName", "worker", "PolicyDocument", strings.Replace(trust, "lambda", "edgelambda", 1))
	r.wants("bad trust", r.iam, 400, p("<Code>MalformedPolicyDocument</Code>"), "UpdateAssumeRolePolicy", "RoleName", "worker", "PolicyDocument", mayLog)
	r.wants("tag", r.iam, 200, nil, "TagRole", "RoleName", "worker", "Tags.member.1.Key", "c", "Tags.member.1.Value", "d")
	r.wants("untag", r.iam, 200, nil, "UntagRole", "RoleName", "worker", "TagKeys.member.1", "a")
	r.wants("tags", r.iam, 200, p("<Tags><member><Key>c</Key><Value>d</Value></member></Tags>"), "ListRoleTags", "RoleName", "worker")
	body := r.wants("changed", r.iam, 200, p("<MaxSessionDuration>7200</MaxSessionDuration>", "edgelambda"), "GetRole", "RoleName", "worker")
	if strings.Contains(body, "Description") {
		t.Errorf("the description is still there: %s", body)
	}
	r.wants("profiles", r.iam, 200, p("<InstanceProfiles></InstanceProfiles>"), "ListInstanceProfilesForRole", "RoleName", "worker")
	r.wants("detach", r.iam, 200, nil, "DetachRolePolicy", "RoleName", "worker", "PolicyArn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	r.wants("delete inline", r.iam, 200, nil, "DeleteRolePolicy", "RoleName", "worker", "PolicyName", "logs")
	for _, name := range []string{"a", "b"} {
		r.wants("more", r.iam, 200, nil, "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trust)
	}
	r.wants("a page", r.iam, 200, p("<RoleName>a</RoleName>", "<RoleName>b</RoleName>", "<IsTruncated>true</IsTruncated><Marker>b</Marker>"), "ListRoles", "MaxItems", "2")
	r.wants("the next", r.iam, 200, p("<RoleName>worker</RoleName>", "<IsTruncated>false</IsTruncated>"), "ListRoles", "MaxItems", "2", "Marker", "b")
	r.wants("by path", r.iam, 200, p("<Roles><member><Path>/team/</Path>"), "ListRoles", "PathPrefix", "/team/")
	r.wants("delete", r.iam, 200, p("<DeleteRoleResponse"), "DeleteRole", "RoleName", "worker")
	r.wants("gone", r.iam, 404, p("<Code>NoSuchEntity</Code><Message>The role with name worker cannot be found.</Message>"), "GetRole", "RoleName", "worker")
	for what, c := range map[string][]string{
		"no name": {"GetRole"}, "no trust": {"CreateRole", "RoleName", "x"}, "a bad name": {"CreateRole", "RoleName", "a/b", "AssumeRolePolicyDocument", trust},
		"a bad session": {"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust, "MaxSessionDuration", "5"}, "a bad page": {"ListRoles", "MaxItems", "0"},
		"half a tag": {"TagRole", "RoleName", "a", "Tags.member.1.Key", "x"},
	} {
		r.wants(what, r.iam, 400, p("<Code>ValidationError</Code>"), c[0], c[1:]...)
	}
	r.wants("another action", r.iam, 501, p("<Code>NotImplemented</Code>"), "CreateGroup")
	r.wants("another version", r.iam, 400, p("<Code>InvalidAction</Code>"), "GetRole", "Version", "2000-01-01", "RoleName", "a")
}

func TestManagedPoliciesLiveAsOnIAM(t *testing.T) {
	r := newRig(t, false)
	const arn = "arn:aws:iam::" + account + ":policy/logs"
	r.wants("create", r.iam, 200, p("<Policy><PolicyName>logs</PolicyName><PolicyId>ANPA", "<Arn>"+arn+"</Arn>", "<DefaultVersionId>v1</DefaultVersionId>", "<IsAttachable>true</IsAttachable>"), "CreatePolicy", "PolicyName", "logs", "PolicyDocument", mayLog)
	r.wants("malformed", r.iam, 400, p("MalformedPolicyDocument"), "CreatePolicy", "PolicyName", "x", "PolicyDocument", "{}")
	r.wants("get", r.iam, 200, p("<Arn>"+arn+"</Arn>"), "GetPolicy", "PolicyArn", arn)
	r.wants("version", r.iam, 200, p("<PolicyVersion><Document>%7B%22Version%22"), "GetPolicyVersion", "PolicyArn", arn, "VersionId", "v1")
	r.wants("no such version", r.iam, 404, p("NoSuchEntity"), "GetPolicyVersion", "PolicyArn", arn, "VersionId", "v2")
	r.wants("versions", r.iam, 200, p("<VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion>"), "ListPolicyVersions", "PolicyArn", arn)
	r.wants("of AWS", r.iam, 200, p("<PolicyName>AdministratorAccess</PolicyName>"), "GetPolicy", "PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")
	r.wants("own", r.iam, 200, p("<Policies><member><PolicyName>logs</PolicyName>"), "ListPolicies", "Scope", "Local")
	r.wants("all", r.iam, 200, p("<PolicyName>logs</PolicyName>", "<PolicyName>AWSLambda_FullAccess</PolicyName>"), "ListPolicies")
	r.who.Account = "222222222222"
	r.wants("another account's", r.iam, 404, p("NoSuchEntity"), "GetPolicy", "PolicyArn", arn)
	r.wants("deleted by another", r.iam, 404, p("NoSuchEntity"), "DeletePolicy", "PolicyArn", arn)
	r.who.Account = account
	r.wants("delete", r.iam, 200, nil, "DeletePolicy", "PolicyArn", arn)
	r.wants("gone", r.iam, 404, p("NoSuchEntity"), "GetPolicy", "PolicyArn", arn)
}

func TestRolesNeedPermissionsWhereSignaturesAreChecked(t *testing.T) {
	r := newRig(t, true)
	r.user(account, "ann", `{"Effect":"Allow","Action":["iam:CreateRole","iam:Get*"],"Resource":"arn:aws:iam::`+account+`:role/team/*"}`)
	r.wants("allowed", r.iam, 200, nil, "CreateRole", "RoleName", "x", "Path", "/team/", "AssumeRolePolicyDocument", trust)
	r.wants("read", r.iam, 200, nil, "GetRole", "RoleName", "x")
	r.wants("another path", r.iam, 403, p("<Code>AccessDenied</Code><Message>User: arn:aws:iam::"+account+":user/ann is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::"+account+":role/y because no identity-based policy allows the iam:CreateRole action</Message>"),
		"CreateRole", "RoleName", "y", "AssumeRolePolicyDocument", trust)
	r.wants("another action", r.iam, 403, p("iam:DeleteRole on resource: arn:aws:iam::"+account+":role/team/x because"), "DeleteRole", "RoleName", "x")
	r.wants("all", r.iam, 403, p("iam:ListRoles on resource: * because"), "ListRoles")
}

func TestASessionIsGivenToWhomTheRoleTrusts(t *testing.T) {
	r := newRig(t, true)
	r.user(account, "root")
	trusts := func(principal, condition string) string {
		return `{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"` + condition + `}}`
	}
	for name, doc := range map[string]string{
		"mine": trusts("arn:aws:iam::"+account+":user/ann", ""), "account": trusts(account, ""), "functions": trust,
		"external": trusts("222222222222", `,"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`),
	} {
		r.wants("role", r.iam, 200, nil, "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", doc)
		r.wants("policy", r.iam, 200, nil, "PutRolePolicy", "RoleName", name, "PolicyName", "p", "PolicyDocument", mayLog)
	}
	arn := func(name string) string { return "arn:aws:iam::" + account + ":role/" + name }
	r.wants("root", r.sts, 403, p("<Code>AccessDenied</Code><Message>Roles may not be assumed by root accounts.</Message>"), "AssumeRole", "RoleArn", arn("mine"), "RoleSessionName", "me")
	r.wants("who is root", r.sts, 200, p(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::`+account+`:root</Arn><UserId>`+account+`</UserId><Account>`+account+`</Account></GetCallerIdentityResult>`), "GetCallerIdentity")
	r.user(account, "ann")
	r.wants("by account, without a policy", r.sts, 403, p("<Message>User: arn:aws:iam::"+account+":user/ann is not authorized to perform: sts:AssumeRole on resource: "+arn("account")+"</Message>"), "AssumeRole", "RoleArn", arn("account"), "RoleSessionName", "me")
	r.wants("a role of functions", r.sts, 403, p("AccessDenied"), "AssumeRole", "RoleArn", arn("functions"), "RoleSessionName", "me")
	r.wants("no such role", r.sts, 403, p("AccessDenied"), "AssumeRole", "RoleArn", arn("none"), "RoleSessionName", "me")
	r.wants("too short", r.sts, 400, p("ValidationError", "durationSeconds"), "AssumeRole", "RoleArn", arn("mine"), "RoleSessionName", "me", "DurationSeconds", "5")
	r.wants("too long", r.sts, 400, p("ValidationError", "MaxSessionDuration"), "AssumeRole", "RoleArn", arn("mine"), "RoleSessionName", "me", "DurationSeconds", "7200")
	r.wants("a bad name", r.sts, 400, p("ValidationError", "roleSessionName"), "AssumeRole", "RoleArn", arn("mine"), "RoleSessionName", "a b")
	r.wants("a bad policy", r.sts, 400, p("MalformedPolicyDocument"), "AssumeRole", "RoleArn", arn("mine"), "RoleSessionName", "me", "Policy", "{}")
	body := r.wants("by name", r.sts, 200, p("<AssumedRoleUser><AssumedRoleId>AROA", ":me</AssumedRoleId><Arn>arn:aws:sts::"+account+":assumed-role/mine/me</Arn>", "<AccessKeyId>ASIA"), "AssumeRole",
		"RoleArn", arn("mine"), "RoleSessionName", "me", "Policy", `{"Statement":{"Effect":"Allow","Action":"logs:Get*","Resource":"*"}}`, "PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")
	between := func(tag string) string {
		_, rest, _ := strings.Cut(body, "<"+tag+">")
		text, _, _ := strings.Cut(rest, "</")
		return text
	}
	if at, err := time.Parse(time.RFC3339, between("Expiration")); err != nil || time.Until(at) > time.Hour || time.Until(at) < 59*time.Minute {
		t.Errorf("expires %v, %v", at, err)
	}
	r.is(between("AccessKeyId"), between("SessionToken"))
	r.wants("who is it now", r.sts, 200, p("<Arn>arn:aws:sts::"+account+":assumed-role/mine/me</Arn>"), "GetCallerIdentity")
	for action, want := range map[string]bool{"logs:GetLogEvents": true, "logs:CreateLogGroup": false, "lambda:GetFunction": false} {
		if err := r.gate.Authorize(r.who, httptest.NewRequest("GET", "/", nil), auth.Act{Action: action, Resource: "*"}); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
	r.user("222222222222", "bob", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}`)
	r.wants("another account without the external id", r.sts, 403, nil, "AssumeRole", "RoleArn", arn("external"), "RoleSessionName", "me")
	r.wants("another account with it", r.sts, 200, nil, "AssumeRole", "RoleArn", arn("external"), "RoleSessionName", "me", "ExternalId", "secret")
}

func TestWhereNothingIsCheckedASessionIsThatOfTheRolesAccount(t *testing.T) {
	r := newRig(t, false)
	r.who.Account = "222222222222"
	r.wants("role", r.iam, 200, nil, "CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust)
	r.who.Account = account
	r.wants("assume", r.sts, 200, p("<AccessKeyId>222222222222</AccessKeyId>"), "AssumeRole", "RoleArn", "arn:aws:iam::222222222222:role/x", "RoleSessionName", "me")
	r.wants("none", r.sts, 400, p("NoSuchEntity"), "AssumeRole", "RoleArn", "arn:aws:iam::222222222222:role/y", "RoleSessionName", "me")
	r.wants("who", r.sts, 200, p("<Arn>arn:aws:iam::"+account+":root</Arn>"), "GetCallerIdentity")
}

func TestEveryPolicyOfAWSCanBeReadAndNamed(t *testing.T) {
	list := accounts.ManagedByAWS()
	if len(list) < 10 {
		t.Errorf("%d policies", len(list))
	}
	for _, m := range list {
		if _, err := policy.Parse(policy.Identity, []byte(m.Document)); err != nil || !strings.HasPrefix(m.ARN(), "arn:aws:iam::aws:policy/") {
			t.Errorf("%s: %v", m.ARN(), err)
		}
	}
}
