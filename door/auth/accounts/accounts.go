// Package accounts keeps who may sign requests and what they may do: the users of each
// account with their access keys and policies, roles, managed policies, and the
// sessions that roles are assumed in.
//
// What a write reports as done is durable; reads never leave memory, and every key that
// is taken away is refused from then on. Secrets are encrypted where they are stored,
// with a key that stands in a file of its own, and given out once, when they are made.
//
// It decides nothing: it hands out principals with their policies, and says what is
// there. It knows neither HTTP nor functions.
package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kiln"
)

// Store keeps records under keys, durably. Keys are made of parts of [A-Za-z0-9_$.-]
// joined by "/".
type Store interface {
	// Scan calls f for every record whose key begins with prefix.
	Scan(ctx context.Context, prefix string, f func(Record) error) error
	// Commit applies all writes or none and gives the new revisions, one for each
	// write, when they are durable.
	Commit(ctx context.Context, writes []Write) ([]uint64, error)
}

// Record is one value as it is stored.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Write is one change; a nil Value deletes.
type Write struct {
	Key    string
	Value  []byte
	Expect uint64 // the revision that is stored now, 0 for none
}

// Options is what a Book stands on.
type Options struct {
	Store Store
	Key   Key              // that encrypts secrets and seals sessions
	Now   func() time.Time // for tests
}

// Book is all accounts. It is safe for concurrent use.
type Book struct {
	o    Options
	seal *sealer
	turn chan struct{} // held by the one who writes
	now  atomic.Pointer[state]
}

// state is everything at one moment. It is never changed.
type state struct {
	users    map[name]*User
	keys     map[string]*accessKey
	roles    map[name]*Role
	policies map[name]*Managed
	stored   map[string]uint64 // revisions of the records
	callers  *sync.Map         // of access keys, made when they are first used
}

// name is something of an account.
type name struct{ account, name string }

// format is the version of the records.
const format = "1"

// Open reads all accounts into memory. Records that cannot be read, or whose secrets
// another key encrypted, are an error.
func Open(ctx context.Context, o Options) (*Book, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	seal, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	b := &Book{o: o, seal: seal, turn: make(chan struct{}, 1)}
	s := &state{users: map[name]*User{}, keys: map[string]*accessKey{}, roles: map[name]*Role{}, policies: map[name]*Managed{}, stored: map[string]uint64{}, callers: &sync.Map{}}
	err = o.Store.Scan(ctx, "", func(r Record) error {
		s.stored[r.Key] = r.Revision
		if err := b.read(s, r); err != nil {
			return fmt.Errorf("record %q: %w", r.Key, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open accounts: %w", err)
	}
	if s.stored["format"] == 0 {
		if len(s.stored) > 0 {
			return nil, errors.New("open accounts: the record \"format\" is missing")
		}
		revisions, err := o.Store.Commit(ctx, []Write{{Key: "format", Value: []byte(format)}})
		if err != nil {
			return nil, fmt.Errorf("open accounts: %w", err)
		}
		s.stored["format"] = revisions[0]
	}
	b.now.Store(s)
	return b, nil
}

// read puts a record into a state.
func (b *Book) read(s *state, r Record) error {
	parts := strings.Split(r.Key, "/")
	switch {
	case r.Key == "format":
		if string(r.Value) != format {
			return fmt.Errorf("the accounts have format %q and this program reads %s: a newer kiln wrote them", r.Value, format)
		}
		return nil
	case len(parts) == 2 && parts[0] == "key":
		k := &accessKey{}
		if err := json.Unmarshal(r.Value, k); err != nil {
			return err
		}
		secret, err := b.seal.open("key "+parts[1], k.Sealed)
		if err != nil {
			return errors.New("its secret was encrypted with another key than that of this server (auth.key)")
		}
		k.ID, k.secret = parts[1], string(secret)
		s.keys[k.ID] = k
		return nil
	case len(parts) != 3:
		return errors.New("the key has no meaning")
	}
	n := name{parts[1], decode(parts[2])}
	switch parts[0] {
	case "user":
		u := &User{}
		if err := json.Unmarshal(r.Value, u); err != nil {
			return err
		}
		u.Account, u.Name = n.account, n.name
		s.users[n] = u
		return u.parse()
	case "role":
		role := &Role{}
		if err := json.Unmarshal(r.Value, role); err != nil {
			return err
		}
		role.Account, role.Name = n.account, n.name
		s.roles[n] = role
		return role.parse()
	case "policy":
		p := &Managed{}
		if err := json.Unmarshal(r.Value, p); err != nil {
			return err
		}
		p.Account, p.Name = n.account, n.name
		s.policies[n] = p
		return p.parse()
	}
	return errors.New("the key has no meaning")
}

// change lets f make the next state and the records that differ, stores those and turns
// to it. One change at a time; when it fails, everything is as it was.
func (b *Book) change(ctx context.Context, f func(next *state, put func(key string, value any)) error) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	old := b.now.Load()
	next := &state{maps.Clone(old.users), maps.Clone(old.keys), maps.Clone(old.roles), maps.Clone(old.policies), maps.Clone(old.stored), &sync.Map{}}
	var writes []Write
	put := func(key string, value any) {
		w := Write{Key: key, Expect: old.stored[key]}
		if value != nil {
			text, err := json.Marshal(value)
			if err != nil {
				panic("accounts: record cannot be encoded: " + err.Error()) // only strings, numbers, maps and times are in it
			}
			w.Value = text
		}
		writes = append(writes, w)
	}
	if err := f(next, put); err != nil || len(writes) == 0 {
		return err
	}
	revisions, err := b.o.Store.Commit(context.WithoutCancel(ctx), writes)
	if err != nil {
		return &kiln.Error{Code: kiln.Unavailable, Message: "The change could not be stored.", Err: err}
	}
	for i, w := range writes {
		if w.Value == nil {
			delete(next.stored, w.Key)
		} else {
			next.stored[w.Key] = revisions[i]
		}
	}
	b.now.Store(next)
	return nil
}

// time gives the time that is written into records.
func (b *Book) time() time.Time { return b.o.Now().UTC().Truncate(time.Second) }

// sorted gives the values of an account in the order of their names.
func sorted[T any](m map[name]T, account string) []T {
	var names []string
	for n := range m {
		if n.account == account {
			names = append(names, n.name)
		}
	}
	slices.Sort(names)
	out := make([]T, len(names))
	for i, n := range names {
		out[i] = m[name{account, n}]
	}
	return out
}

// encode makes a name fit for a key: what may not stand in one is written as $ and two
// digits in hex.
func encode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "$%02x", c)
		}
	}
	return b.String()
}

// decode is the reverse of encode.
func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '$' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isName reports whether s can be the name of a user, role or policy.
func isName(s string, longest int) bool {
	return s != "" && len(s) <= longest && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-") == ""
}

// isPath reports whether s can be the path of a role or policy.
func isPath(s string) bool {
	return len(s) <= 512 && strings.HasPrefix(s, "/") && strings.HasSuffix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}
