package iam

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"kiln/door/auth/accounts"
	"kiln/door/services/query"
)

// role is a role on the wire. Lists leave its tags out.
type role struct {
	Path                     string
	RoleName                 string
	RoleId                   string
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	Tags                     *tags `xml:",omitempty"`
}

type tags struct {
	Members []tag `xml:"member"`
}

type tag struct{ Key, Value string }

type names struct {
	Members []string `xml:"member"`
}

func roleOf(r *accounts.Role, full bool) role {
	out := role{Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: r.ARN(), CreateDate: date(r.Created), AssumeRolePolicyDocument: document(r.Trust),
		Description: r.Description, MaxSessionDuration: int(r.MaxSession / time.Second)}
	if full && len(r.Tags) > 0 {
		out.Tags = tagsOf(r)
	}
	return out
}

func tagsOf(r *accounts.Role) *tags {
	t := &tags{}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		t.Members = append(t.Members, tag{k, r.Tags[k]})
	}
	return t
}

// readTags reads the tags of a request.
func readTags(c *query.Call) (map[string]string, error) {
	keys, values := c.Members("Tags", "Key"), c.Members("Tags", "Value")
	if len(keys) != len(values) || len(keys) > 50 {
		return nil, query.Fail("ValidationError", "Tags must be at most 50 pairs of Key and Value.")
	}
	out := map[string]string{}
	for i, k := range keys {
		if k == "" || len(k) > 128 || len(values[i]) > 256 {
			return nil, query.Fail("ValidationError", "Tag keys have 1 to 128 characters and values at most 256.")
		}
		out[k] = values[i]
	}
	return out, nil
}

// session reads the longest session that a role allows, 0 when it is not said.
func session(c *query.Call) (time.Duration, error) {
	text := c.Form.Get("MaxSessionDuration")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 3600 || n > 43200 {
		return 0, query.Fail("ValidationError", "1 validation error detected: Value '"+text+"' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200")
	}
	return time.Duration(n) * time.Second, nil
}

func (s *service) createRole(c *query.Call) (any, error) {
	trust, err := c.Text("AssumeRolePolicyDocument")
	if err != nil {
		return nil, err
	}
	longest, err := session(c)
	if err != nil {
		return nil, err
	}
	t, err := readTags(c)
	if err != nil {
		return nil, err
	}
	r, err := s.book.CreateRole(c.Request.Context(), accounts.Role{Account: c.Who.Account, Name: c.Form.Get("RoleName"), Path: c.Form.Get("Path"),
		Description: c.Form.Get("Description"), Trust: trust, MaxSession: longest, Tags: t})
	if err != nil {
		return nil, err
	}
	return struct{ Role role }{roleOf(r, true)}, nil
}

func (s *service) getRole(c *query.Call) (any, error) {
	r, err := s.role(c)
	if err != nil {
		return nil, err
	}
	return struct{ Role role }{roleOf(r, true)}, nil
}

// role gives the role that a request names.
func (s *service) role(c *query.Call) (*accounts.Role, error) {
	return s.book.Role(c.Who.Account, c.Form.Get("RoleName"))
}

func (s *service) listRoles(c *query.Call) (any, error) {
	var out struct {
		Roles struct {
			Members []role `xml:"member"`
		}
		page
	}
	all := slices.DeleteFunc(s.book.Roles(c.Who.Account), func(r *accounts.Role) bool { return !strings.HasPrefix(r.Path, c.Form.Get("PathPrefix")) })
	list, p, err := cut(c, all, func(r *accounts.Role) string { return r.Name })
	out.page = p
	for _, r := range list {
		out.Roles.Members = append(out.Roles.Members, roleOf(r, false))
	}
	return out, err
}

