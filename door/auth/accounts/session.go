package accounts

import (
	"encoding/json"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
)

// maxSessionPolicy is how long the policies of a session may be together, in bytes.
const maxSessionPolicy = 2048

// claims is what a session token says. The token is sealed: nobody but this server can
// read or make one, so that sessions need no place of their own and outlive restarts.
type claims struct {
	Key      string   `json:"k"`
	Account  string   `json:"a"`
	Role     string   `json:"r"`
	RoleID   string   `json:"i"` // a role that is made later under the name has another
	Session  string   `json:"s"`
	Expires  int64    `json:"e"`
	Policies []string `json:"p,omitempty"`
}

// Assume gives the credentials of a session of a role. Whether it may be assumed was
// decided before.
func (b *Book) Assume(r *Role, session string, life time.Duration, policies []string) (Credentials, error) {
	if !isName(session, 64) || len(session) < 2 {
		return Credentials{}, kiln.Errorf(kiln.Invalid, "1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", session)
	}
	if life == 0 {
		life = defaultSession
	}
	if life < minSession || life > r.MaxSession {
		return Credentials{}, kiln.Errorf(kiln.Invalid, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	size := 0
	for _, p := range policies {
		if size += len(p); size > maxSessionPolicy {
			return Credentials{}, kiln.Errorf(kiln.Quota, "The session policies are longer than %d bytes.", maxSessionPolicy)
		}
		if _, err := policy.Parse(policy.Identity, []byte(p)); err != nil {
			return Credentials{}, err
		}
	}
	return b.grant(r, session, life, policies), nil
}

// functionSession is how long the credentials of an execution environment are good
// outside of it.
const functionSession = 12 * time.Hour

// Function gives the credentials of a function's session of its role; not ok when there
// is no such role.
func (b *Book) Function(f kiln.FunctionID, role string) (Credentials, bool) {
	r := b.RoleByARN(role)
	if r == nil {
		return Credentials{}, false
	}
	return b.grant(r, f.Name, functionSession, nil), true
}

// grant makes the credentials of a session.
func (b *Book) grant(r *Role, session string, life time.Duration, policies []string) Credentials {
	id, expires := newID("ASIA"), b.time().Add(life)
	text, err := json.Marshal(claims{id, r.Account, r.Name, r.ID, session, expires.Unix(), policies})
	if err != nil {
		panic("accounts: claims cannot be encoded: " + err.Error()) // there are only texts and a number in them
	}
	return Credentials{AccessKeyID: id, SecretAccessKey: b.seal.secretOf(id), SessionToken: b.seal.close("session", text), Expires: expires}
}

// sessionKey gives the key of a session by its token.
func (b *Book) sessionKey(s *state, id, token string) (auth.Key, error) {
	if !strings.HasPrefix(id, "ASIA") {
		return auth.Key{}, auth.ErrUnknownKey
	}
	text, err := b.seal.open("session", token)
	var c claims
	if err != nil || json.Unmarshal(text, &c) != nil || c.Key != id {
		return auth.Key{}, auth.ErrUnknownKey
	}
	r := s.roles[name{c.Account, c.Role}]
	switch {
	case r == nil || r.ID != c.RoleID:
		return auth.Key{}, auth.ErrUnknownKey
	case b.o.Now().Unix() >= c.Expires:
		return auth.Key{}, auth.ErrExpired
	}
	caller := r.caller(s, c.Session)
	for _, p := range c.Policies {
		d, err := policy.Parse(policy.Identity, []byte(p))
		if err != nil {
			return auth.Key{}, auth.ErrUnknownKey
		}
		caller.Session = append(caller.Session, d)
	}
	return auth.Key{Secret: b.seal.secretOf(id), Caller: caller}, nil
}

// caller gives the principal of a session of a role.
func (r *Role) caller(s *state, session string) *auth.Caller {
	return &auth.Caller{
		Principal: policy.Principal{ARN: "arn:aws:sts::" + r.Account + ":assumed-role/" + r.Name + "/" + session, Account: r.Account, Role: r.ARN(), Type: "AssumedRole", UserID: r.ID + ":" + session},
		Identity:  r.documents(s),
	}
}

// Session gives the principal of a function's session of its role, as it is now; nil
// when there is no such role.
func (b *Book) Session(f kiln.FunctionID, role string) *auth.Caller {
	r := b.RoleByARN(role)
	if r == nil {
		return nil
	}
	return r.caller(b.now.Load(), f.Name)
}
