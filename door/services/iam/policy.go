package iam

import (
	"slices"
	"strconv"
	"strings"

	"kiln/door/auth/accounts"
	"kiln/door/services/query"
)

// managed is a managed policy on the wire.
type managed struct {
	PolicyName                    string
	PolicyId                      string
	Arn                           string
	Path                          string
	DefaultVersionId              string
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
}

// version is the one version that a managed policy has here.
type version struct {
	Document         string `xml:",omitempty"`
	VersionId        string
	IsDefaultVersion bool
	CreateDate       string
}

func (s *service) managedOf(m *accounts.Managed, full bool) managed {
	out := managed{PolicyName: m.Name, PolicyId: m.ID, Arn: m.ARN(), Path: m.Path, DefaultVersionId: versionID(m), AttachmentCount: s.book.Attachments(m.ARN()),
		IsAttachable: true, CreateDate: date(m.Created), UpdateDate: date(m.Updated)}
	if full {
		out.Description = m.Description
	}
	return out
}

func versionID(m *accounts.Managed) string { return "v" + strconv.Itoa(m.Version) }

func (s *service) createPolicy(c *query.Call) (any, error) {
	text, err := c.Text("PolicyDocument")
	if err != nil {
		return nil, err
	}
	m, err := s.book.CreatePolicy(c.Request.Context(), accounts.Managed{Account: c.Who.Account, Name: c.Form.Get("PolicyName"), Path: c.Form.Get("Path"),
		Description: c.Form.Get("Description"), Document: text})
	if err != nil {
		return nil, err
	}
	return struct{ Policy managed }{s.managedOf(m, true)}, nil
}

// policy gives the managed policy that a request names: one of the account, or of AWS.
func (s *service) policy(c *query.Call) (*accounts.Managed, error) {
	m, err := s.book.Policy(c.Form.Get("PolicyArn"))
	if err == nil && m.Account != c.Who.Account && m.Account != "aws" {
		err = &query.Error{Status: 404, Code: "NoSuchEntity", Message: "Policy " + c.Form.Get("PolicyArn") + " was not found."}
	}
	return m, err
}

func (s *service) getPolicy(c *query.Call) (any, error) {
	m, err := s.policy(c)
	if err != nil {
		return nil, err
	}
	return struct{ Policy managed }{s.managedOf(m, true)}, nil
}

func (s *service) getPolicyVersion(c *query.Call) (any, error) {
	id, err := c.Text("VersionId")
	if err != nil {
		return nil, err
	}
	m, err := s.policy(c)
	if err != nil {
		return nil, err
	}
	if id != versionID(m) {
		return nil, &query.Error{Status: 404, Code: "NoSuchEntity", Message: "Policy " + m.ARN() + " version " + id + " does not exist or is not attachable."}
	}
	return struct{ PolicyVersion version }{version{document(m.Document), id, true, date(m.Updated)}}, nil
}

func (s *service) listPolicyVersions(c *query.Call) (any, error) {
	m, err := s.policy(c)
	if err != nil {
		return nil, err
	}
	var out struct {
		Versions struct {
			Members []version `xml:"member"`
		}
		IsTruncated bool
	}
	out.Versions.Members = []version{{VersionId: versionID(m), IsDefaultVersion: true, CreateDate: date(m.Updated)}}
	return out, nil
}

func (s *service) listPolicies(c *query.Call) (any, error) {
	var all []*accounts.Managed
	switch scope := c.Form.Get("Scope"); scope {
	case "", "All":
		all = append(s.book.Policies(c.Who.Account), accounts.ManagedByAWS()...)
	case "Local":
		all = s.book.Policies(c.Who.Account)
	case "AWS":
		all = accounts.ManagedByAWS()
	default:
		return nil, query.Fail("ValidationError", "1 validation error detected: Value '"+scope+"' at 'scope' failed to satisfy constraint: Member must satisfy enum value set: [All, AWS, Local]")
	}
	all = slices.DeleteFunc(all, func(m *accounts.Managed) bool {
		return !strings.HasPrefix(m.Path, c.Form.Get("PathPrefix")) || c.Form.Get("OnlyAttached") == "true" && s.book.Attachments(m.ARN()) == 0
	})
	list, p, err := cut(c, all, func(m *accounts.Managed) string { return m.ARN() })
	var out struct {
		Policies struct {
			Members []managed `xml:"member"`
		}
		page
	}
	out.page = p
	for _, m := range list {
		out.Policies.Members = append(out.Policies.Members, s.managedOf(m, false))
	}
	return out, err
}

func (s *service) deletePolicy(c *query.Call) (any, error) {
	return nil, s.book.DeletePolicy(c.Request.Context(), c.Who.Account, c.Form.Get("PolicyArn"))
}

// page is the end of a list's answer.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// cut gives the part of a list that a request asks for. The marker is the name of the
// last thing that was sent, so that a list that changes meanwhile skips nothing that
// stays.
func cut[T any](c *query.Call, all []T, name func(T) string) ([]T, page, error) {
	most := 100
	if text := c.Form.Get("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, page{}, query.Fail("ValidationError", "1 validation error detected: Value '"+text+"' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000")
		}
		most = n
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	if marker := c.Form.Get("Marker"); marker != "" {
		all = slices.DeleteFunc(all, func(x T) bool { return name(x) <= marker })
	}
	if len(all) <= most {
		return all, page{}, nil
	}
	return all[:most], page{true, name(all[most-1])}, nil
}
