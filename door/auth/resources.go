package auth

import (
	"fmt"
	"net/http"
	"sync"

	"kiln"
	"kiln/door/auth/policy"
)

// maxParsed is how many policies are kept as they were read.
const maxParsed = 4096

// Resources gives the policies of functions, versions and aliases, each read once. It
// is safe for concurrent use.
type Resources struct {
	find func(kiln.FunctionID, kiln.Qualifier) (*kiln.Policy, error)

	mu sync.RWMutex
	m  map[string]*policy.Document // by revision id
}

// NewResources makes one over what finds the text of a policy: nil for none.
func NewResources(find func(kiln.FunctionID, kiln.Qualifier) (*kiln.Policy, error)) *Resources {
	return &Resources{find: find, m: map[string]*policy.Document{}}
}

// Of gives the policy that a call of a function with a qualifier is decided by: that of
// the very version or alias, or of the function where there is none named. It is nil when
// there is none, or nothing to have one. A policy that cannot be read is an error, so
// that nobody passes by it.
func (s *Resources) Of(id kiln.FunctionID, q kiln.Qualifier) (*policy.Document, error) {
	p, err := s.find(id, q)
	if kiln.CodeOf(err) == kiln.NotFound || err == nil && p == nil {
		return nil, nil // what is not there is told to whoever may ask for it
	}
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	d := s.m[p.RevisionID]
	s.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	if d, err = policy.Parse(policy.Resource, []byte(p.Document)); err != nil {
		return nil, fmt.Errorf("policy of %s: %w", id.QualifiedARN(q), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= maxParsed {
		clear(s.m)
	}
	s.m[p.RevisionID] = d
	return d, nil
}

// AuthorizeURL says whether a request may call a function by its URL, and who sends it.
// With the kind NONE everybody may whom the policy of the function or alias lets in,
// signed or not; with AWS_IAM the request must be signed, and whoever signed it must be
// let in as for a call of the API. Both actions, lambda:InvokeFunctionUrl and
// lambda:InvokeFunction, must be allowed, as on AWS since October 2025. Where signatures
// are not checked no policy is asked: NONE is open, and AWS_IAM wants any signature. The
// Seal must be checked with the body. Errors of the caller are *Refusal.
func (g *Gate) AuthorizeURL(r *http.Request, u *kiln.FunctionURL, s *Resources) (Identity, *Seal, error) {
	var who Identity
	var seal *Seal
	if u.Auth == kiln.URLAuthIAM {
		var err error
		if who, seal, err = g.Verify(r, "lambda"); err != nil {
			return Identity{}, nil, err
		}
		if !who.Signed() {
			return Identity{}, nil, missing("Missing Authentication Token")
		}
	}
	if g.keys == nil { // nobody is known, so that nobody can be denied
		return who, nil, nil
	}
	d, err := s.Of(u.Function, u.Qualifier)
	if err != nil {
		return Identity{}, nil, err
	}
	for _, a := range []Act{
		{Action: "lambda:InvokeFunctionUrl", Keys: policy.Context{"lambda:functionurlauthtype": {string(u.Auth)}}},
		{Action: "lambda:InvokeFunction", Keys: policy.Context{"lambda:invokedviafunctionurl": {"true"}, "lambda:functionurlauthtype": {string(u.Auth)}}},
	} {
		a.Resource, a.Owner, a.Policy = u.ARN(), u.Function.Account, d
		if err := g.Judge(who, r, a); err != nil {
			return Identity{}, nil, err
		}
	}
	return who, seal, nil
}
