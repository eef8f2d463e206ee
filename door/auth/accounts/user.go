package accounts

import (
	"context"
	"slices"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
)

// DefaultRole is the role that an account has from its beginning: functions may assume
// it, and it lets them write their logs. kiln deploy names it when nobody names another.
const DefaultRole = "kiln"

// RootName is how the account itself is called where a user's name is expected. It is
// no user: it has no policies and may do everything in its account.
const RootName = "root"

// limits of an account and of what is in it, as on AWS.
const (
	maxKeys     = 2
	maxAttached = 20
	maxInline   = 10240 // bytes of a role's inline policies together; a user's are fewer on AWS
	maxPolicy   = 6144  // bytes of a managed policy
)

// User is somebody of an account, or, with the name root, the account itself.
type User struct {
	Account string    `json:"-"`
	Name    string    `json:"-"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	bounds
}

// ARN gives the ARN of the user.
func (u *User) ARN() string {
	if u.Name == RootName {
		return "arn:aws:iam::" + u.Account + ":root"
	}
	return "arn:aws:iam::" + u.Account + ":user/" + u.Name
}

// bounds are the policies of a user or role.
type bounds struct {
	Inline   map[string]string `json:"inline,omitempty"`   // by name
	Attached []string          `json:"attached,omitempty"` // ARNs of managed policies
	parsed   []*policy.Document
}

// parse reads the inline policies.
func (b *bounds) parse() error {
	b.parsed = nil
	for _, n := range b.InlineNames() {
		d, err := policy.Parse(policy.Identity, []byte(b.Inline[n]))
		if err != nil {
			return err
		}
		b.parsed = append(b.parsed, d)
	}
	return nil
}

// InlineNames gives the names of the inline policies in order.
func (b *bounds) InlineNames() []string {
	var names []string
	for n := range b.Inline {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// documents gives all policies, inline and attached.
func (b *bounds) documents(s *state) []*policy.Document {
	docs := slices.Clone(b.parsed)
	for _, arn := range b.Attached {
		if m := s.managed(arn); m != nil {
			docs = append(docs, m.parsed)
		}
	}
	return docs
}

// with gives the bounds with an inline policy put or, by an empty document, taken away.
func (b bounds) with(n, document string) (bounds, error) {
	next := map[string]string{}
	size := 0
	for k, v := range b.Inline {
		if k != n {
			next[k] = v
			size += len(v)
		}
	}
	if document != "" {
		if next[n] = document; size+len(document) > maxInline {
			return b, kiln.Errorf(kiln.Quota, "Maximum policy size of %d bytes exceeded", maxInline)
		}
	} else if _, had := b.Inline[n]; !had {
		return b, kiln.Errorf(kiln.NotFound, "The policy with name %s cannot be found.", n)
	}
	b.Inline = next
	err := b.parse()
	return b, err
}

// AccessKey is one access key without its secret.
type AccessKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// accessKey is an access key as it is stored; secret is never.
type accessKey struct {
	ID      string    `json:"-"`
	Account string    `json:"account"`
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Sealed  string    `json:"secret"`
	secret  string
}

// Credentials are what a client signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string    // of a session
	Expires         time.Time // of a session
}

// CreateUser makes a user with an access key, whose secret is given out here and never
// again. The name root stands for the account itself, which has keys and no policies.
func (b *Book) CreateUser(ctx context.Context, account, user string) (*User, Credentials, error) {
	if !policyAccount(account) {
		return nil, Credentials{}, kiln.Errorf(kiln.Invalid, "%q is not an account: 12 digits are expected", account)
	}
	if !isName(user, 64) {
		return nil, Credentials{}, kiln.Errorf(kiln.Invalid, "%q cannot be the name of a user: 1 to 64 letters, digits and +=,.@_- are expected", user)
	}
	u := &User{Account: account, Name: user, Created: b.time()}
	if u.ID = newID("AIDA"); user == RootName {
		u.ID = account
	}
	var c Credentials
	err := b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{account, user}
		if next.users[n] != nil {
			return kiln.Errorf(kiln.Conflict, "User with name %s already exists.", user)
		}
		next.users[n] = u
		put("user/"+account+"/"+encode(user), u)
		c = b.addKey(next, put, u)
		if user == RootName {
			return b.addDefaultRole(next, put, account)
		}
		return nil
	})
	return u, c, err
}

// addDefaultRole puts the role that every account has into a state that has none.
func (b *Book) addDefaultRole(next *state, put func(string, any), account string) error {
	n := name{account, DefaultRole}
	if next.roles[n] != nil {
		return nil
	}
	r := &Role{Account: account, Name: DefaultRole, ID: newID("AROA"), Path: "/", Created: b.time(), MaxSession: defaultSession,
		Description: "Functions that name no other role",
		Trust:       `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		bounds:      bounds{Attached: []string{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}}}
	if err := r.parse(); err != nil {
		return err
	}
	next.roles[n] = r
	put(roleKey(n), r)
	return nil
}

// addKey puts a new access key of a user into a state.
func (b *Book) addKey(next *state, put func(string, any), u *User) Credentials {
	k := &accessKey{ID: newID("AKIA"), Account: u.Account, User: u.Name, Created: b.time(), secret: newSecret()}
	k.Sealed = b.seal.close("key "+k.ID, []byte(k.secret))
	next.keys[k.ID] = k
	put("key/"+k.ID, k)
	return Credentials{AccessKeyID: k.ID, SecretAccessKey: k.secret}
}

// HasUser reports whether an account has a user.
func (b *Book) HasUser(account, user string) bool {
	return b.now.Load().users[name{account, user}] != nil
}

