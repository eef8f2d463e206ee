package accounts_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/auth/policy"
)

const home = "111111111111"

// store is accounts.Store in memory, whose disk can be full.
type store struct {
	mu   sync.Mutex
	m    map[string]accounts.Record
	last uint64
	full bool
}

func (s *store) Scan(_ context.Context, prefix string, f func(accounts.Record) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, r := range s.m {
		if strings.HasPrefix(k, prefix) {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) Commit(_ context.Context, writes []accounts.Write) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return nil, errors.New("no space left on device")
	}
	for _, w := range writes {
		if s.m[w.Key].Revision != w.Expect {
			return nil, errors.New("stale")
		}
		if strings.Trim(w.Key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.-/") != "" {
			return nil, errors.New("a key that no store takes: " + w.Key)
		}
	}
	out := make([]uint64, len(writes))
	for i, w := range writes {
		s.last++
		if out[i] = s.last; w.Value == nil {
			delete(s.m, w.Key)
		} else {
			s.m[w.Key] = accounts.Record{Key: w.Key, Value: w.Value, Revision: s.last}
		}
	}
	return out, nil
}

// rig is a book over a store, and a clock that the test moves.
type rig struct {
	*accounts.Book
	t     *testing.T
	store *store
	now   time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, store: &store{m: map[string]accounts.Record{}}, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	r.open()
	return r
}

