// Package iam is the neighbour that keeps roles and managed policies, as far as those who
// deploy functions need it. Users are not its business: kiln's own API has them. It keeps
// nothing itself: the accounts do.
package iam

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/auth/policy"
	"kiln/door/services/query"
)

// service is what the actions stand on.
type service struct {
	book *accounts.Book
	gate *auth.Gate
}

// New gives the service over the accounts.
func New(book *accounts.Book, gate *auth.Gate, log *slog.Logger) *query.Service {
	s := &service{book, gate}
	actions := map[string]func(*query.Call) (any, error){}
	for name, f := range map[string]action{
		"CreateRole": {s.createRole, "RoleName"}, "GetRole": {s.getRole, "RoleName"}, "ListRoles": {s.listRoles, ""}, "DeleteRole": {s.deleteRole, "RoleName"},
		"UpdateRole": {s.updateRole, "RoleName"}, "UpdateAssumeRolePolicy": {s.updateTrust, "RoleName"},
		"TagRole": {s.tagRole, "RoleName"}, "UntagRole": {s.untagRole, "RoleName"}, "ListRoleTags": {s.listRoleTags, "RoleName"},
		"PutRolePolicy": {s.putRolePolicy, "RoleName"}, "GetRolePolicy": {s.getRolePolicy, "RoleName"}, "ListRolePolicies": {s.listRolePolicies, "RoleName"}, "DeleteRolePolicy": {s.deleteRolePolicy, "RoleName"},
		"AttachRolePolicy": {s.attachRolePolicy, "RoleName"}, "DetachRolePolicy": {s.detachRolePolicy, "RoleName"}, "ListAttachedRolePolicies": {s.listAttached, "RoleName"},
		"ListInstanceProfilesForRole": {s.listInstanceProfiles, "RoleName"},
		"CreatePolicy":                {s.createPolicy, "PolicyName"}, "GetPolicy": {s.getPolicy, "PolicyArn"}, "GetPolicyVersion": {s.getPolicyVersion, "PolicyArn"},
		"ListPolicies": {s.listPolicies, ""}, "ListPolicyVersions": {s.listPolicyVersions, "PolicyArn"}, "DeletePolicy": {s.deletePolicy, "PolicyArn"},
	} {
		actions[name] = s.guarded(f)
	}
	return &query.Service{Namespace: "https://iam.amazonaws.com/doc/2010-05-08/", Version: "2010-05-08", Log: log, Explain: explain, Actions: actions}
}

// action is one action and the parameter that names what it is about.
type action struct {
	do    func(*query.Call) (any, error)
	about string
}

// guarded asks for the permission that an action needs before it is done.
func (s *service) guarded(a action) func(*query.Call) (any, error) {
	return func(c *query.Call) (any, error) {
		act := auth.Act{Action: "iam:" + c.Action, Resource: "*"}
		if a.about != "" {
			name, err := c.Text(a.about)
			if err != nil {
				return nil, err
			}
			act.Resource = s.arn(c, a.about, name)
		}
		if err := s.gate.Authorize(c.Who, c.Request, act); err != nil {
			return nil, err
		}
		return a.do(c)
	}
}

// arn names what an action is about; what is not there yet has the ARN that it will have.
func (s *service) arn(c *query.Call, about, name string) string {
	switch about {
	case "RoleName":
		if r, err := s.book.Role(c.Who.Account, name); err == nil {
			return r.ARN()
		}
		return "arn:aws:iam::" + c.Who.Account + ":role" + path(c) + name
	case "PolicyName":
		return "arn:aws:iam::" + c.Who.Account + ":policy" + path(c) + name
	}
	return name
}

// path gives the path of what is to be made.
func path(c *query.Call) string {
	if p := c.Form.Get("Path"); p != "" {
		return p
	}
	return "/"
}

// explain turns the errors of the accounts into those of the service.
func explain(err error) *query.Error {
	var refusal *auth.Refusal
	var malformed *policy.Error
	var e *kiln.Error
	switch {
	case errors.As(err, &refusal):
		return &query.Error{Status: http.StatusForbidden, Code: strings.TrimSuffix(refusal.Type, "Exception"), Message: refusal.Message}
	case errors.As(err, &malformed):
		return &query.Error{Status: http.StatusBadRequest, Code: "MalformedPolicyDocument", Message: malformed.Message}
	case !errors.As(err, &e):
		return nil
	}
	switch e.Code {
	case kiln.NotFound:
		return &query.Error{Status: http.StatusNotFound, Code: "NoSuchEntity", Message: e.Message}
	case kiln.Conflict:
		code := "EntityAlreadyExists"
		if e.Reason == accounts.InUse {
			code = "DeleteConflict"
		}
		return &query.Error{Status: http.StatusConflict, Code: code, Message: e.Message}
	case kiln.Quota:
		return &query.Error{Status: http.StatusConflict, Code: "LimitExceeded", Message: e.Message}
	case kiln.Invalid:
		return &query.Error{Status: http.StatusBadRequest, Code: "ValidationError", Message: e.Message}
	}
	return nil
}

// document writes a policy as IAM does: with everything escaped that a URL would.
func document(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// date writes a time.
func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