// User gives a user.
func (b *Book) User(account, user string) (*User, error) {
	if u := b.now.Load().users[name{account, user}]; u != nil {
		return u, nil
	}
	return nil, noUser(user)
}

// Users gives the users of an account by name.
func (b *Book) Users(account string) []*User { return sorted(b.now.Load().users, account) }

// DeleteUser takes a user away with its keys and policies.
func (b *Book) DeleteUser(ctx context.Context, account, user string) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{account, user}
		if next.users[n] == nil {
			return noUser(user)
		}
		delete(next.users, n)
		put("user/"+account+"/"+encode(user), nil)
		for id, k := range next.keys {
			if k.Account == account && k.User == user {
				delete(next.keys, id)
				put("key/"+id, nil)
			}
		}
		return nil
	})
}

// CreateKey makes one more access key of a user.
func (b *Book) CreateKey(ctx context.Context, account, user string) (c Credentials, err error) {
	err = b.change(ctx, func(next *state, put func(string, any)) error {
		u := next.users[name{account, user}]
		if u == nil {
			return noUser(user)
		}
		if len(next.keysOf(account, user)) >= maxKeys {
			return kiln.Errorf(kiln.Quota, "Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		c = b.addKey(next, put, u)
		return nil
	})
	return c, err
}

// Keys gives the access keys of a user, the oldest first.
func (b *Book) Keys(account, user string) ([]AccessKey, error) {
	s := b.now.Load()
	if s.users[name{account, user}] == nil {
		return nil, noUser(user)
	}
	return s.keysOf(account, user), nil
}

func (s *state) keysOf(account, user string) []AccessKey {
	out := []AccessKey{}
	for _, k := range s.keys {
		if k.Account == account && k.User == user {
			out = append(out, AccessKey{k.ID, k.Created})
		}
	}
	slices.SortFunc(out, func(x, y AccessKey) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return out
}

// DeleteKey takes an access key away. Requests that are signed with it are refused from
// then on.
func (b *Book) DeleteKey(ctx context.Context, account, user, id string) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		if k := next.keys[id]; k == nil || k.Account != account || k.User != user {
			return kiln.Errorf(kiln.NotFound, "The Access Key with id %s cannot be found.", id)
		}
		delete(next.keys, id)
		put("key/"+id, nil)
		return nil
	})
}

// changeUser changes the policies of a user.
func (b *Book) changeUser(ctx context.Context, account, user string, f func(s *state, in bounds) (bounds, error)) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{account, user}
		old := next.users[n]
		if old == nil {
			return noUser(user)
		}
		if user == RootName {
			return kiln.Errorf(kiln.Invalid, "the account itself has no policies: it may do everything in the account")
		}
		u := *old
		var err error
		if u.bounds, err = f(next, old.bounds); err != nil {
			return err
		}
		next.users[n] = &u
		put("user/"+account+"/"+encode(user), &u)
		return nil
	})
}

// PutUserPolicy sets an inline policy of a user.
func (b *Book) PutUserPolicy(ctx context.Context, account, user, n, document string) error {
	if err := checkInline(n, document); err != nil {
		return err
	}
	return b.changeUser(ctx, account, user, func(_ *state, in bounds) (bounds, error) { return in.with(n, document) })
}

// DeleteUserPolicy takes an inline policy of a user away.
func (b *Book) DeleteUserPolicy(ctx context.Context, account, user, n string) error {
	return b.changeUser(ctx, account, user, func(_ *state, in bounds) (bounds, error) { return in.with(n, "") })
}

// AttachUserPolicy attaches a managed policy to a user.
func (b *Book) AttachUserPolicy(ctx context.Context, account, user, arn string) error {
	return b.changeUser(ctx, account, user, func(s *state, in bounds) (bounds, error) { return in.attach(s, account, arn) })
}

// DetachUserPolicy detaches it.
func (b *Book) DetachUserPolicy(ctx context.Context, account, user, arn string) error {
	return b.changeUser(ctx, account, user, func(_ *state, in bounds) (bounds, error) { return in.detach(arn) })
}

// checkInline judges an inline policy before anything is changed.
func checkInline(n, document string) error {
	if !isName(n, 128) {
		return kiln.Errorf(kiln.Invalid, "%q cannot be the name of a policy: 1 to 128 letters, digits and +=,.@_- are expected", n)
	}
	_, err := policy.Parse(policy.Identity, []byte(document))
	return err
}

func noUser(user string) error {
	return kiln.Errorf(kiln.NotFound, "The user with name %s cannot be found.", user)
}

// policyAccount reports whether s is an account number.
func policyAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

var _ auth.Keys = (*Book)(nil)

// Key is auth.Keys.
func (b *Book) Key(id, token string) (auth.Key, error) {
	s := b.now.Load()
	if token != "" {
		return b.sessionKey(s, id, token)
	}
	k := s.keys[id]
	if k == nil {
		return auth.Key{}, auth.ErrUnknownKey
	}
	if c, ok := s.callers.Load(id); ok {
		return auth.Key{Secret: k.secret, Caller: c.(*auth.Caller)}, nil
	}
	u := s.users[name{k.Account, k.User}]
	if u == nil {
		return auth.Key{}, auth.ErrUnknownKey
	}
	c := &auth.Caller{Principal: policy.Principal{ARN: u.ARN(), Account: u.Account, Type: "User", UserID: u.ID, Name: u.Name}, Identity: u.documents(s)}
	if u.Name == RootName {
		c.Type, c.Name = "Account", ""
	}
	s.callers.Store(id, c)
	return auth.Key{Secret: k.secret, Caller: c}, nil
}
