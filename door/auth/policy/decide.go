package policy

import (
	"slices"
	"strings"
)

// Question is what somebody wants to do.
type Question struct {
	Principal Principal
	Action    string // lambda:InvokeFunction
	Resource  string // its ARN, or * where an action has none
	Owner     string // account of the resource; "" is the principal's own
	Keys      Context
}

// Policies are what a question is decided by.
type Policies struct {
	Identity []*Document // of the user or role that asks
	Session  []*Document // that its session was bounded by; nil is not bounded
	Resource *Document   // of what is asked for, nil when it has none
}

// Decision is the answer to a question.
type Decision struct {
	Allowed bool
	// Why is what AWS writes behind "is not authorized to perform: … on resource: …";
	// it begins with a space, or is empty where AWS says no more.
	Why string
}

// found is what a document says of a question.
type found struct {
	denied  bool
	allowed bond // the strongest of its statements; direct where a document has no principals
	session bool // by a statement that names the session itself
}

// Decide answers a question as AWS does. A statement that denies wins. Otherwise, in
// an account, it is enough that a policy of whoever asks or one of the resource allows
// it; a resource's policy that names only the account leaves it to the account's own.
// Between accounts both must. An account itself needs no policy of its own, services
// and unknown callers can only be let in by the resource.
func Decide(q *Question, p Policies) Decision {
	identity, session, resource := q.ask(p.Identity), q.ask(p.Session), found{}
	if p.Resource != nil {
		resource = q.ask([]*Document{p.Resource})
	}
	switch {
	case identity.denied:
		return refuse(" with an explicit deny in an identity-based policy")
	case session.denied:
		return refuse(" with an explicit deny in a session policy")
	case resource.denied:
		return refuse(" with an explicit deny in a resource-based policy")
	}
	noResource := refuse(" because no resource-based policy allows the " + q.Action + " action")
	who := &q.Principal
	if who.Account == "" {
		if resource.allowed == direct {
			return Decision{Allowed: true}
		}
		return noResource
	}
	own := identity.allowed == direct || who.IsRoot()
	bounded := len(p.Session) > 0 && session.allowed != direct
	if q.Owner != "" && q.Owner != who.Account {
		switch {
		case resource.allowed == unnamed:
			return noResource
		case !own:
			return refuse(" because no identity-based policy allows the " + q.Action + " action")
		case bounded:
			return refuse(" because no session policy allows the " + q.Action + " action")
		}
		return Decision{Allowed: true}
	}
	switch {
	case resource.session:
		return Decision{Allowed: true}
	case !own && resource.allowed != direct:
		return refuse(" because no identity-based policy allows the " + q.Action + " action")
	case bounded:
		return refuse(" because no session policy allows the " + q.Action + " action")
	}
	return Decision{Allowed: true}
}

// Trusts answers whether a role's own policy lets somebody assume it. Between the
// accounts the policies of whoever asks must allow it, too; within one, only where the
// role names the account and not the principal.
func Trusts(q *Question, trust *Document, p Policies) bool {
	said, identity, session := q.ask([]*Document{trust}), q.ask(p.Identity), q.ask(p.Session)
	if said.denied || identity.denied || session.denied || said.allowed == unnamed {
		return false
	}
	who := &q.Principal
	if who.Service != "" {
		return said.allowed == direct
	}
	if len(p.Session) > 0 && session.allowed != direct {
		return false
	}
	if said.allowed == direct && who.Account == q.Owner {
		return true
	}
	return identity.allowed == direct || who.IsRoot()
}

func refuse(why string) Decision { return Decision{Why: why} }

// ask puts a question to documents.
func (q *Question) ask(docs []*Document) (f found) {
	action := strings.ToLower(q.Action)
	for _, d := range docs {
		for i := range d.statements {
			s := &d.statements[i]
			by := s.names(&q.Principal)
			if by == unnamed || s.deny && f.denied || !s.about(d, action, q) {
				continue
			}
			if s.deny {
				f.denied = true
				continue
			}
			f.allowed = max(f.allowed, by)
			f.session = f.session || s.principals != nil && q.Principal.Role != "" && s.principals.names(q.Principal.ARN)
		}
	}
	return f
}

// names says whether and how a statement names somebody. One without principals is
// about whoever it is attached to.
func (s *statement) names(who *Principal) bond {
	switch {
	case s.principals != nil:
		return s.principals.bondOf(who)
	case s.notPrincipals != nil:
		if s.notPrincipals.bondOf(who) != unnamed {
			return unnamed
		}
	}
	return direct
}

// about reports whether a statement is about the action, the resource and the keys of
// a question.
func (s *statement) about(d *Document, action string, q *Question) bool {
	named := func(pattern string) bool { return pattern == "*" || glob(pattern, action) }
	if s.actions != nil && !slices.ContainsFunc(s.actions, named) || s.notAct != nil && slices.ContainsFunc(s.notAct, named) {
		return false
	}
	meant := func(pattern string) bool {
		if pattern == "*" {
			return true
		}
		p, ok := ready(pattern, d.variables, true, q.Keys)
		return ok && like(p, q.Resource)
	}
	if s.resources != nil && !slices.ContainsFunc(s.resources, meant) || s.notResources != nil && slices.ContainsFunc(s.notResources, meant) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(d.variables, q.Keys) {
			return false
		}
	}
	return true
}