// open reads everything anew, as a server that starts does.
func (r *rig) open() {
	r.t.Helper()
	b, err := accounts.Open(r.t.Context(), accounts.Options{Store: r.store, Key: accounts.Key{1, 2, 3}, Now: func() time.Time { return r.now }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Book = b
}

func (r *rig) user(account, name string) accounts.Credentials {
	r.t.Helper()
	_, c, err := r.CreateUser(r.t.Context(), account, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

const trustsLambda = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func (r *rig) role(name string) *accounts.Role {
	r.t.Helper()
	role, err := r.CreateRole(r.t.Context(), accounts.Role{Account: home, Name: name, Trust: trustsLambda})
	if err != nil {
		r.t.Fatal(err)
	}
	return role
}

// may reports whether a caller's own policies allow an action.
func may(c *auth.Caller, action string) bool {
	return policy.Decide(&policy.Question{Principal: c.Principal, Action: action, Resource: "*"}, policy.Policies{Identity: c.Identity, Session: c.Session}).Allowed
}

func allows(action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"*"}]}`
}

func TestAUserSignsWithItsKeysAndMayWhatItsPoliciesSay(t *testing.T) {
	r := newRig(t)
	c := r.user(home, "ann+1@example.com")
	for name, err := range map[string]error{
		"inline": r.PutUserPolicy(t.Context(), home, "ann+1@example.com", "get", allows("lambda:Get*")),
		"aws":    r.AttachUserPolicy(t.Context(), home, "ann+1@example.com", "arn:aws:iam::aws:policy/service-role/AWSLambdaRole"),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for range 2 { // now, and when the server starts again
		k, err := r.Key(c.AccessKeyID, "")
		if err != nil || k.Secret != c.SecretAccessKey || k.Caller.ARN != "arn:aws:iam::"+home+":user/ann+1@example.com" || k.Caller.Account != home {
			t.Fatalf("got %+v, %v", k, err)
		}
		for action, want := range map[string]bool{"lambda:GetFunction": true, "lambda:InvokeFunction": true, "lambda:DeleteFunction": false} {
			if may(k.Caller, action) != want {
				t.Errorf("%s: want %v", action, want)
			}
		}
		r.open()
	}
	if err := r.DeleteUserPolicy(t.Context(), home, "ann+1@example.com", "get"); err != nil {
		t.Fatal(err)
	}
	if err := r.DetachUserPolicy(t.Context(), home, "ann+1@example.com", "arn:aws:iam::aws:policy/service-role/AWSLambdaRole"); err != nil {
		t.Fatal(err)
	}
	k, err := r.Key(c.AccessKeyID, "")
	if err != nil || may(k.Caller, "lambda:GetFunction") || may(k.Caller, "lambda:InvokeFunction") {
		t.Errorf("policies that were taken away still allow: %v", err)
	}
}

func TestTheAccountItselfMayEverythingAndHasNoPolicies(t *testing.T) {
	r := newRig(t)
	c := r.user(home, "root")
	k, err := r.Key(c.AccessKeyID, "")
	if err != nil || k.Caller.ARN != "arn:aws:iam::"+home+":root" || !may(k.Caller, "lambda:DeleteFunction") {
		t.Errorf("got %+v, %v", k, err)
	}
	if err := r.PutUserPolicy(t.Context(), home, "root", "p", allows("lambda:*")); kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestAKeyThatIsTakenAwayIsRefusedAtOnce(t *testing.T) {
	r := newRig(t)
	first := r.user(home, "ann")
	second, err := r.CreateKey(t.Context(), home, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateKey(t.Context(), home, "ann"); kiln.CodeOf(err) != kiln.Quota {
		t.Errorf("a third key: %v", err)
	}
	if keys, err := r.Keys(home, "ann"); err != nil || len(keys) != 2 {
		t.Errorf("got %v, %v", keys, err)
	}
	if _, err := r.Key(first.AccessKeyID, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteKey(t.Context(), home, "bob", first.AccessKeyID); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("another user's key: %v", err)
	}
	if err := r.DeleteKey(t.Context(), home, "ann", first.AccessKeyID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Key(first.AccessKeyID, ""); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
	if err := r.DeleteUser(t.Context(), home, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Key(second.AccessKeyID, ""); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("the key of a user who is gone: %v", err)
	}
	if len(r.store.m) != 1 { // the format
		t.Errorf("left in the store: %v", r.store.m)
	}
}

func TestSecretsAreNotInTheStore(t *testing.T) {
	r := newRig(t)
	c := r.user(home, "ann")
	for key, rec := range r.store.m {
		if strings.Contains(string(rec.Value), c.SecretAccessKey) {
			t.Errorf("the secret stands in %s", key)
		}
	}
	_, err := accounts.Open(t.Context(), accounts.Options{Store: r.store, Key: accounts.Key{9}})
	if err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("with another key: %v", err)
	}
	// A sealed secret of one key is none of another's.
	other := r.user(home, "bob")
	r.store.m["key/"+other.AccessKeyID] = accounts.Record{Key: "key/" + other.AccessKeyID, Value: r.store.m["key/"+c.AccessKeyID].Value, Revision: 99}
	if _, err := accounts.Open(t.Context(), accounts.Options{Store: r.store, Key: accounts.Key{1, 2, 3}}); err == nil {
		t.Error("a secret was moved to another key, and nobody noticed")
	}
}

func TestASessionActsAsItsRole(t *testing.T) {
	r := newRig(t)
	role := r.role("worker")
	if err := r.PutRolePolicy(t.Context(), home, "worker", "p", allows("lambda:*")); err != nil {
		t.Fatal(err)
	}
	c, err := r.Assume(role, "me", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	bounded, err := r.Assume(role, "me", time.Hour, []string{allows("lambda:Get*")})
	if err != nil {
		t.Fatal(err)
	}
	f, ok := r.Function(kiln.FunctionID{Scope: kiln.Scope{Account: home, Region: "x"}, Name: "f"}, role.ARN())
	if !ok {
		t.Fatal("no credentials for the function")
	}
	r.open() // sessions outlive a start
	k, err := r.Key(c.AccessKeyID, c.SessionToken)
	if err != nil || k.Secret != c.SecretAccessKey || k.Caller.ARN != "arn:aws:sts::"+home+":assumed-role/worker/me" || k.Caller.Role != role.ARN() || !may(k.Caller, "lambda:DeleteFunction") {
		t.Errorf("got %+v, %v", k, err)
	}
	k, err = r.Key(bounded.AccessKeyID, bounded.SessionToken)
	if err != nil || may(k.Caller, "lambda:DeleteFunction") || !may(k.Caller, "lambda:GetFunction") {
		t.Errorf("the session policy does not bound: %+v, %v", k, err)
	}
	k, err = r.Key(f.AccessKeyID, f.SessionToken)
	if err != nil || k.Caller.ARN != "arn:aws:sts::"+home+":assumed-role/worker/f" || k.Secret != f.SecretAccessKey {
		t.Errorf("got %+v, %v", k, err)
	}
	for name, try := range map[string][2]string{
		"no token": {c.AccessKeyID, ""}, "another's token": {c.AccessKeyID, bounded.SessionToken}, "no token at all": {c.AccessKeyID, "x"},
		"a user's key": {"AKIA", c.SessionToken}, "a changed token": {c.AccessKeyID, c.SessionToken[:len(c.SessionToken)-4] + "AAA="},
	} {
		if _, err := r.Key(try[0], try[1]); !errors.Is(err, auth.ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.now = r.now.Add(time.Hour)
	if _, err := r.Key(c.AccessKeyID, c.SessionToken); !errors.Is(err, auth.ErrExpired) {
		t.Errorf("after an hour: %v", err)
	}
	if _, err := r.Key(f.AccessKeyID, f.SessionToken); err != nil {
		t.Errorf("a function's session is over after an hour: %v", err)
	}
	if err := r.DeleteRole(t.Context(), home, "worker"); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("a role with a policy is deleted: %v", err)
	}
	if err := errors.Join(r.DeleteRolePolicy(t.Context(), home, "worker", "p"), r.DeleteRole(t.Context(), home, "worker")); err != nil {
		t.Fatal(err)
	}
	r.role("worker")
	if _, err := r.Key(f.AccessKeyID, f.SessionToken); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("a session acts as the role that was made later under the name: %v", err)
	}
}

func TestWhatCannotBeIsRefusedAndChangesNothing(t *testing.T) {
	r := newRig(t)
	r.user(home, "ann")
	r.role("worker")
	ctx := t.Context()
	var malformed *policy.Error
	_, _, twice := r.CreateUser(ctx, home, "ann")
	_, _, badAccount := r.CreateUser(ctx, "1", "ann")
	_, _, badName := r.CreateUser(ctx, home, "../x")
	_, roleTwice := r.CreateRole(ctx, accounts.Role{Account: home, Name: "worker", Trust: trustsLambda})
	_, noTrust := r.CreateRole(ctx, accounts.Role{Account: home, Name: "x", Trust: allows("*")})
	_, badPath := r.CreateRole(ctx, accounts.Role{Account: home, Name: "x", Path: "x", Trust: trustsLambda})
	_, longSession := r.CreateRole(ctx, accounts.Role{Account: home, Name: "x", Trust: trustsLambda, MaxSession: 13 * time.Hour})
	_, long := r.CreatePolicy(ctx, accounts.Managed{Account: home, Name: "x", Document: strings.Repeat(" ", 6145)})
	role, _ := r.Role(home, "worker")
	_, tooLong := r.Assume(role, "me", 2*time.Hour, nil)
	_, tooShort := r.Assume(role, "me", time.Minute, nil)
	_, badSession := r.Assume(role, "a b", 0, nil)
	for name, c := range map[string]struct {
		err  error
		code kiln.Code
	}{
		"a user twice": {twice, kiln.Conflict}, "an account of one digit": {badAccount, kiln.Invalid}, "a name with slashes": {badName, kiln.Invalid},
		"a role twice": {roleTwice, kiln.Conflict}, "a path without slashes": {badPath, kiln.Invalid}, "a session of 13 hours": {longSession, kiln.Invalid},
		"a long policy": {long, kiln.Quota}, "a session longer than the role's": {tooLong, kiln.Invalid}, "a short one": {tooShort, kiln.Invalid}, "its name": {badSession, kiln.Invalid},
		"a policy that is not there": {r.AttachUserPolicy(ctx, home, "ann", "arn:aws:iam::aws:policy/None"), kiln.NotFound},
		"a long inline policy":       {r.PutUserPolicy(ctx, home, "ann", "p", allows("lambda:"+strings.Repeat("x", 11000))), kiln.Quota},
		"no such user":               {r.DeleteUser(ctx, home, "bob"), kiln.NotFound},
	} {
		if kiln.CodeOf(c.err) != c.code {
			t.Errorf("%s: %v, want %s", name, c.err, c.code)
		}
	}
	if !errors.As(noTrust, &malformed) || !errors.As(r.PutUserPolicy(ctx, home, "ann", "p", "{}"), &malformed) {
		t.Errorf("a policy that is none: %v", noTrust)
	}
	r.store.full = true
	if err := r.PutUserPolicy(ctx, home, "ann", "p", allows("*")); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("a full disk: %v", err)
	}
	if u, err := r.User(home, "ann"); err != nil || len(u.Inline) != 0 || len(r.Roles(home)) != 1 || len(r.Users(home)) != 1 {
		t.Errorf("what was refused has changed something: %+v, %v", u, err)
	}
}

func TestManagedPoliciesAreOfAnAccount(t *testing.T) {
	r := newRig(t)
	r.user(home, "ann")
	r.user("222222222222", "bob")
	m, err := r.CreatePolicy(t.Context(), accounts.Managed{Account: home, Name: "p", Path: "/team/", Document: allows("lambda:*")})
	if err != nil || m.ARN() != "arn:aws:iam::"+home+":policy/team/p" {
		t.Fatalf("got %+v, %v", m, err)
	}
	if err := r.AttachUserPolicy(t.Context(), "222222222222", "bob", m.ARN()); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("another account's policy: %v", err)
	}
	if err := r.AttachUserPolicy(t.Context(), home, "ann", m.ARN()); err != nil {
		t.Fatal(err)
	}
	if err := r.DeletePolicy(t.Context(), home, m.ARN()); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("a policy that is attached: %v", err)
	}
	if err := r.DetachUserPolicy(t.Context(), home, "ann", m.ARN()); err != nil {
		t.Fatal(err)
	}
	if err := r.DeletePolicy(t.Context(), "222222222222", m.ARN()); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("by another account: %v", err)
	}
	if err := r.DeletePolicy(t.Context(), home, m.ARN()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Policy(m.ARN()); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestTheKeyOfAServerIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.key")
	first, err := accounts.OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := accounts.OpenKey(path); err != nil || again != first || first == (accounts.Key{}) {
		t.Errorf("got another key: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.OpenKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.OpenKey(path); err == nil {
		t.Error("a key of one letter is taken")
	}
	if _, err := accounts.OpenKey(filepath.Join(t.TempDir(), "none", "auth.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
