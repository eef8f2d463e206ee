// Package sts is the neighbour that tells who asks and lets roles be assumed, as far as
// clients of Lambda need it: GetCallerIdentity and AssumeRole. It keeps nothing.
package sts

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
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
	return &query.Service{
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Version: "2011-06-15", Log: log, Explain: explain,
		Actions: map[string]func(*query.Call) (any, error){"GetCallerIdentity": s.caller, "AssumeRole": s.assume},
	}
}

// identity is the answer of GetCallerIdentity.
type identity struct{ Arn, UserId, Account string }

// caller tells who asks. Nobody needs a permission for it.
func (s *service) caller(c *query.Call) (any, error) {
	if p := c.Who.Caller; p != nil {
		return identity{p.ARN, p.UserID, p.Account}, nil
	}
	arn := c.Who.Principal
	if arn == "" {
		arn = "arn:aws:iam::" + c.Who.Account + ":root"
	}
	return identity{arn, c.Who.Account, c.Who.Account}, nil
}

type assumed struct {
	Credentials      credentials
	AssumedRoleUser  assumedRole
	PackedPolicySize int `xml:",omitempty"`
}

type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }

type assumedRole struct{ AssumedRoleId, Arn string }

// maxChained is the longest session of a role that a session of a role assumes.
const maxChained = time.Hour

// assume gives a session of a role to whom the role trusts.
func (s *service) assume(c *query.Call) (any, error) {
	in, err := c.Texts("RoleArn", "RoleSessionName")
	if err != nil {
		return nil, err
	}
	arn, session := in[0], in[1]
	life := time.Duration(0)
	if text := c.Form.Get("DurationSeconds"); text != "" {
		n, err := strconv.Atoi(text)
		if life = time.Duration(n) * time.Second; err != nil || n < 900 || n > 43200 {
			return nil, query.Fail("ValidationError", "1 validation error detected: Value '"+text+"' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200")
		}
	}
	role := s.book.RoleByARN(arn)
	if err := s.trusted(c, role, arn); err != nil {
		return nil, err
	}
	if p := c.Who.Caller; p != nil && p.Role != "" && life > maxChained {
		return nil, query.Fail("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	var policies []string
	if p := c.Form.Get("Policy"); p != "" {
		policies = append(policies, p)
	}
	for _, arn := range c.Members("PolicyArns", "arn") {
		m, err := s.book.Policy(arn)
		if err != nil {
			return nil, err
		}
		policies = append(policies, m.Document)
	}
	k, err := s.book.Assume(role, session, life, policies)
	if err != nil {
		return nil, err
	}
	if !s.gate.Verifies() {
		k.AccessKeyID = role.Account // by which alone a server that checks nothing tells accounts apart
	}
	return assumed{
		Credentials:     credentials{k.AccessKeyID, k.SecretAccessKey, k.SessionToken, k.Expires.UTC().Format(time.RFC3339)},
		AssumedRoleUser: assumedRole{role.ID + ":" + session, "arn:aws:sts::" + role.Account + ":assumed-role/" + role.Name + "/" + session},
	}, nil
}

// trusted refuses whom a role does not trust. That there is no such role is not told.
func (s *service) trusted(c *query.Call, role *accounts.Role, arn string) error {
	p := c.Who.Caller
	if p == nil {
		if role == nil {
			return query.Fail("NoSuchEntity", "There is no role "+arn)
		}
		return nil
	}
	if role != nil {
		own := policy.Context{"sts:rolesessionname": {c.Form.Get("RoleSessionName")}}
		if id := c.Form.Get("ExternalId"); id != "" {
			own["sts:externalid"] = []string{id}
		}
		q := &policy.Question{Principal: p.Principal, Action: "sts:AssumeRole", Resource: arn, Owner: role.Account, Keys: s.gate.Context(c.Who, c.Request, own)}
		if !p.IsRoot() || p.Account != role.Account { // roots cannot assume roles, on AWS
			if policy.Trusts(q, role.TrustPolicy(), policy.Policies{Identity: p.Identity, Session: p.Session}) {
				return nil
			}
		} else {
			return &query.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Roles may not be assumed by root accounts."}
		}
	}
	return auth.Denied(p.ARN, "sts:AssumeRole", arn, "")
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
	case e.Code == kiln.Quota:
		return &query.Error{Status: http.StatusBadRequest, Code: "PackedPolicyTooLarge", Message: e.Message}
	case e.Code == kiln.Invalid || e.Code == kiln.NotFound:
		return &query.Error{Status: http.StatusBadRequest, Code: "ValidationError", Message: e.Message}
	}
	return nil
}
