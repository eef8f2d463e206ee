package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/auth/policy"
)

// UserEntry is a user, as the API of kiln sends it.
type UserEntry struct {
	Account  string            `json:"account"`
	Name     string            `json:"name"`
	ARN      string            `json:"arn"`
	Created  time.Time         `json:"created"`
	Keys     []UserKey         `json:"keys"`
	Policies map[string]string `json:"policies,omitempty"` // documents by name
	Attached []string          `json:"attached,omitempty"` // ARNs of managed policies
}

// UserKey is an access key. Its secret is in the answer that makes it and nowhere else.
type UserKey struct {
	ID      string    `json:"accessKeyId"`
	Secret  string    `json:"secretAccessKey,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// NewUser is the request that makes a user.
type NewUser struct {
	Name     string            `json:"name"`
	Policies map[string]string `json:"policies,omitempty"`
	Attached []string          `json:"attached,omitempty"`
}

// users lists the users of an account, or makes one.
func (s *Server) users(w http.ResponseWriter, r *http.Request, c *call) {
	account, ok := s.accountOf(w, r, c)
	if !ok {
		return
	}
	if r.Method != http.MethodPost {
		if err := s.mayUser(c, account, "", "iam:ListUsers"); err != nil {
			s.denied(w, err)
			return
		}
		list := []UserEntry{}
		for _, u := range s.o.Accounts.Users(account) {
			list = append(list, s.userEntry(u))
		}
		s.json(w, http.StatusOK, list)
		return
	}
	var in NewUser
	if !s.readOwn(w, r, &in) {
		return
	}
	needs := []string{"iam:CreateUser", "iam:CreateAccessKey"}
	if len(in.Policies) > 0 {
		needs = append(needs, "iam:PutUserPolicy")
	}
	if len(in.Attached) > 0 {
		needs = append(needs, "iam:AttachUserPolicy")
	}
	if err := s.mayUser(c, account, in.Name, needs...); err != nil {
		s.denied(w, err)
		return
	}
	s.createUser(w, r, account, in)
}

// createUser makes a user with its policies, all or nothing.
func (s *Server) createUser(w http.ResponseWriter, r *http.Request, account string, in NewUser) {
	for _, document := range in.Policies {
		if _, err := policy.Parse(policy.Identity, []byte(document)); err != nil {
			s.denied(w, err)
			return
		}
	}
	_, key, err := s.o.Accounts.CreateUser(r.Context(), account, in.Name)
	if err != nil {
		s.denied(w, err)
		return
	}
	for n, document := range in.Policies {
		err = errors.Join(err, s.o.Accounts.PutUserPolicy(r.Context(), account, in.Name, n, document))
	}
	for _, arn := range in.Attached {
		err = errors.Join(err, s.o.Accounts.AttachUserPolicy(r.Context(), account, in.Name, arn))
	}
	if err != nil {
		s.denied(w, errors.Join(err, s.o.Accounts.DeleteUser(r.Context(), account, in.Name)))
		return
	}
	u, err := s.o.Accounts.User(account, in.Name)
	if err != nil {
		s.denied(w, err)
		return
	}
	entry := s.userEntry(u)
	for i := range entry.Keys {
		if entry.Keys[i].ID == key.AccessKeyID {
			entry.Keys[i].Secret = key.SecretAccessKey
		}
	}
	s.json(w, http.StatusCreated, entry)
}

// user gives, changes or takes away what belongs to one user.
func (s *Server) user(w http.ResponseWriter, r *http.Request, c *call) {
	account, ok := s.accountOf(w, r, c)
	if !ok {
		return
	}
	name, rest, _ := strings.Cut(c.label, "/")
	kind, item, _ := strings.Cut(rest, "/")
	book, ctx := s.o.Accounts, r.Context()
	do := func(action string, f func() error) {
		err := s.mayUser(c, account, name, action)
		if err == nil {
			err = f()
		}
		if err != nil {
			s.denied(w, err)
		}
	}
	done := func(err error) error {
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	switch r.Method + " " + kind {
	case "GET ", "HEAD ":
		do("iam:GetUser", func() error {
			u, err := book.User(account, name)
			if err == nil {
				s.json(w, http.StatusOK, s.userEntry(u))
			}
			return err
		})
	case "DELETE ":
		do("iam:DeleteUser", func() error {
			if err := s.lastWay(account, name, ""); err != nil {
				return err
			}
			return done(book.DeleteUser(ctx, account, name))
		})
	case "POST keys":
		do("iam:CreateAccessKey", func() error {
			key, err := book.CreateKey(ctx, account, name)
			if err == nil {
				s.json(w, http.StatusCreated, UserKey{ID: key.AccessKeyID, Secret: key.SecretAccessKey})
			}
			return err
		})
	case "DELETE keys":
		do("iam:DeleteAccessKey", func() error {
			if err := s.lastWay(account, name, item); err != nil {
				return err
			}
			return done(book.DeleteKey(ctx, account, name, item))
		})
	case "PUT policies":
		do("iam:PutUserPolicy", func() error {
			document, err := io.ReadAll(io.LimitReader(r.Body, policy.MaxDocument+1))
			if err != nil {
				return kiln.Errorf(kiln.Invalid, "the request ended early")
			}
			return done(book.PutUserPolicy(ctx, account, name, item, string(document)))
		})
	case "DELETE policies":
		do("iam:DeleteUserPolicy", func() error { return done(book.DeleteUserPolicy(ctx, account, name, item)) })
	case "PUT attached":
		do("iam:AttachUserPolicy", func() error { return done(book.AttachUserPolicy(ctx, account, name, r.URL.Query().Get("arn"))) })
	case "DELETE attached":
		do("iam:DetachUserPolicy", func() error { return done(book.DetachUserPolicy(ctx, account, name, r.URL.Query().Get("arn"))) })
	default:
		s.noSuchPath(w, r, c)
	}
}

// lastWay refuses to take away the last key by which somebody can manage this server;
// an empty id is the user as a whole.
func (s *Server) lastWay(account, user, id string) error {
	if account != s.gate.Home().Account || user != accounts.RootName {
		return nil
	}
	keys, err := s.o.Accounts.Keys(account, user)
	if err == nil && (id == "" || len(keys) == 1 && keys[0].ID == id) {
		err = kiln.Errorf(kiln.Conflict, "this is the last way into this server; make another key first")
	}
	return err
}

// accountOf gives the account that a request is about: the one that it names, else the
// caller's. Where nobody is asked who he is there are no users.
func (s *Server) accountOf(w http.ResponseWriter, r *http.Request, c *call) (string, bool) {
	if s.o.Accounts == nil || !s.gate.Verifies() {
		s.problem(w, http.StatusNotImplemented, kiln.Unsupported, "this server asks nobody who he is, so that it has no users; start it with --auth on")
		return "", false
	}
	if a := r.URL.Query().Get("account"); a != "" {
		return a, true
	}
	return c.Account, true
}

// mayUser asks for permissions about a user of an account. Whoever manages the server
// manages all accounts.
func (s *Server) mayUser(c *call, account, user string, actions ...string) error {
	a := auth.Act{Resource: "arn:aws:iam::" + account + ":user/" + user, Owner: account}
	if user == accounts.RootName {
		a.Resource = "arn:aws:iam::" + account + ":root"
	}
	if c.Account == s.gate.Home().Account {
		a.Owner = ""
	}
	for _, a.Action = range actions {
		if err := s.gate.Authorize(c.Identity, c.request, a); err != nil {
			return err
		}
	}
	return nil
}

// userEntry turns a user into what is sent.
func (s *Server) userEntry(u *accounts.User) UserEntry {
	e := UserEntry{Account: u.Account, Name: u.Name, ARN: u.ARN(), Created: u.Created, Keys: []UserKey{}, Policies: u.Inline, Attached: u.Attached}
	keys, err := s.o.Accounts.Keys(u.Account, u.Name)
	if err == nil { // else it has just been deleted
		for _, k := range keys {
			e.Keys = append(e.Keys, UserKey{ID: k.ID, Created: k.Created})
		}
	}
	return e
}

// denied answers no with an error of the accounts: a refusal is 403, a text that is no
// policy 400.
func (s *Server) denied(w http.ResponseWriter, err error) {
	var refusal *auth.Refusal
	var malformed *policy.Error
	var e *kiln.Error
	switch {
	case errors.As(err, &refusal):
		w.Header()["X-Amzn-Errortype"] = []string{refusal.Type}
		s.json(w, http.StatusForbidden, Problem{Code: "denied", Message: refusal.Message})
	case errors.As(err, &malformed):
		s.problem(w, http.StatusBadRequest, kiln.Invalid, malformed.Message)
	case errors.As(err, &e) && e.Code != kiln.Internal:
		s.problem(w, statuses[e.Code], e.Code, e.Message)
	default:
		s.log.Error("accounts could not be changed", "err", err)
		s.problem(w, http.StatusInternalServerError, kiln.Internal, internalText)
	}
}

// readOwn reads the JSON of a request of kiln's own API.
func (s *Server) readOwn(w http.ResponseWriter, r *http.Request, out any) bool {
	d := json.NewDecoder(io.LimitReader(r.Body, maxOwnBody))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		s.problem(w, http.StatusBadRequest, kiln.Invalid, "the request is not the JSON that docs/KILN_API.md describes")
		return false
	}
	return true
}