func (s *service) deleteRole(c *query.Call) (any, error) {
	return nil, s.book.DeleteRole(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"))
}

// changeRole changes a role, whose answer has nothing in it.
func (s *service) changeRole(c *query.Call, f func(*accounts.Role) error) (any, error) {
	_, err := s.book.ChangeRole(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"), f)
	return nil, err
}

func (s *service) updateRole(c *query.Call) (any, error) {
	longest, err := session(c)
	if err != nil {
		return nil, err
	}
	if _, err := s.changeRole(c, func(r *accounts.Role) error {
		if v, ok := c.Form["Description"]; ok {
			r.Description = v[0]
		}
		if longest != 0 {
			r.MaxSession = longest
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

func (s *service) updateTrust(c *query.Call) (any, error) {
	trust, err := c.Text("PolicyDocument")
	if err != nil {
		return nil, err
	}
	return s.changeRole(c, func(r *accounts.Role) error { r.Trust = trust; return nil })
}

func (s *service) tagRole(c *query.Call) (any, error) {
	t, err := readTags(c)
	if err != nil {
		return nil, err
	}
	return s.changeRole(c, func(r *accounts.Role) error {
		next := maps.Clone(r.Tags)
		if next == nil {
			next = map[string]string{}
		}
		maps.Copy(next, t)
		if len(next) > 50 {
			return query.Fail("LimitExceeded", "The number of tags has reached the maximum limit.")
		}
		r.Tags = next
		return nil
	})
}

func (s *service) untagRole(c *query.Call) (any, error) {
	keys := c.Members("TagKeys", "")
	return s.changeRole(c, func(r *accounts.Role) error {
		r.Tags = maps.Clone(r.Tags)
		maps.DeleteFunc(r.Tags, func(k, _ string) bool { return slices.Contains(keys, k) })
		return nil
	})
}

func (s *service) listRoleTags(c *query.Call) (any, error) {
	r, err := s.role(c)
	if err != nil {
		return nil, err
	}
	return struct {
		Tags        *tags
		IsTruncated bool
	}{Tags: tagsOf(r)}, nil
}

func (s *service) putRolePolicy(c *query.Call) (any, error) {
	in, err := c.Texts("PolicyName", "PolicyDocument")
	if err != nil {
		return nil, err
	}
	return nil, s.book.PutRolePolicy(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"), in[0], in[1])
}

func (s *service) getRolePolicy(c *query.Call) (any, error) {
	n, err := c.Text("PolicyName")
	if err != nil {
		return nil, err
	}
	r, err := s.role(c)
	if err != nil {
		return nil, err
	}
	text, ok := r.Inline[n]
	if !ok {
		return nil, &query.Error{Status: 404, Code: "NoSuchEntity", Message: "The role policy with name " + n + " cannot be found."}
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{r.Name, n, document(text)}, nil
}

func (s *service) listRolePolicies(c *query.Call) (any, error) {
	r, err := s.role(c)
	if err != nil {
		return nil, err
	}
	return struct {
		PolicyNames names
		IsTruncated bool
	}{PolicyNames: names{r.InlineNames()}}, nil
}

func (s *service) deleteRolePolicy(c *query.Call) (any, error) {
	n, err := c.Text("PolicyName")
	if err != nil {
		return nil, err
	}
	return nil, s.book.DeleteRolePolicy(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"), n)
}

func (s *service) attachRolePolicy(c *query.Call) (any, error) {
	arn, err := c.Text("PolicyArn")
	if err != nil {
		return nil, err
	}
	return nil, s.book.AttachRolePolicy(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"), arn)
}

func (s *service) detachRolePolicy(c *query.Call) (any, error) {
	arn, err := c.Text("PolicyArn")
	if err != nil {
		return nil, err
	}
	return nil, s.book.DetachRolePolicy(c.Request.Context(), c.Who.Account, c.Form.Get("RoleName"), arn)
}

func (s *service) listAttached(c *query.Call) (any, error) {
	r, err := s.role(c)
	if err != nil {
		return nil, err
	}
	var out struct {
		AttachedPolicies struct {
			Members []attached `xml:"member"`
		}
		IsTruncated bool
	}
	for _, arn := range r.Attached {
		out.AttachedPolicies.Members = append(out.AttachedPolicies.Members, attached{arn[strings.LastIndexByte(arn, '/')+1:], arn})
	}
	return out, nil
}

type attached struct{ PolicyName, PolicyArn string }

// listInstanceProfiles answers those who ask before they delete a role: there are none.
func (s *service) listInstanceProfiles(c *query.Call) (any, error) {
	if _, err := s.role(c); err != nil {
		return nil, err
	}
	return struct {
		InstanceProfiles names
		IsTruncated      bool
	}{}, nil
}
