package auth

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kiln/door/auth/policy"
)

// Act is what a request asks to do.
type Act struct {
	Action   string           // lambda:InvokeFunction
	Resource string           // its ARN, or * where an action has none
	Owner    string           // account of the resource; "" is that of who asks
	Policy   *policy.Document // of the resource; nil when it has none
	Keys     policy.Context   // what the service itself knows of the request, names in lower case
}

// Authorize says whether who sends a request may do what it asks: nil, or a *Refusal
// with the words of AWS. Where signatures are not checked everybody may everything.
func (g *Gate) Authorize(who Identity, r *http.Request, a Act) error {
	if g.keys == nil {
		return nil
	}
	return g.Judge(who, r, a)
}

// Judge is Authorize wherever signatures are checked or not: who has no Caller is
// nobody, and may what the policy of the resource lets everybody do. A nil request is
// something that this server does by itself, as a function or a service.
func (g *Gate) Judge(who Identity, r *http.Request, a Act) error {
	q := policy.Question{Action: a.Action, Resource: a.Resource, Owner: a.Owner, Keys: g.Context(who, r, a.Keys)}
	p := policy.Policies{Resource: a.Policy}
	name := "anonymous"
	if c := who.Caller; c != nil {
		q.Principal, p.Identity, p.Session, name = c.Principal, c.Identity, c.Session, c.ARN
		if c.Service != "" {
			name = c.Service
		}
	}
	d := policy.Decide(&q, p)
	if d.Allowed {
		return nil
	}
	return Denied(name, a.Action, a.Resource, d.Why)
}

// Denied is the refusal of an action on a resource, as AWS words it; why is what stands
// behind it, "" for nothing.
func Denied(who, action, resource, why string) error {
	text := "User: " + who + " is not authorized to perform: " + action
	if resource != "" && resource != "*" {
		text += " on resource: " + resource
	} else if strings.HasPrefix(why, " because") {
		text += " on resource: *"
	}
	return &Refusal{"AccessDeniedException", text + why}
}

// Context gives the keys of a request that every service has, and the service's own.
func (g *Gate) Context(who Identity, r *http.Request, own policy.Context) policy.Context {
	now := g.now().UTC()
	c := policy.Context{
		"aws:currenttime": {now.Format(time.RFC3339)},
		"aws:epochtime":   {strconv.FormatInt(now.Unix(), 10)},
	}
	set := func(key, value string) {
		if value != "" {
			c[key] = []string{value}
		}
	}
	if r != nil {
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			set("aws:sourceip", host)
		}
		set("aws:securetransport", strconv.FormatBool(r.TLS != nil))
		set("aws:useragent", r.Header.Get("User-Agent"))
		set("aws:referer", r.Header.Get("Referer"))
	}
	set("aws:requestedregion", who.Region)
	if p := who.Caller; p != nil && p.Service == "" {
		set("aws:principalaccount", p.Account)
		set("aws:principalorgid", g.org)
		set("aws:principaltype", p.Type)
		set("aws:userid", p.UserID)
		set("aws:username", p.Name)
		if set("aws:principalarn", p.ARN); p.Role != "" {
			set("aws:principalarn", p.Role) // of a session, as on AWS
		}
		c["aws:principalisawsservice"] = []string{"false"}
	} else if p != nil {
		set("aws:principalservicename", p.Service)
		c["aws:principalisawsservice"] = []string{"true"}
	}
	for key, values := range own {
		c[key] = values
	}
	return c
}

// ServiceCaller is a service of this server that calls what a resource's policy lets it.
func ServiceCaller(service string) *Caller {
	return &Caller{Principal: policy.Principal{Service: service}}
}
