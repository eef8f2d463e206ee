package accounts

import (
	"context"
	"slices"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth/policy"
)

// Role is something that can be assumed: by functions, services, users.
type Role struct {
	Account     string            `json:"-"`
	Name        string            `json:"-"`
	ID          string            `json:"id"`
	Path        string            `json:"path"`
	Created     time.Time         `json:"created"`
	Description string            `json:"description,omitempty"`
	Trust       string            `json:"trust"`      // who may assume it
	MaxSession  time.Duration     `json:"maxSession"` // the longest session
	Tags        map[string]string `json:"tags,omitempty"`
	bounds
	trust *policy.Document
}

// ARN gives the ARN of the role.
func (r *Role) ARN() string { return "arn:aws:iam::" + r.Account + ":role" + r.Path + r.Name }

// TrustPolicy gives the policy that says who may assume the role.
func (r *Role) TrustPolicy() *policy.Document { return r.trust }

// parse reads the policies of a role.
func (r *Role) parse() (err error) {
	if r.trust, err = policy.Parse(policy.Trust, []byte(r.Trust)); err != nil {
		return err
	}
	return r.bounds.parse()
}

// The bounds of the length of a session.
const (
	minSession     = 15 * time.Minute
	defaultSession = time.Hour
	maxSession     = 12 * time.Hour
)

// CreateRole makes a role; what is empty has its default.
func (b *Book) CreateRole(ctx context.Context, r Role) (*Role, error) {
	if r.Path == "" {
		r.Path = "/"
	}
	if r.MaxSession == 0 {
		r.MaxSession = defaultSession
	}
	if !isName(r.Name, 64) || !isPath(r.Path) {
		return nil, kiln.Errorf(kiln.Invalid, "The specified value for roleName or path is invalid.")
	}
	if r.MaxSession < time.Hour || r.MaxSession > maxSession {
		return nil, kiln.Errorf(kiln.Invalid, "MaxSessionDuration must be between 3600 and 43200 seconds.")
	}
	r.ID, r.Created, r.bounds = newID("AROA"), b.time(), bounds{}
	if err := r.parse(); err != nil {
		return nil, err
	}
	return &r, b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{r.Account, r.Name}
		if next.roles[n] != nil {
			return kiln.Errorf(kiln.Conflict, "Role with name %s already exists.", r.Name)
		}
		next.roles[n] = &r
		put(roleKey(n), &r)
		return nil
	})
}

func roleKey(n name) string { return "role/" + n.account + "/" + encode(n.name) }

// Role gives a role.
func (b *Book) Role(account, role string) (*Role, error) {
	if r := b.now.Load().roles[name{account, role}]; r != nil {
		return r, nil
	}
	return nil, noRole(role)
}

// RoleByARN gives a role by its ARN, nil when there is none.
func (b *Book) RoleByARN(arn string) *Role {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return nil
	}
	r := b.now.Load().roles[name{parts[4], parts[5][strings.LastIndexByte(parts[5], '/')+1:]}]
	if r == nil || r.ARN() != arn {
		return nil
	}
	return r
}

// Roles gives the roles of an account by name.
func (b *Book) Roles(account string) []*Role { return sorted(b.now.Load().roles, account) }

// ChangeRole lets f change a copy of a role. Nothing is changed when it fails, or when
// the role could not be read afterwards.
func (b *Book) ChangeRole(ctx context.Context, account, role string, f func(*Role) error) (out *Role, err error) {
	err = b.changeRole(ctx, account, role, func(_ *state, r *Role) error {
		out = r
		return f(r)
	})
	return out, err
}

func (b *Book) changeRole(ctx context.Context, account, role string, f func(*state, *Role) error) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{account, role}
		old := next.roles[n]
		if old == nil {
			return noRole(role)
		}
		r := *old
		if err := f(next, &r); err != nil {
			return err
		}
		if err := r.parse(); err != nil {
			return err
		}
		next.roles[n] = &r
		put(roleKey(n), &r)
		return nil
	})
}

// DeleteRole takes a role away, which must have no policies left. Its sessions end.
func (b *Book) DeleteRole(ctx context.Context, account, role string) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{account, role}
		r := next.roles[n]
		switch {
		case r == nil:
			return noRole(role)
		case len(r.Attached) > 0:
			return &kiln.Error{Code: kiln.Conflict, Reason: InUse, Message: "Cannot delete entity, must detach all policies first."}
		case len(r.Inline) > 0:
			return &kiln.Error{Code: kiln.Conflict, Reason: InUse, Message: "Cannot delete entity, must delete policies first."}
		}
		delete(next.roles, n)
		put(roleKey(n), nil)
		return nil
	})
}

// InUse is the Reason of a Conflict with something that still refers to what was to be
// deleted.
const InUse = "in use"

// PutRolePolicy sets an inline policy of a role.
func (b *Book) PutRolePolicy(ctx context.Context, account, role, n, document string) error {
	if err := checkInline(n, document); err != nil {
		return err
	}
	return b.changeRole(ctx, account, role, func(_ *state, r *Role) (err error) {
		r.bounds, err = r.with(n, document)
		return err
	})
}

// DeleteRolePolicy takes an inline policy of a role away.
func (b *Book) DeleteRolePolicy(ctx context.Context, account, role, n string) error {
	return b.changeRole(ctx, account, role, func(_ *state, r *Role) (err error) {
		r.bounds, err = r.with(n, "")
		return err
	})
}

// AttachRolePolicy attaches a managed policy to a role.
func (b *Book) AttachRolePolicy(ctx context.Context, account, role, arn string) error {
	return b.changeRole(ctx, account, role, func(s *state, r *Role) (err error) {
		r.bounds, err = r.attach(s, account, arn)
		return err
	})
}

// DetachRolePolicy detaches it.
func (b *Book) DetachRolePolicy(ctx context.Context, account, role, arn string) error {
	return b.changeRole(ctx, account, role, func(_ *state, r *Role) (err error) {
		r.bounds, err = r.detach(arn)
		return err
	})
}

// attach gives the bounds with one more managed policy.
func (b bounds) attach(s *state, account, arn string) (bounds, error) {
	m := s.managed(arn)
	switch {
	case m == nil || m.Account != account && m.Account != awsAccount:
		return b, noPolicy(arn)
	case slices.Contains(b.Attached, arn):
		return b, nil
	case len(b.Attached) >= maxAttached:
		return b, kiln.Errorf(kiln.Quota, "Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
	}
	b.Attached = append(slices.Clone(b.Attached), arn)
	return b, nil
}

// detach gives the bounds with one managed policy less.
func (b bounds) detach(arn string) (bounds, error) {
	i := slices.Index(b.Attached, arn)
	if i < 0 {
		return b, kiln.Errorf(kiln.NotFound, "Policy %s was not found.", arn)
	}
	b.Attached = slices.Delete(slices.Clone(b.Attached), i, i+1)
	return b, nil
}

func noRole(role string) error {
	return kiln.Errorf(kiln.NotFound, "The role with name %s cannot be found.", role)
}
